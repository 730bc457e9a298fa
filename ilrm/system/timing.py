"""Timing: medians of repeated calls, with the device waited for."""

import statistics
import time
from collections.abc import Callable

import torch


def median_seconds(
    work: Callable[[], object], device: torch.device, budget: float
) -> tuple[float, float, float]:
    """(median, 10%, 90%) seconds of `work`, warmed up by one call, synchronised around every call.

    Repeated for about `budget` seconds, 3 to 50 times; what takes longer than the budget twice. With fewer
    than ten repeats the range is that of all.
    """
    first = _seconds(work, device)
    first = min(first, _seconds(work, device)) if first < budget else first
    repeats = 2 if first > budget else max(3, min(50, int(budget / max(first, 1e-6))))
    times = sorted(_seconds(work, device) for _ in range(repeats))
    low, high = times[len(times) // 10], times[-1 - len(times) // 10]
    return statistics.median(times), low, high


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
