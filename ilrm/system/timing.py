"""Timing: medians of repeated calls, synchronised with the device."""

import statistics
import time
from collections.abc import Callable

import torch


def median_seconds(
    work: Callable[[], object], device: torch.device, budget: float
) -> tuple[float, float, float]:
    """(median, 10%, 90%) seconds of `work`, after one warm-up call, with a synchronised device.

    `work` is repeated for about `budget` seconds, 3 to 50 times, but only twice if one call exceeds the
    budget. With fewer than ten repeats, the percentiles are the minimum and maximum.
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
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
