"""Which frames of a scene are input and which are target."""
