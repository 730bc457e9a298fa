"""Numba compilation and the thread pool shared by the CPU kernels."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import torch

CHUNKS_PER_THREAD = 4  # small ranges even out images of unequal cost

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` without the GIL; keep it on disk where a cache folder is writable."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        kernel: Any = numba.njit(function, cache=True, **options)
    except RuntimeError:  # numba: "no locator available", nowhere to write the cache
        return numba.njit(function, **options)
    # Numba looks at a kernel's own file only; a change to a helper must count as well.
    kernel._cache._cache_file._source_stamp = _source_stamp()
    return kernel


def _source_stamp() -> tuple[tuple[str, int, int], ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)


def run_chunks(kernel: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """Call `kernel(start, stop, *arguments)` on ranges that cover `range(count)`.

    The ranges run on `torch.get_num_threads()` threads, the calling one among them. A kernel must
    write each range's results to places of its own, so that results do not depend on the number of
    threads. Returns what each call returned, in the order of the ranges.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        return [kernel(0, count, *arguments)] if count else []
    chunks = min(count, threads * CHUNKS_PER_THREAD)
    bounds = [count * k // chunks for k in range(chunks + 1)]
    results: list[Any] = [None] * chunks
    todo = iter(range(chunks))  # the GIL makes next() on it atomic

    def work() -> None:
        for k in todo:
            results[k] = kernel(bounds[k], bounds[k + 1], *arguments)

    helpers = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():  # one that has not started finds nothing left to do
            helper.result()
    return results


def _pool(workers: int) -> ThreadPoolExecutor:
    with _lock:
        if workers not in _pools:
            _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="ilrm-rasterizer")
        return _pools[workers]


def _forget_pools() -> None:
    """A forked child has none of its parent's threads: start afresh."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)
