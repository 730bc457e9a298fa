"""Errors that a user can fix. Each message says in one line what is wrong, where, and how to fix it.

A separate type exists only where some caller handles it differently from the others.
"""

import re

LONGEST = 1_000  # characters of a message, which may quote names and values from files


class IlrmError(ValueError):
    """Base class of every error that a user of this package can fix.

    The message is kept to one printable line, whatever names and values from files it quotes.
    """

    def __init__(self, message: str) -> None:
        line = re.sub(r"\s*[^\S ]\s*", " ", message)
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
        super().__init__(line)


class ConfigError(IlrmError):
    """An unknown field or option, an invalid value, or values that contradict each other."""


class MissingPartError(ConfigError):
    """A request for a component that the model's configuration leaves out."""


class CameraError(IlrmError):
    """Cameras of a wrong shape, or with non-finite or impossible values."""


class ViewsError(IlrmError):
    """Images and cameras that do not match each other or the model."""


class WeightsError(IlrmError):
    """Trained weights that are missing or do not match the model."""


class RunError(IlrmError):
    """A run that cannot continue, or whose folder cannot be read or written."""


class RasterizationError(IlrmError):
    """Arguments that the rasterizer does not accept."""


class NonFiniteError(RasterizationError):
    """Gaussians or cameras with non-finite values."""


class DataError(IlrmError):
    """A dataset, scene, frame or index that is missing, damaged or in a wrong format."""


class EmptyDatasetError(DataError):
    """A dataset or evaluation index without any usable scene."""


class TooFewFramesError(DataError):
    """A scene with fewer frames than the requested views need."""
