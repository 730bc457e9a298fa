"""Processes under torchrun find each other, also after a restart."""

import os
import subprocess
import sys

import torch.distributed as dist

JOIN = """
from ilrm.system.distributed import processes, wait_for_all
wait_for_all()
print(processes().rank)
"""
OWN = 1  # key that the store has for itself


def test_a_restart_finds_no_addresses_of_earlier_attempts():
    """torchrun keeps one store over its restarts. In it a process that joins early would find the address of
    a dead one, and, for one order of their ports in two, try to connect to it.
    """
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    elastic = {"TORCHELASTIC_USE_AGENT_STORE": "True", "GROUP_WORLD_SIZE": "1"}
    place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2"}
    keys = []
    for attempt in range(2):
        started = []
        for rank in range(2):
            numbers = {"RANK": str(rank), "TORCHELASTIC_RESTART_COUNT": str(attempt)}
            process = subprocess.Popen(
                [sys.executable, "-c", JOIN],
                env={**os.environ, **elastic, **place, **numbers},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(process)
        for rank, process in enumerate(started):
            output, errors = process.communicate(timeout=120)
            assert output.strip() == str(rank), errors
        keys.append(store.num_keys())
    assert keys[1] - keys[0] == keys[0] - OWN > 0
