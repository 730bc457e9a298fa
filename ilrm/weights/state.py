"""Weights folders: model.safetensors together with the config.json of the run that trained the model.

Every run folder is a weights folder; `write_weights` creates one for distribution, named after model size,
data, resolution, views and the hash of the weights.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ilrm import cost
from ilrm.config import RunConfig
from ilrm.errors import ConfigError, WeightsError
from ilrm.model import ILRM
from ilrm.system.files import atomic_folder, write_json
from ilrm.system.found_instead import describe_content, describe_path, first_bytes
from ilrm.system.json_files import read_json
from ilrm.weights.spread import FILE as SPREAD
from ilrm.weights.spread import Spread
from ilrm.weights.training_ranges import FILE as SEEN
from ilrm.weights.training_ranges import TrainingRanges

RELEASED = (".ckpt", ".pt", ".pth")  # suffixes of the authors' files
FILE, CONFIG = "model.safetensors", "config.json"
PACKAGED = Path(__file__).parent  # contains the packaged weights folders


@dataclass(frozen=True)
class Weights:
    """A trained model, on the CPU and ready for inference."""

    model: ILRM
    config: RunConfig  # configuration of the run that trained it: image size, views, scale rule
    source: str  # as given to `read_weights`
    seen: TrainingRanges | None = None  # if known
    spread: Spread | None = None  # if measured


def read_weights(source: str | Path) -> Weights:
    """Read weights from a weights or run folder, a released file (`ilrm.weights.released`), a Hugging Face
    hub id, or by the name of packaged weights ("ilrm-small").

    Loading is strict: keys and shapes must match exactly. Raises WeightsError.
    """
    path = Path(source)
    if path.is_file() and path.suffix in RELEASED:
        from ilrm.weights.released import load_released

        return load_released(path)
    if path.is_dir():
        return _from_folder(path, str(source))
    name = str(source)
    if name in {file.parent.name for file in PACKAGED.glob(f"*/{CONFIG}")}:
        return _from_folder(PACKAGED / name, name)
    local = name.startswith((".", "/", "~")) or path.suffix in (*RELEASED, ".safetensors")
    if name.count("/") == 1 and not local:
        return _from_folder(_download(name), name)
    raise WeightsError(
        f"{source} is missing: give a weights folder, a run folder, a released .ckpt or .pt file, or a "
        "hub id owner/name"
    )


def _from_folder(folder: Path, source: str) -> Weights:
    config_file = folder / CONFIG
    if not config_file.is_file():
        raise WeightsError(f"{source} contains no {CONFIG}: give a weights folder or a run folder")
    values = read_json(config_file, WeightsError, "fetch it again")
    try:
        config = RunConfig.from_dict(values)
    except ConfigError as error:
        raise WeightsError(
            f"{config_file} is not a valid run configuration ({error}): fetch it again"
        ) from error
    file = folder / FILE
    if not file.is_file():  # a run that only evaluates the weights of another run
        file = folder.with_name(config.training.name) / FILE
    if not file.is_file():
        raise WeightsError(f"{source} contains no {FILE}: finish the run to get its weights")
    model = ILRM(config.model)
    load_state(model, read_state(file), str(file))
    about = TrainingRanges.read(file.parent), Spread.read(file.parent)
    return Weights(model.eval(), config, source, *about)


def read_state(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file. Raises WeightsError."""
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        if (words := describe_path(file) or describe_content(first_bytes(file))) is not None:
            raise WeightsError(f"{file} {words}") from error
        raise WeightsError(
            f"{file} is truncated or not a safetensors file ({error}): fetch it again"
        ) from error


def write_state(model: nn.Module, path: Path) -> None:
    """Write a model's tensors to a safetensors file. Raises OSError, unlike safetensors' own writer."""
    path.write_bytes(_content(model))


def _content(model: nn.Module) -> bytes:
    return save({key: value.contiguous() for key, value in model.state_dict().items()})


def load_state(model: ILRM, state: Mapping[str, Tensor], where: str) -> None:
    """Copy values into a model, strictly. Raises WeightsError with the keys or shapes that do not match."""
    wanted = model.state_dict()
    check_keys(state, {name: tuple(value.shape) for name, value in wanted.items()}, where)
    model.load_state_dict(dict(state))


def check_keys(
    state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Raise WeightsError unless `state` has exactly these keys and shapes, and finite float values."""
    missing = [name for name in shapes if name not in state]
    unexpected = [name for name in state if name not in shapes]
    for kind, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(
                f"{where}: {kind} keys {', '.join(names[:3])}{more}: use the weights of this model"
            )
    for name, shape in shapes.items():
        actual = tuple(state[name].shape)
        if actual != shape:
            raise WeightsError(
                f"{where}: {name} has shape {list(actual)}, expected {list(shape)}: use the weights of this "
                "model"
            )
        if not (state[name].is_floating_point() and torch.isfinite(state[name]).all()):
            raise WeightsError(
                f"{where}: {name} contains values that are not finite floats: fetch it again"
            )


def write_weights(weights: Weights, parent: Path) -> Path:
    """Write a weights folder under `parent`, atomically, and return its path.

    Example of a name: `ilrm-0.77M-rooms-32x32-4v-1a2b3c4d5e`. Raises WeightsError if the folder exists.
    """
    model, config = weights.model, weights.config
    data = config.data
    size = f"{cost.parameters(config.model) / 1e6:.3g}M"
    name = Path(data.root).name if data.root else "rooms"
    digest = hashlib.sha256(_content(model)).hexdigest()[:10]
    folder = parent / (
        f"ilrm-{size}-{name}-{data.image_height}x{data.image_width}-{data.context_views}v-{digest}"
    )
    if folder.exists():
        raise WeightsError(f"{folder} exists already: use it, or delete it first")
    with atomic_folder(folder) as temporary:
        write_files(weights, temporary)
    return folder


def write_files(weights: Weights, folder: Path) -> None:
    """Write the files of a weights folder into an existing folder."""
    write_state(weights.model, folder / FILE)
    write_json(folder / CONFIG, weights.config.to_dict())
    if weights.seen is not None:
        weights.seen.write(folder)
    if weights.spread is not None:
        weights.spread.write(folder)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[FILE, CONFIG, SEEN, SPREAD]))
    except Exception as error:  # the hub client raises its own, httpx's and OS errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{name} is not a local path, and the hub returned nothing for this id ({reason}): check the "
            "name and the network, or give a folder"
        ) from error
