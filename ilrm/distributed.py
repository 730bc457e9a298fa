"""torchrun: the process group, and which of its processes this is."""

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Processes:
    """This process among those that torchrun started; alone without torchrun."""

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
    if count > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    return Processes(rank, count, device or torch.device("cpu"))
