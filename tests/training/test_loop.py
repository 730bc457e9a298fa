"""Training: a killed run resumes to the same result; bad steps are skipped; torchrun gives the same."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from ilrm.data.batches import held_out_scenes, training_data, validation_batches
from ilrm.errors import ConfigError, RunError
from ilrm.presets import run_config
from ilrm.runs.store import find_run
from ilrm.runs.training_runs import perform_run
from ilrm.system.stopping import Stopped
from ilrm.training import checkpoints
from ilrm.training.loop import build_model, train

RESUMABLE = {"steps": 40, "minibatch": 2, "minibatch_pattern": "random", "save_minutes": 0.0}

KILLED = """
import sys
from pathlib import Path
from ilrm.presets import run_config
from ilrm.runs.training_runs import perform_run
from ilrm.system.stopping import Stopped
perform_run(run_config("smoke", **{fields}), store=Path(sys.argv[1]), show_progress=False)
"""

TWO_POINTS = """
from ilrm.training import loop
loop.LOG_POINTS = 2
"""
STOPPED_AT_THREE = """
import os, signal
add = loop._Sums.add
def add_and_stop(self, values):
    add(self, values)
    add_and_stop.steps += 1
    if add_and_stop.steps == 3:
        os.kill(os.getpid(), signal.SIGTERM)
add_and_stop.steps = 0
loop._Sums.add = add_and_stop
"""


def test_a_killed_run_goes_on_to_the_same_weights_and_metrics(tmp_path):
    """kill -9 after a checkpoint, then ask for the run again; the other half runs undisturbed."""
    config = run_config("smoke", **RESUMABLE)
    undisturbed = perform_run(config, store=tmp_path / "a", show_progress=False)
    script = KILLED.format(fields={**RESUMABLE})
    folder = tmp_path / "b" / config.name
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "b")])
    deadline = time.monotonic() + 120
    while not any(folder.glob("checkpoint-*/progress.json")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps_done = checkpoints.latest_step(folder)
    assert find_run(config, tmp_path / "b") is None and 0 < steps_done < 40
    resumed = perform_run(config, store=tmp_path / "b", show_progress=False)
    weights = [load_file(run.folder / "model.safetensors") for run in (undisturbed, resumed)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    assert resumed.per_view.equals(undisturbed.per_view)
    curves = [run.history.drop(columns="seconds") for run in (undisturbed, resumed)]
    assert curves[0].equals(curves[1])
    assert not list(folder.glob("checkpoint-*"))  # a complete run keeps its weights only


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_stop_saves_where_it_is(number, tmp_path):
    """Between two points of the curve, and without any other checkpoint; it resumes to the same result."""
    fields = {"steps": 300, "save_minutes": 1e6, "warmup": 2}
    config = run_config("smoke", **fields)
    line = [sys.executable, "-m", "ilrm.train", "--scale", "smoke"]
    line += [f"{name}={value}" for name, value in fields.items()]
    environment = {**os.environ, "ILRM_RUNS": str(tmp_path)}
    folder = tmp_path / config.name
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    last = f"stopped by {signal.Signals(number).name}: run the same command again to resume"
    assert error.rstrip().splitlines()[-1] == last and "Traceback" not in error
    assert 0 < checkpoints.latest_step(folder) < 300
    if number == signal.SIGTERM:
        resumed = perform_run(config, store=tmp_path, show_progress=False)
        undisturbed = perform_run(config, store=tmp_path / "a", show_progress=False)
        weights = [load_file(run.folder / "model.safetensors") for run in (undisturbed, resumed)]
        assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
        curves = [run.history.drop(columns="seconds") for run in (undisturbed, resumed)]
        assert curves[0].equals(curves[1])


def train_smoke(tmp_path, **fields):
    config = run_config("smoke", **fields)
    data = training_data(config.data, config.train.batch, config.train.seed, depths=True)
    validation = validation_batches(held_out_scenes(config.data))
    return train(config, tmp_path, data, validation, show_progress=False)


def test_training_lowers_the_loss(tmp_path):
    _, progress = train_smoke(tmp_path, steps=80, warmup=2)
    losses = [row["loss"] for row in progress.history]
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    assert [row["step"] for row in progress.history] == list(range(1, 81))


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path, capsys):
    fields = {"steps": 8, "save_minutes": 0.0}
    first, _ = train_smoke(tmp_path, **fields)
    newest = sorted(tmp_path.glob("checkpoint-*"))[-1]
    (newest / "state.pt").write_bytes(b"")
    again, progress = train_smoke(tmp_path, **fields)
    assert f"{newest} is damaged" in capsys.readouterr().out
    assert [row["step"] for row in progress.history] == list(range(1, 9))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_steps_with_large_gradients_are_skipped_and_a_run_of_nothing_else_stops(tmp_path):
    with pytest.raises(RunError, match="every step .* skip_norm"):
        train_smoke(tmp_path, steps=40, skip_norm=1e-9)


def test_the_seed_decides_the_start():
    first, same, other = (
        torch.cat([p.flatten() for p in build_model(run_config("smoke", seed=s)).parameters()])
        for s in (0, 0, 1)
    )
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bf16_checkpointing_and_compiled_blocks_train_on_cuda(tmp_path):
    fields = {"precision": "bf16", "checkpointing": True, "compile": True, "steps": 40, "warmup": 2}
    model, progress = train_smoke(tmp_path, **fields)
    losses = [row["loss"] for row in progress.history]
    assert next(model.parameters()).is_cuda and sum(losses[-10:]) < sum(losses[:10])


def trained_by(processes, folder, fields, program=KILLED, check=True):
    """A run performed by this many processes of torchrun."""
    script = folder / "run.py"
    folder.mkdir(exist_ok=True)
    script.write_text(program.format(fields=fields))
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [*command, "--standalone", str(script), str(folder)]
    subprocess.run(line, check=check, env=environment, capture_output=True)
    run = find_run(run_config("smoke", **fields), folder)
    assert run is not None or not check
    return run


def losses(run):
    return torch.tensor(run.history.loss.to_numpy())


def test_two_processes_train_what_one_does(tmp_path):
    """torchrun with Gloo: gradients are averaged over the processes' halves of the same batch, and so are the
    losses that the curve shows. So are those of a batch in parts.
    """
    fields = {"steps": 3, "batch": 4, "warmup": 2}
    alone = perform_run(run_config("smoke", **fields), store=tmp_path / "one", show_progress=False)
    together = trained_by(2, tmp_path / "two", fields)
    torch.testing.assert_close(losses(together), losses(alone), atol=1e-5, rtol=0)
    assert losses(together).std() > 1e-4
    in_parts = trained_by(2, tmp_path / "parts", {**fields, "accumulate": 2})
    torch.testing.assert_close(losses(in_parts), losses(alone), atol=1e-5, rtol=0)
    weights = [load_file(run.folder / "model.safetensors") for run in (alone, together, in_parts)]
    for name, value in weights[0].items():
        for other in weights[1:]:
            torch.testing.assert_close(value, other[name], atol=2e-3, rtol=1e-2, msg=name)


def test_a_run_resumes_with_another_number_of_processes(tmp_path):
    fields = {"steps": 6, "batch": 4, "warmup": 2, "save_minutes": 0.0}
    config = run_config("smoke", **fields)
    alone = perform_run(config, store=tmp_path / "one", show_progress=False)
    folder = tmp_path / "two"

    def stop_at_three(progress):
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        perform_run(config, store=folder, show_progress=False, on_point=stop_at_three)
    assert checkpoints.latest_step(folder / config.name) == 3
    resumed = trained_by(2, folder, fields)
    torch.testing.assert_close(losses(resumed), losses(alone), atol=1e-4, rtol=0)


def test_two_processes_that_are_stopped_between_points_of_the_curve_resume_to_the_same_curve(
    tmp_path,
):
    """The checkpoint is the first process's: its values since the last point are means over both."""
    fields = {"steps": 4, "batch": 4, "warmup": 2}
    whole = trained_by(2, tmp_path / "whole", fields, TWO_POINTS + KILLED)
    folder = tmp_path / "stopped"
    trained_by(2, folder, fields, TWO_POINTS + STOPPED_AT_THREE + KILLED, check=False)
    assert checkpoints.latest_step(folder / run_config("smoke", **fields).name) == 3
    resumed = trained_by(2, folder, fields, TWO_POINTS + KILLED)
    assert list(whole.history.step) == [2, 4]
    assert torch.equal(losses(resumed), losses(whole))


def test_a_batch_in_parts_is_trained_on_as_a_whole(tmp_path):
    whole, progress = train_smoke(tmp_path / "a", steps=3, batch=4, warmup=2)
    parts, other = train_smoke(tmp_path / "b", steps=3, batch=4, warmup=2, accumulate=4)
    for row, same in zip(progress.history, other.history, strict=True):
        assert row["loss"] == pytest.approx(same["loss"], abs=1e-5)
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=2e-3, rtol=1e-2)
    with pytest.raises(ConfigError, match="accumulate=3: 4 scenes per step cannot be divided"):
        run_config("smoke", batch=4, accumulate=3)


def test_the_depth_loss_is_trained_with_and_needs_depths(tmp_path):
    run = perform_run(run_config("smoke"), store=tmp_path, show_progress=False)
    assert (run.history.depth > 0).all()
    with pytest.raises(ConfigError, match="set procedural_depths=true, or depth_weight=0"):
        run_config("smoke", procedural_depths=False)
