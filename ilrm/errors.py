"""Errors that a user can mend: one type a cause, each message says what, where and how to mend it."""


class IlrmError(ValueError):
    """Base class of every error that a user of this package can mend."""


class ConfigError(IlrmError):
    """An unknown field, an ill-typed value, or fields that contradict each other."""


class CameraError(IlrmError):
    """Cameras of a wrong shape, or with values that are not finite or not possible."""


class ViewsError(IlrmError):
    """Images and cameras that do not fit each other or the model."""


class WeightsError(IlrmError):
    """Pretrained weights that cannot be found, or that do not fit."""
