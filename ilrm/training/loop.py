"""One training loop for every scale: CPU or CUDA, one process or torchrun, resumable."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from ilrm.config import RunConfig, TrainConfig
from ilrm.data.batches import TrainingData
from ilrm.errors import ConfigError, RunError, WeightsError
from ilrm.evaluation.scoring import validation_psnr
from ilrm.model import ILRM
from ilrm.rendering import render
from ilrm.system.attention_kernels import choose_attention
from ilrm.system.distributed import Processes, mean_over, processes
from ilrm.system.paths import RUNS
from ilrm.system.progress import progress_bar
from ilrm.system.stopping import stopping_between_steps
from ilrm.training import checkpoints
from ilrm.training.checkpoints import Progress
from ilrm.training.initialization import local_start
from ilrm.training.losses import Loss, depth_loss
from ilrm.training.optimizers import make_optimizers, schedule, set_learning_rates
from ilrm.views import Batch
from ilrm.weights.state import read_weights

LOG_POINTS = 100  # rows of a run's history
SKIPS_ALLOWED = 20  # training stops with an error if more first steps than these are all skipped


def build_model(config: RunConfig) -> ILRM:
    """The model of a run, initialised from its seed."""
    torch.manual_seed(config.train.seed)
    model = ILRM(config.model, checkpointing=config.train.checkpointing)
    if config.train.start:
        load_start(model, config.train.start)
    elif config.model.init == "local":
        local_start(model)
    return model


def load_start(model: ILRM, start: str) -> None:
    """Load weights of an earlier run, or of any source of `read_weights`, into a model of the same shapes.

    Raises WeightsError.
    """
    run = RUNS / start
    weights = read_weights(run if run.is_dir() else start).model
    shapes, given = (
        {name: tuple(value.shape) for name, value in m.state_dict().items()}
        for m in (model, weights)
    )
    for name in shapes.keys() | given.keys():
        if shapes.get(name) != given.get(name):
            raise WeightsError(
                f"start={start}: {name} is {given.get(name)}, the run's model has {shapes.get(name)}: start "
                "from weights of the same layers, width and patch"
            )
    model.load_state_dict(weights.state_dict())


def train(
    config: RunConfig,
    folder: Path,
    data: TrainingData,
    validation: Sequence[Batch],
    show_progress: bool = True,
    on_point: Callable[[Progress], None] = lambda progress: None,
) -> tuple[ILRM, Progress]:
    """Train to `config.train.steps`, from the newest checkpoint in `folder` if there is one.

    A run that is killed and started again ends with the same weights: batches depend on the step alone,
    and checkpoints hold optimiser and random states. Ctrl-C, SIGTERM and SIGHUP end the step and save a
    checkpoint before they raise Stopped. `on_point` is called after every new point of the curve.
    """
    group = processes()
    t = config.train
    model = build_model(config).to(group.device)
    loss_fn = Loss(t).to(group.device)
    optimizers = make_optimizers(model, t)
    progress = checkpoints.load(folder, model, optimizers) or Progress(0, [], 0.0)
    step_fn = TrainingStep(config, model, loss_fn, optimizers, group)

    log_every = max(1, t.steps // LOG_POINTS)
    validation = [batch.to(group.device) for batch in validation]
    if group.device.type == "cuda":
        data.dataset.keep_on(group.device)
    sums, started, saved = (
        _Sums(progress.since),
        time.perf_counter() - progress.seconds,
        time.perf_counter(),
    )
    steps = range(progress.step, t.steps)
    bar = progress_bar(
        zip(steps, data.batches(steps, group.rank, group.count), strict=True),
        initial=progress.step,
        total=t.steps,
        desc="train",
        unit="step",
        disable=not (show_progress and group.is_first),
    )
    model.train()
    with stopping_between_steps() as stop:
        for step, batch in bar:
            sums.add(step_fn(step, batch))
            done, seconds = step + 1, time.perf_counter() - started
            at_point = done % log_every == 0 or done == t.steps
            if at_point:
                means = sums.means()
                _check_learning(means, done, t)
                row = {"step": done, "seconds": round(seconds, 1), "lr": t.lr * schedule(step, t)}
                row |= means
                if done % t.eval_every < log_every or done == t.steps:
                    row["validation_psnr"] = validation_psnr(model, validation)
                progress = Progress(done, [*progress.history, row], seconds)
                sums = _Sums()
                shown = {k: f"{row[k]:.4g}" for k in ("loss", "validation_psnr") if k in row}
                bar.set_postfix(shown, refresh=False)
                if group.is_first:
                    on_point(progress)
            due = time.perf_counter() - saved > 60 * t.save_minutes or done == t.steps
            if group.is_first and ((at_point and due) or stop.number is not None):
                now = Progress(done, progress.history, seconds, sums.values())
                checkpoints.save(folder, now, model, optimizers)
                saved = time.perf_counter()
            stop.obey()
    return model, progress


def _check_learning(means: dict[str, float], done: int, t: TrainConfig) -> None:
    """Raise RunError if every step so far was skipped."""
    if means["skipped"] == 1 and done > SKIPS_ALLOWED:
        raise RunError(
            f"every step up to {done} was skipped: gradient norm {means['grad_norm']:.3g} is not "
            f"finite or above skip_norm={t.skip_norm}; lower lr or raise skip_norm"
        )


class TrainingStep:
    """Forward, backward, clip or skip, update: `step_fn(step, batch)` gives the step's values, means over
    all processes.
    """

    def __init__(
        self,
        config: RunConfig,
        model: ILRM,
        loss: nn.Module,
        optimizers: list[torch.optim.Optimizer],
        group: Processes,
    ):
        self.config, self.loss, self.optimizers, self.group = config.train, loss, optimizers, group
        self.viewpoint_factor = config.model.viewpoint_factor
        choose_attention(group.device)
        if self.config.batch // group.count % self.config.accumulate:
            raise ConfigError(
                f"accumulate={self.config.accumulate}: each of {group.count} processes has "
                f"{self.config.batch // group.count} scenes per step, which it cannot divide equally"
            )
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.model: nn.Module = model
        if self.config.compile:
            for block in model.blocks:
                block.compile()
        if group.count > 1:
            self.model = nn.parallel.DistributedDataParallel(model)

    def __call__(self, step: int, batch: Batch) -> dict[str, Tensor]:
        parts = batch.to(self.group.device).parts(self.config.accumulate)
        several = []
        for k, part in enumerate(parts, start=1):
            with self._gradients_wait(k < len(parts)):
                loss, values = self._loss(step, part)
                (loss / len(parts)).backward()
            several.append({"loss": loss.detach(), **values})
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        skipped = not bool(norm <= self.config.skip_norm)  # also if the norm is not finite
        if not skipped:
            set_learning_rates(self.optimizers, step, self.config)
            for optimizer in self.optimizers:
                optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        means = {k: torch.stack([values[k] for values in several]).mean() for k in several[0]}
        means |= {"grad_norm": norm.detach(), "skipped": torch.tensor(float(skipped))}
        together = torch.stack([value.to(self.group.device) for value in means.values()])
        return dict(zip(means, mean_over(together, self.group).unbind(), strict=True))

    def _gradients_wait(self, wait: bool) -> AbstractContextManager[None]:
        """Context in which, if `wait`, gradients are only summed in this process and not exchanged."""
        if wait and isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()

    def _loss(self, step: int, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        device = self.group.device
        bf16 = self.config.precision == "bf16" and device.type == "cuda"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            gaussians = self.model(batch.inputs)
        pred = render(gaussians, batch.targets.cameras).images
        loss, values = self.loss(pred.flatten(0, 1), batch.targets.images.flatten(0, 1))
        if self.config.depth_weight:
            assert batch.input_depths is not None  # training_data was called with depths
            depth = depth_loss(
                gaussians, batch.inputs.cameras, batch.input_depths, self.viewpoint_factor
            )
            loss = loss + self.config.depth_weight * (1 - step / self.config.steps) * depth
            values["depth"] = depth.detach()
        return loss, values


class _Sums:
    """Means of the values of several steps, without waiting for the device at each."""

    def __init__(self, values: Sequence[dict[str, float]] = ()) -> None:
        self.steps = [{k: torch.tensor(v) for k, v in step.items()} for step in values]

    def add(self, values: dict[str, Tensor]) -> None:
        self.steps.append(values)

    def values(self) -> list[dict[str, float]]:
        """The values of each step, from which sums can be made again."""
        return [{k: float(v) for k, v in step.items()} for step in self.steps]

    def means(self) -> dict[str, float]:
        """Means over the steps."""
        names = list(self.steps[0])
        return {k: float(torch.stack([s[k].cpu() for s in self.steps]).mean()) for k in names}
