"""Input images warped backwards to another camera by depth, as in plane-sweep stereo.

All functions handle one scene: V input views, P depth hypotheses, target images of h x w pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras


def unproject(camera: Cameras, depths: Float[Tensor, "P h w"]) -> Float[Tensor, "P h w 3"]:
    """Points of the scene that the pixel centres of one camera see at depths z."""
    columns = torch.arange(camera.width, device=camera.device) + 0.5
    rows = torch.arange(camera.height, device=camera.device) + 0.5
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)  # [h, w, 2]
    focal, centre = camera.fxfycxcy.split(2, -1)  # [2] each
    rays = F.pad((pixels - centre) / focal, (0, 1), value=1.0)  # [h, w, 3], z = 1
    local = rays * depths[..., None]  # [P, h, w, 3]
    return local @ camera.c2w[:3, :3].mT + camera.c2w[:3, 3]


def look_up(
    images: Float[Tensor, "V C H W"],
    cameras: Cameras,  # [V]
    points: Float[Tensor, "P h w 3"],
    mode: str = "bilinear",
) -> tuple[Float[Tensor, "V C P h w"], Float[Tensor, "V 1 P h w"], Float[Tensor, "V P h w"]]:
    """Every view's values at the projections of the points, whether these are inside its image (1 or 0), and
    the points' depth z in the view. Occlusion is not considered. `mode`: "bilinear" or "nearest".
    """
    planes, height = points.shape[:2]
    w2c = cameras.w2c[:, None, None, None]  # [V, 1, 1, 1, 4, 4]
    local = (w2c[..., :3, :3] @ points[..., None])[..., 0] + w2c[..., :3, 3]  # [V, P, h, w, 3]
    z = local[..., 2]
    focal, centre = cameras.fxfycxcy[:, None, None, None].split(2, -1)  # [V, 1, 1, 1, 2]
    pixels = local[..., :2] / z.clamp(min=1e-4)[..., None] * focal + centre
    size = pixels.new_tensor([cameras.width, cameras.height])
    inside = (z > 1e-3) & (pixels >= 0).all(-1) & (pixels < size).all(-1)
    values = F.grid_sample(
        images,
        (pixels / size * 2 - 1).flatten(1, 2),  # [V, P h, w, 2]
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )
    return values.unflatten(2, (planes, height)), inside[:, None].to(images.dtype), z


def nearness(cameras: Cameras, target: Cameras, softening: float = 1e-2) -> Float[Tensor, " V"]:
    """Blending weights of the views: one over the squared distance from the target's camera."""
    apart = cameras.c2w[:, :3, 3] - target.c2w[:3, 3]
    return 1 / (apart.square().sum(-1) + softening)


def blend(
    values: Float[Tensor, "V C P h w"],
    inside: Float[Tensor, "V 1 P h w"],
    weights: Float[Tensor, " V"],
    elsewhere: Float[Tensor, " C"],
) -> Float[Tensor, "C P h w"]:
    """Mean over the views that see a point; `elsewhere` where none does."""
    share = inside * weights[:, None, None, None, None]
    total = share.sum(0)
    return torch.where(
        total > 0,
        (values * share).sum(0) / total.clamp(min=1e-9),
        elsewhere[:, None, None, None],
    )
