"""Posed images: the model's input views and the target views its renders are compared with."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras, Normalization
from ilrm.errors import ViewsError


@dataclass(frozen=True)
class Views:
    """Images with their cameras. Raises ViewsError if their shapes do not match."""

    images: Float[Tensor, "B V 3 H W"]  # [0, 1]
    cameras: Cameras  # [B, V], height H, width W

    def __post_init__(self) -> None:
        shape, cameras = list(self.images.shape), self.cameras
        want = [*cameras.c2w.shape[:2], 3, cameras.height, cameras.width]
        if len(shape) != 5 or shape != want:
            raise ViewsError(
                f"images {shape} do not match cameras {list(cameras.c2w.shape[:-2])} of size "
                f"{cameras.height}x{cameras.width}: need images [B, V, 3, H, W] and cameras [B, V]"
            )
        if not self.images.is_floating_point():
            raise ViewsError(f"images are {self.images.dtype}: give floats in [0, 1]")

    def to(self, device: torch.device | str) -> "Views":
        """Copy to a device. Copies of pinned images to a GPU may still be in progress on return."""
        blocking = torch.device(device).type == "cpu"
        images = self.images.to(device, non_blocking=not blocking)
        return replace(self, images=images, cameras=self.cameras.to(device))

    def __getitem__(self, scenes: slice) -> "Views":
        """The views of some scenes of the batch."""
        return Views(self.images[scenes], self.cameras[scenes])


@dataclass(frozen=True)
class Batch:
    """Input views and held-out target views of a training step or an evaluated scene.

    Cameras are in scene coordinates; `normalization` maps the dataset's world coordinates to them.
    """

    inputs: Views  # [B, V]
    targets: Views  # [B, T]
    normalization: Normalization  # [B]
    input_depths: Float[Tensor, "B V H W"] | None = None  # ground-truth z, scene units, if known

    def to(self, device: torch.device | str) -> "Batch":
        """Copy images, cameras and depths to a device; the normalisation is not moved."""
        depths = None if self.input_depths is None else self.input_depths.to(device)
        return replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            input_depths=depths,
        )

    def parts(self, count: int) -> list["Batch"]:
        """Split the batch into `count` parts of equal size."""
        size = len(self.inputs.images) // count
        return [self._part(slice(k * size, (k + 1) * size)) for k in range(count)]

    def _part(self, scenes: slice) -> "Batch":
        world_to_scene, scale = self.normalization.world_to_scene, self.normalization.scale
        return Batch(
            self.inputs[scenes],
            self.targets[scenes],
            Normalization(world_to_scene[scenes], scale[scenes]),
            None if self.input_depths is None else self.input_depths[scenes],
        )


@dataclass(frozen=True)
class EvaluationScene:
    """One held-out scene: its batch (B = 1) and, if known, the ground-truth depth."""

    key: str
    frames: tuple[int, ...]  # frame number of each target view
    batch: Batch
    depths: Float[Tensor, "T H W"] | None  # ground-truth z of the target views, scene units
