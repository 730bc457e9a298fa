"""An independent renderer for the tests: every pixel over every Gaussian, by autograd."""

import torch

SH = (0.28209479177387814, 0.4886025119029199, 1.0925484305920792, 0.31539156525252005)


def basis(degree, d):  # unit directions [..., 3] -> [..., (degree + 1)^2], textbook polynomials
    x, y, z = d.unbind(-1)
    b = [torch.full_like(x, SH[0])]
    if degree >= 1:
        b += [-SH[1] * y, SH[1] * z, -SH[1] * x]
    if degree >= 2:
        b += [SH[2] * x * y, -SH[2] * y * z, SH[3] * (2 * z**2 - x**2 - y**2), -SH[2] * x * z]
        b += [SH[2] / 2 * (x**2 - y**2)]
    if degree >= 3:
        b += [-0.5900435899266435 * y * (3 * x**2 - y**2), 2.890611442640554 * x * y * z]
        b += [-0.4570457994644658 * y * (4 * z**2 - x**2 - y**2)]
        b += [0.3731763325901154 * z * (2 * z**2 - 3 * x**2 - 3 * y**2)]
        b += [-0.4570457994644658 * x * (4 * z**2 - x**2 - y**2)]
        b += [1.445305721320277 * z * (x**2 - y**2), -0.5900435899266435 * x * (x**2 - 3 * y**2)]
    return torch.stack(b, -1)


def compose(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height,  # noqa: N803
    degree=None, background=None, antialiased=False, depth=False,
):  # fmt: skip
    """Images [C, H, W, D] and alphas [C, H, W, 1] of one scene, in the dtype of its tensors."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    turn = torch.stack([torch.stack(r, -1) for r in rows], -2)  # [N, 3, 3]
    covariance = turn @ torch.diag_embed(scales**2) @ turn.mT
    images, alphas = [], []
    for V, K in zip(viewmats, Ks, strict=True):  # noqa: N806
        p = means @ V[:3, :3].T + V[:3, 3]  # [N, 3]
        fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
        u, v, r = p[:, 0] / p[:, 2], p[:, 1] / p[:, 2], 1 / p[:, 2]
        centre = torch.stack([fx * u + cx, fy * v + cy], -1)
        u = u.clamp((-cx - 0.15 * width) / fx, (width - cx + 0.15 * width) / fx)
        v = v.clamp((-cy - 0.15 * height) / fy, (height - cy + 0.15 * height) / fy)
        zero = torch.zeros_like(r)
        jacobian = torch.stack(
            [
                torch.stack([fx * r, zero, -fx * r * u], -1),
                torch.stack([zero, fy * r, -fy * r * v], -1),
            ],
            -2,
        )
        jacobian = jacobian @ V[:3, :3]
        sharp = jacobian @ covariance @ jacobian.mT  # [N, 2, 2]
        blurred = sharp + 0.3 * torch.eye(2, dtype=sharp.dtype)
        opacity = opacities
        if antialiased:
            opacity = opacity * (sharp.det() / blurred.det()).clamp(min=0).sqrt()
        color = colors
        if degree is not None:
            direction = torch.nn.functional.normalize(means - V.inverse()[:3, 3], dim=-1)
            used = (degree + 1) ** 2
            color = (0.5 + (basis(degree, direction)[..., None] * colors[:, :used]).sum(1)).clamp(0)
        if depth:
            color = torch.cat([color, p[:, 2:]], -1)
        order = torch.argsort(p[:, 2].detach(), stable=True)
        order = order[p[order, 2] > 0.01]
        grid = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixel = torch.stack([grid[1], grid[0]], -1).to(means) + 0.5  # [H, W, 2]
        d = pixel[:, :, None] - centre[order]  # [H, W, N, 2]
        sigma = 0.5 * (d * (blurred[order].inverse() @ d[..., None])[..., 0]).sum(-1)
        alpha = (opacity[order] * torch.exp(-sigma)).clamp(max=0.999)
        alpha = alpha * (alpha >= 1 / 255)
        alpha = alpha * ((1 - alpha).cumprod(-1) > 1e-4)
        left = (1 - alpha).cumprod(-1)
        before = torch.cat([torch.ones_like(left[..., :1]), left[..., :-1]], -1)
        image = (alpha * before) @ color[order]
        if background is not None:
            image = image + left[..., -1:] * background
        images.append(image)
        alphas.append(1 - left[..., -1:])
    return torch.stack(images), torch.stack(alphas)
