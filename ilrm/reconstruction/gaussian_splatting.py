"""Per-scene 3D-GS from scratch (Kerbl et al. 2023), the optimisation baseline of Table 5.

Uses gsplat's density control and the learning rates of its trainer, on the CPU and on CUDA.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from gsplat.strategy import DefaultStrategy
from gsplat.strategy.ops import reset_opa
from jaxtyping import Float
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from ilrm.cameras import Cameras, Normalization
from ilrm.data.scene import PointCloud
from ilrm.errors import ViewsError
from ilrm.gaussians import OPACITY_RANGE, SH_DEGREE_0, Gaussians
from ilrm.metrics import ssim
from ilrm.rendering import rasterization
from ilrm.views import Views

STEPS = 30_000  # length of the published schedule, which is scaled to other numbers of steps
POSITION_RATE = 1.6e-4  # initial learning rate in units of the scene scale; decays to 1/100
RATES = {"scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}
SSIM_WEIGHT = 0.2
SH_DEGREE = 3
SH_EVERY = 1_000  # steps after which the SH degree in use increases by one
START_OPACITY = 0.1
MOST_OPAQUE = 0.95  # largest opacity of initial Gaussians
SMALLEST_START = 2  # minimum number of initial points, as sizes are distances to neighbours
REFERENCE_HEIGHT = 1_000  # image height in pixels for which the published thresholds were tuned
START_RANGE = (0.5, 20.0)  # our choice: distances of random points, in units of the scene scale

Parameters = dict[str, torch.nn.Parameter]
Optimizers = dict[str, torch.optim.Optimizer]


def splat(
    views: Views,
    start: PointCloud | Gaussians,
    steps: int = STEPS,
    seed: int = 0,
    on_step: Callable[[int, Callable[[], Gaussians]], None] = lambda step, gaussians: None,
    harmonics: int = SH_DEGREE,
) -> Gaussians:
    """Fit 3D Gaussians to the views of one scene (B = 1), one view per step.

    `start`: points (see `start_points` for captures without any) or Gaussians (B = 1, RGB colours), in the
    coordinates of the views' cameras. `harmonics`: degree of the spherical harmonics of the colours. After
    every step, `on_step` is called with the number of steps done and a function that returns the Gaussians.
    The thresholds of density control are per pixel, so they scale with the image size as the share of a pixel
    in the loss does. Raises ViewsError if all cameras have the same position, and on fewer than two points.
    """
    generator = torch.Generator().manual_seed(seed)
    scale, view_count = scene_scale(views.cameras), views.images.shape[1]
    count = len(start.positions) if isinstance(start, PointCloud) else len(start)
    if not scale > 0 or count < SMALLEST_START:
        raise ViewsError(
            f"3D-GS needs cameras at several positions and at least {SMALLEST_START} initial points, not "
            f"{count} points and a scene scale of {scale:.3g}: use other views"
        )
    values = _from_points(start) if isinstance(start, PointCloud) else _from_gaussians(start)
    values["shN"] = values["means"].new_zeros(count, (harmonics + 1) ** 2 - 1, 3)
    device = views.images.device
    parameters = {name: torch.nn.Parameter(value.to(device)) for name, value in values.items()}
    optimizers = _optimizers(parameters, scale)
    strategy = _strategy(steps, views.cameras.height)
    state = strategy.initialize_state(scene_scale=scale)
    with torch.random.fork_rng(devices=[] if not torch.cuda.is_available() else None):
        torch.manual_seed(seed)  # splitting uses the global generator
        for step in range(steps):
            if step % view_count == 0:
                order = torch.randperm(view_count, generator=generator).tolist()
            view = order[step % view_count]
            optimizers["means"].param_groups[0]["lr"] = (
                POSITION_RATE * scale * 0.01 ** (step / steps)
            )
            degree = min(harmonics, step * STEPS // (steps * SH_EVERY))
            _step(parameters, optimizers, strategy, state, step, views, view, degree)
            on_step(step + 1, lambda: _gaussians(parameters))
    return _gaussians(parameters)


def scene_scale(cameras: Cameras) -> float:
    """1.1 times the largest distance of a camera from the mean position, as in gsplat's trainer."""
    positions = cameras.c2w[0, :, :3, 3]
    return 1.1 * float((positions - positions.mean(0)).norm(dim=-1).max())


def start_points(views: Views, count: int, seed: int = 0) -> PointCloud:
    """Random initial points for a scene without structure-from-motion points: on the rays of random pixels,
    at log-uniform distances, with the pixels' colours.
    """
    generator = torch.Generator().manual_seed(seed)
    cameras = views.cameras
    origins, directions = cameras.rays(None)  # [1, V, 1, 1, 3], [1, V, H, W, 3]
    near, far = (scene_scale(cameras) * limit for limit in START_RANGE)
    v, h, w = (torch.randint(size, (count,), generator=generator) for size in directions.shape[1:4])
    share = torch.rand(count, 1, generator=generator).to(directions)
    distance = near * (far / near) ** share
    return PointCloud(
        origins[0, v, 0, 0] + distance * directions[0, v, h, w], views.images[0, v, :, h, w]
    )


def points_in_scene(points: PointCloud, to_scene: Normalization) -> PointCloud:
    """Transform points from a capture's world to the coordinates of its normalised cameras."""
    matrix = to_scene.world_to_scene[0].double()
    positions = points.positions.to(matrix) @ matrix[:3, :3].T + matrix[:3, 3]
    return PointCloud((positions * to_scene.scale[0]).float(), points.colors.float())


def _from_points(points: PointCloud) -> dict[str, Tensor]:
    """Isotropic Gaussians whose size is the RMS distance to the three nearest neighbours."""
    positions = points.positions.float().cpu().clone()
    neighbours = NearestNeighbors(n_neighbors=min(4, len(positions))).fit(positions.numpy())
    distances = torch.from_numpy(neighbours.kneighbors(positions.numpy())[0]).float()
    size = distances[:, 1:].square().mean(1).sqrt().clamp(min=1e-7)  # [N]
    count = len(positions)
    return {
        "means": positions,
        "scales": size.log()[:, None].repeat(1, 3),
        "quats": torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        "opacities": torch.full((count,), math.log(START_OPACITY / (1 - START_OPACITY))),
        "sh0": ((points.colors.cpu() - 0.5) / SH_DEGREE_0)[:, None],
    }


def _from_gaussians(gaussians: Gaussians) -> dict[str, Tensor]:
    """The given Gaussians, with opacities limited to MOST_OPAQUE so that their gradients do not vanish."""
    opacities = gaussians.opacities[0].detach().clamp(OPACITY_RANGE[0], MOST_OPAQUE)
    return {
        "means": gaussians.means[0].detach().clone(),
        "scales": gaussians.scales[0].detach().log(),
        "quats": gaussians.quats[0].detach().clone(),
        "opacities": torch.logit(opacities),
        "sh0": ((gaussians.colors[0].detach() - 0.5) / SH_DEGREE_0)[:, None],
    }


def _optimizers(parameters: Parameters, scale: float) -> Optimizers:
    rates = RATES | {"means": POSITION_RATE * scale}
    return {
        name: torch.optim.Adam([value], lr=rates[name], eps=1e-15)
        for name, value in parameters.items()
    }


def _strategy(steps: int, height: int) -> DefaultStrategy:
    """gsplat's default strategy, scaled to the number of steps and the image size."""
    published, share, pixels = DefaultStrategy(), steps / STEPS, REFERENCE_HEIGHT / height
    return DefaultStrategy(
        refine_start_iter=round(published.refine_start_iter * share),
        refine_stop_iter=round(published.refine_stop_iter * share),
        refine_every=max(1, round(published.refine_every * share)),
        reset_every=max(1, round(published.reset_every * share)),
        grow_grad2d=published.grow_grad2d * pixels,
        grow_scale3d=published.grow_scale3d * pixels,
        prune_scale3d=published.prune_scale3d * pixels,
    )


def _step(
    parameters: Parameters,
    optimizers: Optimizers,
    strategy: DefaultStrategy,
    state: dict[str, Any],
    step: int,
    views: Views,
    view: int,
    degree: int,
) -> None:
    """One gradient step on one view, followed by density control."""
    cameras = views.cameras
    image, _, info = rasterization(
        parameters["means"],
        parameters["quats"],
        parameters["scales"].exp(),
        parameters["opacities"].sigmoid(),
        torch.cat([parameters["sh0"], parameters["shN"]], 1),
        cameras.w2c[0, view : view + 1],
        cameras.K[0, view : view + 1],
        cameras.width,
        cameras.height,
        sh_degree=degree,
        packed=False,
        backgrounds=views.images.new_ones(1, 3),
        means2d_grad=True,
    )
    strategy.step_pre_backward(parameters, optimizers, state, step, info)
    loss = _loss(image.permute(0, 3, 1, 2), views.images[0, view : view + 1])
    loss.backward()
    for optimizer in optimizers.values():
        optimizer.step()
        optimizer.zero_grad()
    strategy.step_post_backward(parameters, optimizers, state, step, info)
    # gsplat 1.5.3 never resets opacities because of a bug: `step % reset_every == 0 & step > 0`
    if 0 < step < strategy.refine_stop_iter and step % strategy.reset_every == 0:
        reset_opa(parameters, optimizers, state, value=2 * strategy.prune_opa)


def _loss(pred: Float[Tensor, "1 3 H W"], target: Float[Tensor, "1 3 H W"]) -> Tensor:
    l1 = (pred - target).abs().mean()
    return (1 - SSIM_WEIGHT) * l1 + SSIM_WEIGHT * (1 - ssim(pred, target).mean())


@torch.no_grad()
def _gaussians(parameters: Parameters) -> Gaussians:
    """A copy of the scene's current Gaussians, with colours as spherical harmonics."""
    return Gaussians(
        means=parameters["means"][None].clone(),
        quats=torch.nn.functional.normalize(parameters["quats"], dim=-1)[None],
        scales=parameters["scales"].exp()[None],
        opacities=parameters["opacities"].sigmoid()[None],
        colors=torch.cat([parameters["sh0"], parameters["shN"]], 1)[None],
    )
