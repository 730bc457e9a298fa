"""Posed images: what goes into the model, and what its renders are held against."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras, Normalization
from ilrm.errors import ViewsError


@dataclass(frozen=True)
class Views:
    """Images with their cameras. Raises ViewsError where the two do not fit each other."""

    images: Float[Tensor, "B V 3 H W"]  # [0, 1]
    cameras: Cameras  # [B, V], height H, width W

    def __post_init__(self) -> None:
        shape, cameras = list(self.images.shape), self.cameras
        want = [*cameras.c2w.shape[:2], 3, cameras.height, cameras.width]
        if len(shape) != 5 or shape != want:
            raise ViewsError(
                f"images {shape} do not fit cameras {list(cameras.c2w.shape[:-2])} of size "
                f"{cameras.height}x{cameras.width}: need images [B, V, 3, H, W] and cameras [B, V]"
            )
        if not self.images.is_floating_point():
            raise ViewsError(f"images are {self.images.dtype}: give floats in [0, 1]")

    def to(self, device: torch.device | str) -> "Views":
        """On a device; a GPU need not have pinned images yet when this returns."""
        waits = torch.device(device).type == "cpu"
        images = self.images.to(device, non_blocking=not waits)
        return replace(self, images=images, cameras=self.cameras.to(device))


@dataclass(frozen=True)
class Batch:
    """What a training step or an evaluated scene sees: input views and held-out target views.

    Cameras are in the scene's frame, to which `normalization` moved them from the world of the data.
    """

    inputs: Views  # [B, V]
    targets: Views  # [B, T]
    normalization: Normalization  # [B]
    input_depths: Float[Tensor, "B V H W"] | None = None  # true z, scene units, where it is known

    def to(self, device: torch.device | str) -> "Batch":
        """Images, cameras and depths on another device; the normalisation stays where it is."""
        depths = None if self.input_depths is None else self.input_depths.to(device)
        return replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            input_depths=depths,
        )


@dataclass(frozen=True)
class EvaluationScene:
    """One held-out scene: its batch (B = 1), and where known the true depth."""

    key: str
    frames: tuple[int, ...]  # frame number of each target
    batch: Batch
    depths: Float[Tensor, "T H W"] | None  # true z of the targets, scene units
