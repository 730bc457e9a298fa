"""Time the CPU rasterizer against gsplat's PyTorch reference, in one run.

    python benchmarks/rasterizer.py --threads 1 --repeats 7

Prints a Markdown table: medians in milliseconds, forward and forward + backward. The reference is
`gsplat.rendering._rasterization` with plain PyTorch where it needs CUDA (see gsplat_reference.py).
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import gsplat
import numba
import torch
from gsplat_reference import reference

from ilrm.rendering import rasterization

GAUSSIANS = ("means", "quats", "scales", "opacities", "colors")
SHAPES = [  # image size, Gaussians per scene, views per scene, scenes
    (64, 1024, 1, 1),
    (64, 4096, 4, 1),
    (128, 16384, 4, 1),
    (32, 256, 6, 16),
]


def scene(size: int, count: int, views: int, scenes: int) -> dict[str, Any]:
    """Pixel-aligned Gaussians: one per pixel of a grid over the input views, about as wide as its pixels."""
    random = torch.Generator().manual_seed(0)
    depth = 2 + 2 * torch.rand(scenes, count, 1, generator=random)
    pixels = size * torch.rand(scenes, count, 2, generator=random)
    footprint = 0.7 * size * min(1.0, (views / count) ** 0.5)  # pixels
    scales = footprint * depth / size * torch.exp(0.3 * torch.randn(scenes, count, 3))
    viewmats = torch.eye(4).repeat(scenes, views, 1, 1)
    viewmats[..., :3, 3] = 0.1 * torch.randn(scenes, views, 3, generator=random)
    intrinsics = torch.tensor([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    tensors = {
        "means": torch.cat([(pixels / size - 0.5) * depth, depth], -1),
        "quats": torch.randn(scenes, count, 4, generator=random),
        "scales": scales,
        "opacities": torch.rand(scenes, count, generator=random),
        "colors": 0.5 * torch.randn(scenes, count, 4, 3, generator=random),
    }
    return {
        **{name: tensor.requires_grad_() for name, tensor in tensors.items()},
        "viewmats": viewmats,
        "Ks": intrinsics.repeat(scenes, views, 1, 1),
        "width": size,
        "height": size,
        "sh_degree": 1,
    }


def reference_by_scene(**arguments: Any) -> tuple[torch.Tensor, ...]:
    """The reference, one scene after another, as its memory grows with the number of scenes."""
    parts = []
    for b in range(len(arguments["means"])):
        own = {k: v[b] if torch.is_tensor(v) else v for k, v in arguments.items()}
        parts.append(reference(**own)[0])
    return (torch.stack(parts),)


def median_ms(
    render: Callable[..., Any], arguments: dict[str, Any], repeats: int
) -> tuple[float, float]:
    """Median milliseconds of forward without gradients, and of forward + backward."""
    forward, both = [], []
    for k in range(repeats + 1):  # the first compiles
        start = time.perf_counter()
        with torch.no_grad():
            render(**arguments)
        middle = time.perf_counter()
        image = render(**arguments)[0]
        torch.autograd.grad(image.square().sum(), [arguments[name] for name in GAUSSIANS])
        if k:
            forward.append(1e3 * (middle - start))
            both.append(1e3 * (time.perf_counter() - middle))
    return statistics.median(forward), statistics.median(both)


def machine() -> str:
    """Processor, threads and versions."""
    info = Path("/proc/cpuinfo")
    names = (
        [x for x in info.read_text(encoding="utf-8").splitlines() if "model name" in x]
        if info.exists()
        else []
    )
    processor = names[0].split(":")[1].strip() if names else platform.processor()
    return (
        f"{processor}, {torch.get_num_threads()} of {os.cpu_count()} threads, torch "
        f"{torch.__version__}, numba {numba.__version__}, gsplat {gsplat.__version__}, "
        f"Python {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine()}; median of {arguments.repeats}; ms forward / forward + backward\n")
    print("| image, Gaussians, views, scenes | gsplat's reference | ours | times faster |")
    print("|---|---|---|---|")
    for size, count, views, scenes in SHAPES:
        inputs = scene(size, count, views, scenes)
        slow = median_ms(reference_by_scene, inputs, arguments.repeats)
        fast = median_ms(rasterization, inputs | {"packed": False}, arguments.repeats)
        print(
            f"| {size} px, {count}, {views}, {scenes} | {slow[0]:.0f} / {slow[1]:.0f} "
            f"| {fast[0]:.1f} / {fast[1]:.1f} | {slow[0] / fast[0]:.0f} / {slow[1] / fast[1]:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
