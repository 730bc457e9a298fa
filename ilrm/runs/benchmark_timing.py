"""Times and memory of one case: encoder (images to Gaussians), renderer (one view) and training step.

Each time is the median of repeated, synchronised calls after a warm-up. Measurements that would not fit in
memory or would take too long, and those that fail, are left out with the reason.
"""

import copy
import gc
import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ilrm import cost
from ilrm.cameras import Cameras, normalization
from ilrm.config import RunConfig
from ilrm.cost.floors import Device, floor_seconds, measured_device
from ilrm.cost.memory import Workload, inference_bytes, saved_bytes, training_memory
from ilrm.fast import FastILRM
from ilrm.gaussians import Gaussians
from ilrm.model import ILRM
from ilrm.paper_configs import Case
from ilrm.presets import run_config
from ilrm.ranges import RANGES
from ilrm.rendering import render
from ilrm.system.distributed import Processes
from ilrm.system.environment import device_name
from ilrm.system.timing import median_seconds
from ilrm.training.loop import TrainingStep, build_model
from ilrm.training.losses import Loss
from ilrm.training.optimizers import make_optimizers
from ilrm.views import Batch, Views

LONGEST = 10.0  # seconds; a call that is expected to take longer is left out
# the same for the encoder of iLRM itself, which Table 15 measures with up to 256 views
LONGEST_OWN = 40.0
EFFICIENCY = 0.5  # assumed share of the floor's rate, for the expected time
FAILED = "failed"  # start of the reason if a case ended with an error
MEMORY_SHARE = 0.8  # a measurement expected to need a larger share of the memory is left out


@dataclass(frozen=True)
class Bench:
    """A device, its rates and memory, and the time per measurement."""

    device: torch.device
    rates: Device
    memory: int  # bytes
    budget: float  # seconds per measurement

    @classmethod
    def here(cls, budget: float) -> "Bench":
        """Bench on the first GPU, else on the CPU."""
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", 0) if cuda else torch.device("cpu")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if cuda:
            memory = torch.cuda.get_device_properties(device).total_memory
        dtype = torch.bfloat16 if cuda else torch.float32
        return cls(device, measured_device(device, dtype, device_name(device)), memory, budget)

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        return "bf16" if self.device.type == "cuda" else "fp32"

    @property
    def value_bytes(self) -> int:
        return 2 if self.precision == "bf16" else 4

    def measure(self, case: Case) -> dict[str, Any]:
        """One row: description and cost of the case, its times in seconds and its memory in bytes."""
        row: dict[str, Any] = {
            "case": case.name,
            "design": _design(case),
            "tables": " ".join(case.tables),
            "views": case.views,
            "height": case.height,
            "width": case.width,
            "fields": json.dumps(case.fields, sort_keys=True),
            "batch": case.batch,
            "parameters": cost.parameters(case.config),
            "gaussians": cost.gaussians(case.config, *case.size),
            "macs": sum(cost.analytic_macs(case.config, *case.size).values()),
        }
        row["floor_s"] = floor = floor_seconds(
            case.config, *case.size, self.rates, self.value_bytes
        )
        cuda = self.device.type == "cuda"  # running out of memory there does no harm: not estimated
        work = Workload(case.config, *case.size, precision=self.precision, fused_norm=cuda)
        needed = 0 if cuda else inference_bytes(work)
        longest = LONGEST_OWN if row["design"] == "iLRM" else LONGEST
        row["left_out"] = self._too_much(floor, longest, needed)
        if not row["left_out"]:
            row |= self._unless_it_fails("left_out", lambda: self._inference(case, needed))
        training = replace(work, batch=case.batch)
        held = saved_bytes(training) + 16 * row["parameters"]
        row["training_left_out"] = self._too_much(3 * floor * case.batch, LONGEST, held)
        if not row["training_left_out"]:
            row |= self._unless_it_fails(
                "training_left_out", lambda: self._training(case, training)
            )
        return row

    def _too_much(self, floor: float, longest: float, needed: int) -> str:
        """Why a measurement is left out; empty if it is not."""
        expected = floor / EFFICIENCY
        if expected > longest:
            return f"would take about {expected:.0f} s"
        if needed > MEMORY_SHARE * self.memory:
            return f"would need {needed / 1e9:.0f} GB"
        return ""

    def _unless_it_fails(
        self, reason: str, measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        try:
            return measure()
        except torch.OutOfMemoryError:
            return {reason: f"does not fit into {self.memory / 1e9:.0f} GB"}
        except Exception as error:  # the other cases are still worth measuring
            traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0]
            return {reason: f"{FAILED}: {type(error).__name__}: {first[:100]}"}

    def _inference(self, case: Case, counted_bytes: int) -> dict[str, Any]:
        before = self._allocated()
        model = FastILRM(_model(self._run(case)), self.device)
        views = _views(case, 1).to(self.device)
        attention = _attention_kernels(model, views)
        self._reset_peak()
        made: list[Gaussians] = []

        def encode() -> None:
            made[:] = [model(views)]

        if self.device.type == "cuda":
            encode()  # compiles, and captures
        encoder = median_seconds(encode, self.device, self.budget)
        memory = self._peak(before, lambda: counted_bytes)
        with torch.inference_mode():
            camera = views.cameras[:, :1]
            renderer = median_seconds(lambda: render(made[0], camera), self.device, self.budget)
        return {
            **_timing("encoder", encoder),
            **_timing("renderer", renderer),
            "memory": memory,
            "attention": attention,
        }

    def _training(self, case: Case, work: Workload) -> dict[str, Any]:
        """A step with MSE alone, without checkpointing, on the case's batch."""
        before = self._allocated()
        run = self._run(case)
        model = copy.deepcopy(_model(run)).to(self.device)
        loss, optimizers = Loss(run.train).to(self.device), make_optimizers(model, run.train)
        step = TrainingStep(run, model, loss, optimizers, Processes(0, 1, self.device))
        inputs = _views(case, case.batch)
        targets = Views(inputs.images[:, :2], inputs.cameras[:, :2])
        batch = Batch(inputs, targets, normalization(inputs.cameras)).to(self.device)
        step(0, batch)
        self._reset_peak()
        timing = median_seconds(lambda: step(1, batch), self.device, self.budget)
        memory = self._peak(before, lambda: training_memory(work).peak)
        return {**_timing("training", timing), "training_memory": memory}

    def _run(self, case: Case) -> RunConfig:
        run = run_config(case.scale, **case.fields)
        recipe = replace(
            run.train,
            perceptual="none",
            depth_weight=0.0,
            checkpointing=False,
            compile=self.device.type == "cuda",
            skip_norm=RANGES["skip_norm"].high,  # no step is skipped
            precision=self.precision,
            batch=case.batch,
        )
        return replace(run, train=recipe)

    def _allocated(self) -> int:
        """Bytes that earlier cases left on the GPU, such as compiled models, which are not this case's."""
        if self.device.type != "cuda":
            return 0
        gc.collect()
        return torch.cuda.memory_allocated(self.device)

    def _reset_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def _peak(self, before: int, counted: Callable[[], int]) -> int:
        """Peak bytes beyond `before`: measured on CUDA; counted on a CPU, whose allocator keeps no
        statistics.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - before
        return counted()


@lru_cache(maxsize=2)  # a design and its baseline, which the next case may need at another size
def _model(run: RunConfig) -> ILRM:
    return build_model(run)


def _design(case: Case) -> str:
    return "full attention" if case.config.cross_attention == "none" else "iLRM"


def _timing(name: str, seconds: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((f"{name}_s", f"{name}_low_s", f"{name}_high_s"), seconds, strict=True))


def _views(case: Case, batch: int) -> Views:
    """Random images, with cameras side by side that look forward."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, case.views, 3, case.height, case.width, generator=generator)
    c2w = torch.eye(4).repeat(batch, case.views, 1, 1)
    c2w[..., 0, 3] = torch.linspace(-1, 1, case.views)
    focal = 0.9 * case.width
    intrinsics = torch.tensor([focal, focal, case.width / 2, case.height / 2])
    cameras = Cameras.from_fxfycxcy(
        intrinsics.expand(batch, case.views, 4), c2w, case.height, case.width
    )
    return Views(images, cameras)


def _attention_kernels(model: FastILRM, views: Views) -> str:
    """The fused attention kernels that a forward pass runs, e.g. "flash_attention"; "math" if none."""
    with torch.compiler.set_stance("force_eager"), _AttentionSeen() as seen:
        model.uncaptured(views)
    return " ".join(sorted(seen.kernels)) or "math"


class _AttentionSeen(TorchDispatchMode):
    """Records the fused attention operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith("_scaled_dot_product_"):
            self.kernels.add(name.removeprefix("_scaled_dot_product_"))
        return func(*args, **(kwargs or {}))
