"""What can be wrong with a data set, one exception type per cause that the user can mend.

Every message is one line: what is wrong, where, and how to mend it.
"""

from ilrm.errors import IlrmError


class DataError(IlrmError):
    """Base class of all data errors."""


class DatasetMissingError(DataError):
    """A data set's folder, split folder or index.json is not there."""


class ChunkMissingError(DataError):
    """index.json names a chunk file that is not there."""


class ChunkUnreadableError(DataError):
    """A chunk file is truncated or is not a torch file."""


class UnsafeChunkError(DataError):
    """A chunk file holds pickled code, which is never run."""


class SceneMissingError(DataError):
    """A scene asked for by key is in neither the index nor its chunk."""


class EmptyDatasetError(DataError):
    """A data set or evaluation index without a usable scene."""


class BadShapeError(DataError):
    """A scene's arrays do not have the shapes of the format."""


class BadCamerasError(DataError):
    """A camera that is not a number, not finite or without focal length."""


class BadImageError(DataError):
    """A frame whose image is missing or cannot be decoded."""


class BadIndexError(DataError):
    """An evaluation index that does not follow the pixelSplat format or does not fit the scenes."""


class CaptureMissingError(DataError):
    """A folder without any of the known layouts of posed images."""


class CaptureUnreadableError(DataError):
    """A file of cameras that is truncated or does not follow its format."""


class CameraModelError(DataError):
    """A camera model that is unknown, or that no pinhole camera can replace."""


class MissingPackageError(DataError):
    """A package that reading this data needs is not installed."""


class TooFewFramesError(DataError):
    """A scene is too short for the number of views asked for."""


class TexturesMissingError(DataError):
    """A photograph that the procedural scenes take from an installed package is not there."""


class DiskFullError(DataError):
    """Not enough free disk space for the data set to be generated."""


class SettingsError(DataError):
    """A parameter of the data set that makes no sense, or a folder made with other parameters."""
