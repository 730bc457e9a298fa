"""Numba compilation and the thread pool shared by the CPU kernels."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import torch

CHUNKS_PER_THREAD = 4  # several small ranges per thread balance the load

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` without the GIL, and cache it on disk if a cache folder is writable."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        kernel: Any = numba.njit(function, cache=True, **options)
    except RuntimeError:  # numba: "no locator available", i.e. no writable cache folder
        return numba.njit(function, **options)
    # Numba only checks the kernel's own file for changes; check the files of its helpers as well.
    kernel._cache._cache_file._source_stamp = _source_stamp()
    return kernel


def _source_stamp() -> tuple[tuple[str, int, int], ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)


def run_chunks(kernel: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """Call `kernel(start, stop, *arguments)` on ranges that cover `range(count)`.

    The ranges run on `torch.get_num_threads()` threads, including the calling one. A kernel must write the
    results of each range to separate memory, so that they do not depend on the number of threads. Returns
    the return values of the calls, in the order of the ranges.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        return [kernel(0, count, *arguments)] if count else []
    chunks = min(count, threads * CHUNKS_PER_THREAD)
    bounds = [count * k // chunks for k in range(chunks + 1)]
    results: list[Any] = [None] * chunks
    todo = iter(range(chunks))  # next() is atomic under the GIL

    def work() -> None:
        for k in todo:
            results[k] = kernel(bounds[k], bounds[k + 1], *arguments)

    helpers = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():  # a helper that has not started has nothing left to do
            helper.result()
    return results


def _pool(workers: int) -> ThreadPoolExecutor:
    with _lock:
        if workers not in _pools:
            _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="ilrm-rasterizer")
        return _pools[workers]


def _forget_pools() -> None:
    """Discard the pools after a fork: the child process does not have its parent's threads."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)
