"""Errors that a user can fix: the message says what is wrong, where, and how to fix it, in one line.

There is a type only where a caller tells it from the others.
"""


class IlrmError(ValueError):
    """Base class of every error that a user of this package can fix."""


class ConfigError(IlrmError):
    """An unknown field or option, a value that does not fit, or values that contradict each other."""


class MissingPartError(ConfigError):
    """Something that a model cannot show because its configuration leaves it out."""


class CameraError(IlrmError):
    """Cameras of a wrong shape, or with values that are not finite or not possible."""


class ViewsError(IlrmError):
    """Images and cameras that do not fit each other or the model."""


class WeightsError(IlrmError):
    """Trained weights that cannot be found, or that do not fit."""


class RunError(IlrmError):
    """A run that cannot continue, or whose folder cannot be read or written."""


class RasterizationError(IlrmError):
    """Arguments that the rasteriser does not take."""


class NonFiniteError(RasterizationError):
    """Gaussians or cameras with values that are not finite."""


class DataError(IlrmError):
    """A data set, scene, frame or index that is missing, damaged or does not follow its format."""


class EmptyDatasetError(DataError):
    """A data set or evaluation index without a usable scene."""


class TooFewFramesError(DataError):
    """A scene too short for the number of views asked for."""
