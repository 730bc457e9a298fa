"""Images warped on planes in front of a camera, and how well views predict each other on each plane.

The plane warp, plane-sweep stereo and the rough depth of a capture are built from these warps.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.views import Views
from ilrm.warping import blend, look_up, nearness, unproject

PLANES = 64
# depths of the planes in scene units, in which the inputs' largest coordinate is 1
NEAREST, FARTHEST = 0.5, 100.0
COARSE = 64  # pixels; short side of the images from which a plane is chosen
MOST_VIEWS = 8  # number of nearest input views that a warp uses

# parameters of plane-sweep stereo, chosen on training rooms
WINDOW = 7  # pixels
UNSEEN = 0.05**0.5  # cost of a point seen by fewer than two views, a standard deviation of colours
WORST = 0.3  # larger standard deviations are clipped to this


def inverse_depths() -> Float[Tensor, " P"]:
    """Inverse depths of the planes, evenly spaced so that neighbours differ by the same number of pixels."""
    return torch.linspace(1 / FARTHEST, 1 / NEAREST, PLANES)


def plane_errors(inputs: Views) -> Float[Tensor, " P"]:
    """Mean squared error of each plane's warp when a scene's input views [1, V] predict each other."""
    images, cameras = single(_coarse(inputs))
    errors = []
    for i in range(len(images)):
        others = [j for j in range(len(images)) if j != i]
        rest = Views(images[None, others], cameras[others][None])
        seen = nearest_views(rest, cameras[i])
        values, inside = on_planes(seen, cameras[i], inverse_depths())
        predicted = blended(seen, cameras[i], values, inside)  # [3, P, h, w]
        errors.append((predicted - images[i][:, None]).square().mean((0, 2, 3)))
    return torch.stack(errors).mean(0)


def on_planes(
    inputs: Views, target: Cameras, inverse: Float[Tensor, " P"]
) -> tuple[Tensor, Tensor]:
    """The inputs' colours [V, 3, P, h, w] on planes in front of the target, and which lie in the images."""
    images, cameras = single(inputs)
    depths = inverse.to(images).reciprocal()[:, None, None]
    points = unproject(target, depths.expand(-1, target.height, target.width))
    return look_up(images, cameras, points)[:2]


def blended(inputs: Views, target: Cameras, values: Tensor, inside: Tensor) -> Tensor:
    """The views' colours on planes, blended by nearness: [3, P, h, w]."""
    images, cameras = single(inputs)
    return blend(values, inside, nearness(cameras, target), mean_of_views(images))


def disagreement(
    values: Float[Tensor, "V 3 P h w"], inside: Float[Tensor, "V 1 P h w"]
) -> Float[Tensor, "P h w"]:
    """Standard deviation of the colours of the views that see a point, averaged over a window."""
    count = inside.sum(0)  # [1, P, h, w]
    mean = (values * inside).sum(0) / count.clamp(min=1)
    variance = ((values - mean).square() * inside).mean(1).sum(0) / count[0].clamp(min=1)
    cost = torch.where(count[0] >= 2, variance.sqrt().clamp(max=WORST), UNSEEN)
    around = F.pad(cost[None], [WINDOW // 2] * 4, mode="replicate")
    return F.avg_pool2d(around, WINDOW, stride=1)[0]


def single(views: Views) -> tuple[Float[Tensor, "V 3 H W"], Cameras]:
    """Images and cameras of a batch of one scene."""
    (images,) = views.images
    return images, views.cameras[0]


def nearest_views(inputs: Views, target: Cameras) -> Views:
    """At most MOST_VIEWS input views, those with the nearest cameras."""
    weights = nearness(inputs.cameras[0], target)
    chosen = weights.argsort(descending=True, stable=True)[:MOST_VIEWS].sort().values
    return Views(inputs.images[:, chosen], inputs.cameras[:, chosen])


def mean_of_views(images: Float[Tensor, "V 3 H W"]) -> Float[Tensor, " 3"]:
    """Mean colour of all views."""
    return images.mean((0, 2, 3))


def _coarse(views: Views) -> Views:
    """Views downsampled so that their short side has about COARSE pixels; smaller ones are unchanged."""
    height, width = views.images.shape[-2:]
    factor = max(1, round(min(height, width) / COARSE))
    size = height // factor, width // factor
    images = F.interpolate(views.images[0], size=size, mode="area")[None]
    cameras = views.cameras
    ratio = images.new_tensor([size[1] / width, size[0] / height] * 2)
    return Views(
        images,
        replace(cameras, fxfycxcy=cameras.fxfycxcy * ratio, height=size[0], width=size[1]),
    )
