"""Conversion of the authors' released checkpoints.

There are two families: the wide-coverage models (a dict under "model"; 9 ray channels o, d, o x d; image
channels: rays, then RGB) and the two-view model (a Lightning checkpoint with the prefix "encoder.scaler.";
6 ray channels o x d, d; image channels: RGB, then rays). Both alternate cross ("read") and self blocks;
everything else is inferred from the shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ilrm.config import DataConfig, ModelConfig, RunConfig
from ilrm.errors import WeightsError
from ilrm.model import ILRM
from ilrm.system.tensor_files import read_tensors
from ilrm.weights.state import Weights, check_keys, load_state

PREFIX = "encoder.scaler."
_CROSS = {
    "read_cross.norm": "norm",
    "read_cross.q_norm": "q_norm",
    "read_cross.k_norm": "k_norm",
    "read_cross.q": "q",
    "read_cross.k": "k",
    "read_cross.v": "v",
    "read_cross.proj": "proj",
    "read_ff.norm": "mlp.norm",
    "read_ff.fc1": "mlp.fc1",
    "read_ff.fc2": "mlp.fc2",
}
_SELF = {
    "attn.norm": "norm",
    "attn.qkv": "qkv",
    "attn.proj": "proj",
    "attn.q_norm": "q_norm",
    "attn.k_norm": "k_norm",
    "mlp.norm": "mlp.norm",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


@dataclass(frozen=True)
class _Family:
    """Names of the parameters outside the blocks, and the order of the input channels."""

    names: dict[str, str]  # from our names to the released ones
    viewpoint: list[int]  # index of each of our ray channels among the released ones
    image: list[int]  # the same for our image channels (RGB, rays)

    @property
    def rays(self) -> str:
        return "plucker" if len(self.viewpoint) == 6 else "origin_plucker"


_WIDE = _Family(
    {
        "image_tokenizer.linear": "image_tokenizer.1",
        "image_tokenizer.norm": "image_tokenizer.2",
        "viewpoint_tokenizer.linear": "viewpoint_tokenizer.1",
        "viewpoint_tokenizer.norm": "viewpoint_tokenizer.2",
        "head.0": "viewpoint_token_decoder.0",
        "head.1": "viewpoint_token_decoder.1",
    },
    viewpoint=[0, 1, 2, 6, 7, 8, 3, 4, 5],  # o, o x d, d
    image=[9, 10, 11, 0, 1, 2, 6, 7, 8, 3, 4, 5],
)
_TWO_VIEW = _Family(
    {
        "image_tokenizer.linear": "support_tokenizer",
        "image_tokenizer.norm": "support_layernorm",
        "viewpoint_tokenizer.linear": "input_tokenizer",
        "viewpoint_tokenizer.norm": "input_layernorm",
        "head.0": "token_decoder.0",
        "head.1": "token_decoder.1",
    },
    viewpoint=list(range(6)),
    image=list(range(9)),
)


def from_released(state: Mapping[str, Tensor], heads: int | None = None) -> ILRM:
    """Build a model, in eval mode, from released weights (the dict of tensors).

    Width, depth, patch size, uplift factor, viewpoint resolution and number of heads are inferred from the
    shapes; `heads`, if given, must agree. Every key is used exactly once and every shape is checked. Raises
    WeightsError.
    """
    where = "released weights"
    bare = {name.removeprefix(PREFIX): value for name, value in state.items()}
    if len(bare) < len(state):
        raise WeightsError(
            f"{where}: some keys exist with and without the prefix {PREFIX}: keep one of each"
        )
    state = bare
    family = _WIDE if "viewpoint_tokenizer.1.weight" in state else _TWO_VIEW
    config = _infer(state, family, heads, where)
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in ILRM(config).state_dict().items()}
    names = _names(config, family)
    check_keys(state, {names[name]: shape for name, shape in ours.items()}, where)
    converted = {name: state[names[name]].float() for name in ours}
    for name, order in (
        ("viewpoint_tokenizer", family.viewpoint),
        ("image_tokenizer", family.image),
    ):
        weight = converted[f"{name}.linear.weight"]  # [D, p * p * channels]
        by_pixel = weight.unflatten(1, (config.patch**2, len(order)))
        converted[f"{name}.linear.weight"] = by_pixel[:, :, order].flatten(1)
    model = ILRM(config)
    load_state(model, converted, where)
    return model.eval()


def _names(config: ModelConfig, family: _Family) -> dict[str, str]:
    """The released name of each of our parameters."""
    names = {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in family.names.items()}
    for i, kind in enumerate(config.block_kinds):
        for theirs, ours in (_CROSS if kind == "cross" else _SELF).items():
            names[f"blocks.{i}.{ours}.weight"] = f"processor.blocks.{i}.{theirs}.weight"
    return names


def _infer(
    state: Mapping[str, Tensor], family: _Family, heads: int | None, where: str
) -> ModelConfig:
    def shape(name: str, dimensions: int) -> list[int]:
        name = f"{name}.weight"
        if name not in state:
            raise WeightsError(
                f"{where}: no {name}: neither a wide-coverage nor a two-view checkpoint of the authors"
            )
        if state[name].ndim != dimensions:
            raise WeightsError(
                f"{where}: {name} has shape {list(state[name].shape)}, expected {dimensions} dimensions"
            )
        return list(state[name].shape)

    lifted, width = shape("processor.blocks.0.read_cross.q", 2)
    (head_size,) = shape("processor.blocks.0.read_cross.q_norm", 1)
    (values,) = shape(family.names["image_tokenizer.linear"], 2)[1:]
    (outputs, _) = shape(family.names["head.1"], 2)
    patch = round((values / len(family.image)) ** 0.5)
    inferred = width // max(head_size, 1)
    if heads not in (None, inferred):
        raise WeightsError(
            f"{where}: heads={heads}, but q_norm has {head_size} values per head: for width {width}, give "
            f"heads={inferred}"
        )
    numbers = {int(n.split(".")[2]) for n in state if n.startswith("processor.blocks.")}
    channels = outputs / patch**2 if patch else 0
    fits = (
        patch * patch * len(family.image) == values
        and channels in (14, 16)
        and lifted % width == 0
        and inferred * head_size == width
        and len(numbers) % 2 == 0
    )
    if not fits:
        raise WeightsError(
            f"{where}: {len(numbers)} blocks, width {width}, {lifted} query values, head size {head_size}, "
            f"{values} values per patch, {outputs} outputs: these are not the shapes of an iLRM model"
        )
    return ModelConfig(
        layers=len(numbers) // 2,
        width=width,
        heads=inferred,
        patch=patch,
        uplift=lifted // width,
        viewpoint_scale="F" if channels == 14 else "H",
        rays=family.rays,  # type: ignore[arg-type]
    )


def load_released(
    path: Path, views: int | None = None, size: tuple[int, int] | None = None
) -> Weights:
    """Read a released checkpoint file without executing any code in it. Raises WeightsError.

    `views` and `size` (height, width) override the training setup that is otherwise inferred from the family
    and the file name: 2 views of 256x256, or 16 or 32 views of 544x960.
    """
    content = read_tensors(path, WeightsError)
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(
            f"{path} does not contain a dict of tensors: give a checkpoint of the authors"
        )
    try:
        model = from_released(content)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if model.config.rays == "plucker":
        data = DataConfig(root="re10k", context_views=2, camera_scale="world")
    else:
        data = DataConfig(
            root="dl3dv",
            image_height=544,
            image_width=960,
            resize="stretch",
            context_views=16 if "16view" in path.name else 32,
        )
    if views is not None:
        data = replace(data, context_views=views)
    if size is not None:
        data = replace(data, image_height=size[0], image_width=size[1])
    return Weights(model, RunConfig("paper", model.config, data), str(path))
