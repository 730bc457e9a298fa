"""The learning curve for TensorBoard, or any service whose writer has the same method `add_scalar`."""

from pathlib import Path
from typing import Protocol

from ilrm.errors import ConfigError
from ilrm.training.checkpoints import Progress


class Writer(Protocol):
    """A writer of scalars, such as torch.utils.tensorboard.SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add the value of a quantity at a training step."""


class ScalarLog:
    """Hands every new point of a learning curve to a writer; `perform_run` takes it as `on_point`."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.last = writer, 0

    def __call__(self, progress: Progress) -> None:
        for row in progress.history:
            if row["step"] > self.last:
                for name, value in row.items():
                    if name != "step":
                        self.writer.add_scalar(f"train/{name}", value, row["step"])
                self.last = row["step"]


def tensorboard_log(folder: Path) -> ScalarLog:
    """A log in TensorBoard's format. Raises ConfigError if TensorBoard cannot be imported."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"TensorBoard cannot be imported ({error}): run pip install 'ilrm[tensorboard]'"
        ) from error
    return ScalarLog(SummaryWriter(str(folder)))
