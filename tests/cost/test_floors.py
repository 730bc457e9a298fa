"""The floor of a device, and timing that repeats what it should."""

import time

import pytest
import torch

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.cost.floors import Device, floor_seconds, measured_device
from ilrm.system.timing import median_seconds

CPU = torch.device("cpu")


def test_the_floor_is_products_or_memory_whichever_takes_longer():
    config = ModelConfig()
    flops = 2 * sum(cost.analytic_macs(config, 8, 256, 256).values())
    fast_memory = Device("a", 1e12, 1e20)
    assert floor_seconds(config, 8, 256, 256, fast_memory) == pytest.approx(flops / 1e12)
    slow_memory = Device("b", 1e20, 1e9)
    bf16, fp32 = (floor_seconds(config, 8, 256, 256, slow_memory, b) for b in (2, 4))
    assert bf16 > 2 * cost.parameters(config) / 1e9 and fp32 == pytest.approx(2 * bf16)


def test_timing_warms_up_and_repeats_within_its_budget():
    calls = []

    def work():
        calls.append(time.perf_counter())
        time.sleep(0.01)

    median, low, high = median_seconds(work, CPU, budget=0.1)
    assert 0.01 <= low <= median <= high and 5 <= len(calls) <= 12
    calls.clear()
    median_seconds(work, CPU, budget=0.001)  # longer than the budget: once to warm up, then twice
    assert len(calls) == 3


def test_a_devices_rates_are_possible_ones():
    here = measured_device(CPU, torch.float32, "here")
    assert 1e9 < here.flops < 1e13 and 1e9 < here.bandwidth < 1e12
