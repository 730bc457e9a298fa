"""Description of the environment of a result: versions, commit, device, threads, processes."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ilrm.system.attention_kernels import choose_attention
from ilrm.system.paths import CHECKOUT

PACKAGES = ("torch", "gsplat", "lpips", "numba", "numpy", "einops", "papermill", "optuna", "fvcore")


def describe(device: torch.device) -> dict[str, Any]:
    """The environment as plain values, for a run's `environment.json`."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": device_name(device),
        "attention": choose_attention(device),
        "threads": torch.get_num_threads(),  # per process
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        # torch's own name of its version says which build it is, such as +cu130
        "versions": {name: _version(name) for name in PACKAGES} | {"torch": torch.__version__},
    }


def _version(package: str) -> str | None:
    """Installed version, or None: a machine used only for training need not have all packages."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def device_name(device: torch.device) -> str:
    """Model name of the GPU or CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """ILRM_COMMIT if set (for copies without .git), else the commit of the checkout, with "+" if it has
    changes.

    None for an installed package, which may lie in a working tree that is not its own.
    """
    if commit := os.environ.get("ILRM_COMMIT"):
        return commit
    if CHECKOUT is None:
        return None
    try:
        command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, encoding="utf-8", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
