"""Small inputs that several tests share."""

import torch

from ilrm.cameras import Cameras, normalize_cameras
from ilrm.views import Views


def rotation_about_y(angle: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [..., 3, 3] by angles [...] in radians."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).unflatten(-1, (3, 3))


def some_cameras(batch=2, views=4, height=32, width=32, seed=0) -> Cameras:
    """Cameras that look roughly forward from scattered places, normalised."""
    generator = torch.Generator().manual_seed(seed)
    c2w = torch.eye(4).repeat(batch, views, 1, 1)
    c2w[..., :3, :3] = rotation_about_y(0.2 * torch.randn(batch, views, generator=generator))
    c2w[..., :3, 3] = torch.randn(batch, views, 3, generator=generator)
    fxfycxcy = torch.tensor([0.9 * width, 0.95 * width, width / 2 + 0.3, height / 2 - 0.2])
    fxfycxcy = fxfycxcy.expand(batch, views, 4)
    return normalize_cameras(Cameras.from_fxfycxcy(fxfycxcy, c2w, height, width))[0]


def some_views(batch=2, views=4, height=32, width=32, seed=0) -> Views:
    """Views with random images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, views, 3, height, width, generator=generator)
    return Views(images, some_cameras(batch, views, height, width, seed))
