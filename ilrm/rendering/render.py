"""Rendering of Gaussians from cameras."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.gaussians import Gaussians
from ilrm.rendering.rasterization import rasterization


@dataclass(frozen=True)
class Rendering:
    """Images of B scenes, V views per scene."""

    images: Float[Tensor, "B V 3 H W"]  # not clamped above 1
    alphas: Float[Tensor, "B V 1 H W"]
    depths: Float[Tensor, "B V 1 H W"] | None  # expected z depth, scene units; 0 where alpha is 0


def render(
    gaussians: Gaussians,
    cameras: Cameras,  # of shape [B, V]
    background: float = 1.0,  # grey level behind the Gaussians: 1 is white
    near: float = 0.01,
    far: float = 1e10,
    depth: bool = False,
    antialiased: bool = False,
) -> Rendering:
    """Render B scenes, V views per scene, in fp32 regardless of autocast.

    `gaussians.colors` are colours [B, G, 3] or spherical harmonics coefficients [B, G, K, 3]. Raises whatever
    `rasterization` raises.
    """
    with torch.autocast(gaussians.means.device.type, enabled=False):
        colors = gaussians.colors.float()
        degree = None if colors.dim() == 3 else round(colors.shape[-2] ** 0.5) - 1
        viewmats = cameras.w2c.float()  # [B, V, 4, 4]
        images, alphas, _ = rasterization(
            gaussians.means.float(),
            gaussians.quats.float(),
            gaussians.scales.float(),
            gaussians.opacities.float(),
            colors,
            viewmats,
            cameras.K.float(),
            cameras.width,
            cameras.height,
            near_plane=near,
            far_plane=far,
            sh_degree=degree,
            packed=False,
            backgrounds=viewmats.new_full((*viewmats.shape[:2], 3), background),
            render_mode="RGB+ED" if depth else "RGB",
            rasterize_mode="antialiased" if antialiased else "classic",
        )
    images = images.movedim(-1, -3)  # [B, V, 3 or 4, H, W]
    return Rendering(
        images=images[:, :, :3],
        alphas=alphas.movedim(-1, -3),
        depths=images[:, :, 3:] if depth else None,
    )
