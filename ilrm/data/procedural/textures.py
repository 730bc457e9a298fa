"""The texture bank: standardised photographs and coloured 1/f noise, with mip levels.

Photographs are the samples in the wheels of scikit-image and scikit-learn (nothing is downloaded or
copied). Their spectra are natural, so a model that predicts at half resolution can render them, unlike
checkerboards. Licences: scikit-image's are in the public domain or CC0; scikit-learn's two
are CC BY 2.0 (china.jpg by danielbuechele, flower.jpg by vultilion).
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ilrm.errors import DataError

SIDE = 256  # texels of a bank image's side at mip level 0
LEVELS = 6  # 256, 128, 64, 32, 16, 8
NOISES = 16
SCIKIT_IMAGE = [
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
    *("grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png"),
    "rocket.jpg",
]
SCIKIT_LEARN = ["china.jpg", "flower.jpg"]
Array = NDArray[Any]  # float32

# where each mip level starts among an image's texels; the last entry is their number
STARTS = tuple(sum((SIDE >> k) ** 2 for k in range(level)) for level in range(LEVELS + 1))


def _photographs() -> list[Path]:
    paths = []
    for package, folder, names in (
        ("skimage", "data", SCIKIT_IMAGE),
        ("sklearn", "datasets/images", SCIKIT_LEARN),
    ):
        spec = importlib.util.find_spec(package)  # finds the folder without importing the package
        if spec is None or spec.origin is None:
            raise DataError(
                f"package {package} is not installed: its photographs are the textures; "
                "run `pip install scikit-image scikit-learn`"
            )
        paths += [Path(spec.origin).parent / folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"photograph {path.name} is not in {path.parent}: "
                "reinstall scikit-image and scikit-learn from their wheels"
            )
    return paths


def _crops(path: Path) -> list[Array]:
    """The two squares at the ends of a photograph's long side, each [SIDE, SIDE, 3] in [0, 1]."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    w, h = image.size
    side = int(min(w, h, 0.75 * max(w, h)))
    boxes = [(0, 0, side, side), (w - side, h - side, w, h)]
    return [
        np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box), np.float32) / 255
        for box in boxes
    ]


def _noise(rng: np.random.Generator) -> Array:
    """Coloured noise whose amplitude falls as 1/f^a, a in 1 to 1.8; [SIDE, SIDE, 3]."""
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])  # [S, S/2+1]
    f[0, 0] = np.inf
    white = rng.standard_normal((3, *f.shape)) + 1j * rng.standard_normal((3, *f.shape))
    noise = np.fft.irfft2(white / f ** rng.uniform(1.0, 1.8), s=(SIDE, SIDE))  # [3, S, S]
    noise /= noise.std(axis=(1, 2), keepdims=True)
    # channels correlate, as in photographs
    mix = np.eye(3) * rng.uniform(0.2, 0.8) + rng.uniform(0.2, 1.0)
    return np.einsum("ij,jhw->hwi", mix, noise).astype(np.float32)


@lru_cache(maxsize=1)
def texture_bank() -> tuple[Array, int]:
    """The bank [L, STARTS[-1], 3] and the number of photographs in it, which come before the noises.

    Each image has mean 0 and standard deviation 1; its mip levels lie one after the other, row by row. Raises
    DataError if scikit-image or scikit-learn is not installed.
    """
    photographs = [crop for path in _photographs() for crop in _crops(path)]
    rng = np.random.default_rng(0)
    images = np.stack(photographs + [_noise(rng) for _ in range(NOISES)])  # [L, S, S, 3]
    images -= images.mean(axis=(1, 2), keepdims=True)
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    levels = [np.ascontiguousarray(np.clip(images, -2.5, 2.5))]
    for _ in range(LEVELS - 1):
        x = levels[-1]
        levels.append((x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4)
    bank = np.concatenate([x.reshape(len(x), -1, 3) for x in levels], axis=1)
    return bank, len(photographs)
