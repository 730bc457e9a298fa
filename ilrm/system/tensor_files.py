"""Reading of torch files written by others, without running any code in them."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilrm.errors import DataError, IlrmError
from ilrm.system.found_instead import describe_content, describe_path, first_bytes

DEEPEST = 20  # largest depth of nested dicts and lists


def _check(value: Any, level: int = 0) -> None:
    """Raise TypeError on tensors that are not plain: sparse, complex, quantised, without values (meta), or
    larger than their stored values.
    """
    if level > DEEPEST:
        raise TypeError("it is nested too deeply")
    if isinstance(value, dict):
        for item in value.values():
            _check(item, level + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, level + 1)
    elif isinstance(value, Tensor):
        plain = value.layout == torch.strided and value.device.type == "cpu"
        if not plain or value.is_complex() or value.is_quantized or value.is_nested:
            raise TypeError(
                f"it has a tensor that is not dense and real: {value.layout}, {value.dtype}"
            )
        if value.nbytes > value.untyped_storage().nbytes():
            raise TypeError(f"it has a tensor of shape {list(value.shape)} with fewer values")


def read_tensors(path: Path, kind: type[IlrmError] = DataError) -> Any:
    """Contents of a torch file, memory-mapped, on the CPU. Nothing but tensors and plain containers is
    unpickled.

    Raises an error of this kind if the file cannot be read or contains anything else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check(content)
        return content
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            words = describe_content(first_bytes(path))
            raise kind(f"{path} {words or 'is not a file of tensors: fetch it again'}") from error
        raise kind(
            f"{path} contains pickled code or objects other than tensors, which are not loaded: if you trust "
            "the file, load it yourself and save only its tensors"
        ) from error
    except Exception as error:  # damaged archives raise almost anything
        missing = None if os.path.lexists(path) else "does not exist: check the path"
        if (
            words := missing or describe_path(path) or describe_content(first_bytes(path))
        ) is not None:
            raise kind(f"{path} {words}") from error
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise kind(f"{path} is truncated or not a torch file ({reason}): fetch it again") from error
