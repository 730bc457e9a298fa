"""Random scenes for the rendering tests."""

import torch


def random_scene(batch=(), cameras=2, count=120, size=40, bases=4, footprint=1.2, seed=0):
    """Gaussians before slightly moved cameras: the arguments of `rasterization`, harmonics last.

    `footprint` is their size in pixels; `size` that of the image.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*batch, *shape, generator=random)

    depth = 2 + 4 * torch.rand(*batch, count, 1, generator=random)
    pixels = size * (1.2 * torch.rand(*batch, count, 2, generator=random) - 0.1)
    focal = 1.1 * size
    means = torch.cat([(pixels - size / 2) / focal * depth, depth], -1)
    scales = footprint * depth / focal * torch.exp(0.4 * normal(count, 3))
    opacities = 0.05 + 0.94 * torch.rand(*batch, count, generator=random)
    viewmats = torch.eye(4).repeat(*batch, cameras, 1, 1)
    turn = torch.linalg.qr(torch.eye(3) + 0.05 * normal(cameras, 3, 3))
    viewmats[..., :3, :3] = turn.Q * turn.R.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    viewmats[..., :3, 3] = 0.1 * normal(cameras, 3)
    intrinsics = torch.tensor([[focal, 0, size / 2], [0, 0.95 * focal, 0.48 * size], [0, 0, 1]])
    return {
        "means": means,
        "quats": normal(count, 4),
        "scales": scales,
        "opacities": opacities,
        "colors": 0.5 * normal(count, bases, 3),
        "viewmats": viewmats,
        "Ks": intrinsics.repeat(*batch, cameras, 1, 1),
        "width": size,
        "height": size - 3,
    }


GAUSSIANS = ("means", "quats", "scales", "opacities", "colors")


def with_gradients(scene):
    """The same scene with leaves for the five tensors of the Gaussians."""
    return {k: v.clone().requires_grad_() if k in GAUSSIANS else v for k, v in scene.items()}


def gradients(outputs, scene, seed=1):
    """Gradients of a fixed random projection of `outputs` (a list of tensors), by name."""
    random = torch.Generator().manual_seed(seed)
    loss = sum(
        (o * torch.randn(o.shape, generator=random).to(o.device, o.dtype)).sum() for o in outputs
    )
    leaves = [scene[k] for k in GAUSSIANS]
    found = torch.autograd.grad(loss, leaves, materialize_grads=True)
    return dict(zip(GAUSSIANS, found, strict=True))
