"""Pinhole cameras in the OpenCV convention, their rays, and the mean-pose normalisation.

Axes: x right, y down, z forward. `c2w` maps camera to world coordinates. Intrinsics are in pixels, with pixel
centres at +0.5. Dimensions: B batch size, V views.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.errors import CameraError

CameraScale = Literal["recentred", "world"]  # see `normalization`


@dataclass(frozen=True)
class Cameras:
    """Pinhole cameras that share one image size. Build them with `from_fxfycxcy`, which validates."""

    fxfycxcy: Float[Tensor, "*batch 4"]  # pixels
    c2w: Float[Tensor, "*batch 4 4"]  # camera to world, OpenCV axes
    height: int  # pixels
    width: int

    @classmethod
    def from_fxfycxcy(
        cls,
        fxfycxcy: Float[Tensor, "*batch 4"],
        c2w: Float[Tensor, "*batch 4 4"],
        height: int,
        width: int,
    ) -> "Cameras":
        """Cameras from intrinsics (fx, fy, cx, cy in pixels) and camera-to-world matrices.

        Raises CameraError on wrong shapes, non-finite values, focal lengths that are not positive, or
        rotation blocks that are not rotation matrices.
        """
        if fxfycxcy.shape[-1:] != (4,) or c2w.shape != (*fxfycxcy.shape[:-1], 4, 4):
            raise CameraError(
                f"fxfycxcy {list(fxfycxcy.shape)} and c2w {list(c2w.shape)}: "
                "need [..., 4] and [..., 4, 4] with the same leading shape"
            )
        if height < 1 or width < 1:
            raise CameraError(f"height={height}, width={width}: need positive sizes in pixels")
        finite = fxfycxcy.isfinite().all(-1) & c2w.isfinite().all(-1).all(-1)
        if not finite.all():
            index = tuple((~finite).nonzero()[0].tolist())
            raise CameraError(
                f"camera {index}: pose or intrinsics are not finite; remove that view"
            )
        if (fxfycxcy[..., :2] <= 0).any():
            raise CameraError(
                "a focal length is not positive: give fx and fy in pixels, greater than 0"
            )
        rotation = c2w[..., :3, :3]
        identity = torch.eye(3, dtype=c2w.dtype, device=c2w.device)
        error = (rotation @ rotation.mT - identity).abs().amax((-1, -2))
        if (error > 1e-2).any() or (torch.linalg.det(rotation.float()) < 0).any():
            raise CameraError(
                "a c2w rotation is not orthonormal with determinant 1: give rigid camera-to-world "
                "matrices in OpenCV axes (x right, y down, z forward)"
            )
        return cls(fxfycxcy, c2w, height, width)

    @property
    def w2c(self) -> Float[Tensor, "*batch 4 4"]:
        """World-to-camera matrices, the inverse of `c2w`."""
        rotation = self.c2w[..., :3, :3].mT
        w2c = self.c2w.clone()
        w2c[..., :3, :3] = rotation
        w2c[..., :3, 3:] = -rotation @ self.c2w[..., :3, 3:]
        return w2c

    @property
    def K(self) -> Float[Tensor, "*batch 3 3"]:  # noqa: N802
        """Intrinsic matrices."""
        fx, fy, cx, cy = self.fxfycxcy.unbind(-1)
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        flat = torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], -1)
        return flat.unflatten(-1, (3, 3))

    @property
    def device(self) -> torch.device:
        return self.c2w.device

    def float(self) -> "Cameras":
        """The same cameras in single precision, which the model and the rasterizer expect."""
        return replace(self, fxfycxcy=self.fxfycxcy.float(), c2w=self.c2w.float())

    def to(self, device: torch.device | str) -> "Cameras":
        return replace(self, fxfycxcy=self.fxfycxcy.to(device), c2w=self.c2w.to(device))

    def __getitem__(self, index) -> "Cameras":
        """Cameras selected along the leading dimensions, as in tensor indexing."""
        return replace(self, fxfycxcy=self.fxfycxcy[index], c2w=self.c2w[index])

    def downscaled(self, factor: int) -> "Cameras":
        """The same cameras on a pixel grid `factor` times coarser, with intrinsics divided by `factor`.

        Raises CameraError if the image size is not a multiple of `factor`.
        """
        if self.height % factor or self.width % factor:
            raise CameraError(
                f"size {self.height}x{self.width} is not a multiple of {factor}: crop or resize it"
            )
        return replace(
            self,
            fxfycxcy=self.fxfycxcy / factor,
            height=self.height // factor,
            width=self.width // factor,
        )

    def rays(
        self, offset: Float[Tensor, "*batch height width 2"] | None = None
    ) -> tuple[Float[Tensor, "*batch 1 1 3"], Float[Tensor, "*batch height width 3"]]:
        """Origins and unit directions, in world coordinates, of the rays through the pixel centres.

        `offset` (x, y), in pixels, is added to the pixel centres.
        """
        columns = torch.arange(self.width, device=self.device) + 0.5
        rows = torch.arange(self.height, device=self.device) + 0.5
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)  # [H, W, 2]
        if offset is not None:
            pixels = pixels + offset  # [..., H, W, 2]
        focal, centre = self.fxfycxcy[..., None, None, :].split(2, -1)  # [..., 1, 1, 2]
        x, y = ((pixels - centre) / focal).split(1, -1)  # [..., H, W, 1] each
        right, down, forward, origin = self.c2w[..., None, None, :3, :].unbind(-1)  # [..., 1, 1, 3]
        # not a matrix product, which autocast would compute in half precision
        directions = x * right + y * down + forward
        return origin, torch.nn.functional.normalize(directions, dim=-1)

    def plucker(self, with_origin: bool = False) -> Float[Tensor, "*batch height width c"]:
        """Plücker coordinates of the pixel rays: moment o x d, then direction d (Section 3.2).

        With `with_origin`, the origin o comes first, as in the released wide-coverage models. c is 6 or 9.
        """
        origins, directions = self.rays()
        origins = origins.expand_as(directions)
        parts = [torch.linalg.cross(origins, directions), directions]
        return torch.cat([origins, *parts] if with_origin else parts, -1)


def mean_pose(c2w: Float[Tensor, "*batch V 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Mean camera: mean position, mean forward axis, and mean down axis orthogonalised against it."""
    forward = torch.nn.functional.normalize(c2w[..., :3, 2].mean(-2), dim=-1)
    down = c2w[..., :3, 1].mean(-2)
    down = down - (down * forward).sum(-1, keepdim=True) * forward
    down = torch.nn.functional.normalize(down, dim=-1)
    right = torch.linalg.cross(down, forward)
    mean = torch.zeros_like(c2w[..., 0, :, :])
    mean[..., :3, 0], mean[..., :3, 1], mean[..., :3, 2] = right, down, forward
    mean[..., :3, 3] = c2w[..., :3, 3].mean(-2)
    mean[..., 3, 3] = 1.0
    return mean


@dataclass(frozen=True)
class Normalization:
    """Similarity transform from world to scene coordinates: a rigid motion, then a scale factor."""

    world_to_scene: Float[Tensor, "*batch 4 4"]  # rigid, double precision
    scale: Float[Tensor, "*batch"]  # scene units per world unit, double precision

    def __call__(self, cameras: Cameras) -> Cameras:
        """Transform cameras [..., V] from world to scene coordinates."""
        c2w = self.world_to_scene[..., None, :, :] @ cameras.c2w.double()
        c2w[..., :3, 3] *= self.scale[..., None, None]
        return replace(cameras, c2w=c2w.to(cameras.c2w.dtype))


def normalization(inputs: Cameras, camera_scale: CameraScale = "recentred") -> Normalization:
    """Scene coordinates given by the input cameras [..., V]: their mean pose and a scale.

    Positions are divided by the largest absolute translation coordinate of the inputs, taken after recentring
    on the mean pose ("recentred": supplementary, evaluation details) or from the original poses ("world": the
    rule of the released RE10K model, which depends on where the world's origin lies). If all input cameras
    share one position, the scale is 1.
    """
    world_to_scene = torch.linalg.inv(mean_pose(inputs.c2w.double()))
    c2w = inputs.c2w.double()
    if camera_scale == "recentred":
        c2w = world_to_scene[..., None, :, :] @ c2w
    extent = c2w[..., :3, 3].abs().amax((-1, -2))  # [...]
    return Normalization(
        world_to_scene, torch.where(extent > 1e-6, extent, torch.ones_like(extent)).reciprocal()
    )


def normalize_cameras(
    inputs: Cameras,
    *others: Cameras,
    camera_scale: CameraScale = "recentred",
) -> tuple[Cameras, ...]:
    """Express the inputs, and `others` such as target cameras, in the inputs' frame (`normalization`)."""
    to_scene = normalization(inputs, camera_scale)
    return tuple(to_scene(cameras) for cameras in (inputs, *others))


def jitter_positions(cameras: Cameras, sd: float, generator: torch.Generator) -> Cameras:
    """Add Gaussian noise of standard deviation `sd`, in scene units, to each coordinate of the camera
    positions: the inaccurate poses of Table 14.
    """
    noise = torch.randn((*cameras.c2w.shape[:-2], 3), generator=generator)  # [..., 3]
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] += sd * noise.to(c2w)
    return replace(cameras, c2w=c2w)
