"""Errors that a user can mend: a type a cause; messages say what, where and how to mend it."""


class IlrmError(ValueError):
    """Base class of every error that a user of this package can mend."""


class ConfigError(IlrmError):
    """An unknown field, an ill-typed value, or fields that contradict each other."""


class MissingPartError(ConfigError):
    """Something that a model cannot show for what its configuration leaves out."""


class CameraError(IlrmError):
    """Cameras of a wrong shape, or with values that are not finite or not possible."""


class ViewsError(IlrmError):
    """Images and cameras that do not fit each other or the model."""


class WeightsError(IlrmError):
    """Pretrained weights that cannot be found, or that do not fit."""


class RunError(IlrmError):
    """A run folder that cannot be read or written."""


class TrainingError(IlrmError):
    """A training run that cannot go on."""


class BenchmarkError(IlrmError):
    """A benchmark without anything to measure."""


class PlyError(IlrmError):
    """A PLY file that cannot be read as, or a scene that cannot be written as, 3D Gaussians."""


class VideoError(IlrmError):
    """A video that cannot be written."""


class ViewerError(IlrmError):
    """A viewer that cannot be written."""
