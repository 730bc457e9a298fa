"""3D Gaussians and the activations that turn head channels into them."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras, Normalization
from ilrm.config import ModelConfig

SH_DEGREE_0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the constant spherical harmonic
OPACITY_RANGE = (1e-6, 1 - 1e-6)  # clamp applied before taking the logit of an opacity


@dataclass(frozen=True)
class Gaussians:
    """Activated 3D Gaussians, in the frame of the input cameras."""

    means: Float[Tensor, "B G 3"]  # scene units
    quats: Float[Tensor, "B G 4"]  # unit quaternions, wxyz, Gaussian axes to world
    scales: Float[Tensor, "B G 3"]  # standard deviations along the Gaussian's axes, scene units
    opacities: Float[Tensor, "B G"]  # [0, 1]
    colors: Float[Tensor, "B G 3"] | Float[Tensor, "B G K 3"]
    """RGB values from the model, at least 0 and possibly above 1. `render` also accepts spherical harmonics
    coefficients, K = (degree + 1)^2."""

    def __len__(self) -> int:
        """Number of Gaussians per scene."""
        return self.means.shape[1]

    def to_world(self, normalization: Normalization) -> "Gaussians":
        """Transform positions, rotations and sizes back to the world coordinates that `normalization` maps
        from. Colours must be RGB values or degree-0 coefficients, which do not change under rotation.
        """
        inverse = torch.linalg.inv(normalization.world_to_scene)
        return self._transformed(inverse, normalization.scale.reciprocal(), inverse[:, :3, 3])

    def to_scene(self, normalization: Normalization) -> "Gaussians":
        """The inverse of `to_world`."""
        rigid, scale = normalization.world_to_scene, normalization.scale
        return self._transformed(rigid, scale, scale[:, None] * rigid[:, :3, 3])

    def _transformed(
        self,
        rotation: Float[Tensor, "B 4 4"],  # in the upper left 3x3 block
        scale: Float[Tensor, " B"],
        offset: Float[Tensor, "B 3"],
    ) -> "Gaussians":
        """x -> scale * rotation x + offset, in double precision."""
        from scipy.spatial.transform import Rotation

        turn, size = rotation[:, :3, :3], scale[:, None, None]
        quats = Rotation.from_matrix(turn.cpu().numpy()).as_quat(scalar_first=True)
        turned = _product(torch.from_numpy(quats).to(turn)[:, None], self.quats.double())
        means = size * self.means.double() @ turn.mT + offset[:, None]
        return replace(
            self,
            means=means.to(self.means),
            quats=turned.to(self.quats),
            scales=(size * self.scales.double()).to(self.scales),
        )


def _product(a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Hamilton product of wxyz quaternions: rotation by b, then by a."""
    w, x, y, z = a.unbind(-1)
    p, q, r, s = b.unbind(-1)
    parts = [
        w * p - x * q - y * r - z * s,
        w * q + x * p + y * s - z * r,
        w * r - x * s + y * p + z * q,
        w * s + x * r - y * q + z * p,
    ]
    return torch.stack(parts, -1)


def activate(raw: Float[Tensor, "B V h w C"], cameras: Cameras, config: ModelConfig) -> Gaussians:
    """Turn head channels into Gaussians, in fp32 (supplementary, Gaussian head).

    `cameras` are the viewpoint cameras, of size h x w. Channels in order: xy offset (2, absent if C = 14),
    distance (3, averaged), colour (3), scale (3), rotation (4), opacity (1).
    """
    with torch.autocast(raw.device.type, enabled=False):
        raw = raw.float()
        offset = None
        if config.head_channels == 16:
            offset, raw = torch.sigmoid(raw[..., :2]) - 0.5, raw[..., 2:]
        distance, color, scale, rotation, opacity = raw.split([3, 3, 3, 4, 1], -1)

        origins, directions = cameras.rays(offset)  # [B, V, 1, 1, 3], [B, V, h, w, 3]
        t = distance_at(torch.sigmoid(distance.mean(-1, keepdim=True)), config)  # [B, V, h, w, 1]
        scales = torch.exp((scale + config.scale_bias).clamp(max=config.scale_max))
        if config.scale_unit == "footprint":
            focal = cameras.fxfycxcy[..., :2].mean(-1)[..., None, None, None]  # [B, V, 1, 1, 1]
            scales = scales * t / focal
        return Gaussians(
            means=(origins + t * directions).flatten(1, 3),
            quats=torch.nn.functional.normalize(rotation, dim=-1, eps=1e-8).flatten(1, 3),
            scales=scales.flatten(1, 3),
            opacities=torch.sigmoid(opacity + config.opacity_bias).flatten(1),
            colors=(0.5 + SH_DEGREE_0 * color).clamp(min=0).flatten(1, 3),
        )


def distance_at(fraction: Tensor, config: ModelConfig) -> Tensor:
    """Distance along the unit ray, in scene units, for a fraction in [0, 1] of the way from near to far."""
    if config.distance == "log":
        return config.near * torch.exp(fraction * math.log(config.far / config.near))
    return config.near + (config.far - config.near) * fraction
