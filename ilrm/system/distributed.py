"""Distributed processes under torchrun."""

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

PATIENCE = timedelta(days=30)  # timeout of the others while the first process evaluates or waits

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among those started by torchrun; without torchrun, the only one."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def processes() -> Processes:
    """Join torchrun's process group if its environment variables are set (NCCL on CUDA, else Gloo)."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else None
    if device is not None:
        torch.cuda.set_device(device)
    if count > 1 and not dist.is_initialized():
        _join("nccl" if cuda else "gloo")
    return Processes(rank, count, device or torch.device("cpu"))


def _join(backend: str) -> None:
    """Join the process group, with keys in torchrun's store that are this attempt's own.

    torchrun keeps one store over all restarts (`--max-restarts`), where a process that joins before the
    others would find the addresses of dead ones. On several hosts, whose agents count restarts differently,
    the environment variable in docs/gpu.md gives each attempt a store instead.
    """
    if os.environ.get("GROUP_WORLD_SIZE") != "1":
        dist.init_process_group(backend)
        return
    store, rank, count = next(rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    of_attempt = dist.PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(backend, store=of_attempt, rank=rank, world_size=count)


def wait_for_all() -> None:
    """Wait until every process has called this; unlike NCCL's barrier, it does not time out after minutes."""
    if processes().count > 1:
        dist.barrier(_patient_group())


def mean_over(values: torch.Tensor, group: Processes) -> torch.Tensor:
    """The mean over all processes of values on the processes' device."""
    if group.count == 1:
        return values
    sums = values.clone()
    dist.all_reduce(sums)
    return sums / group.count


def from_first(value: Value) -> Value:
    """Broadcast the first process's value to every process."""
    if processes().count == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, group=_patient_group())
    return values[0]


@cache
def _patient_group() -> dist.ProcessGroup:
    return dist.new_group(backend="gloo", timeout=PATIENCE)
