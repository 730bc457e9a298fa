"""The learning curve in TensorBoard: every point once, also where a run resumes."""

import importlib.util
import sys

import pytest

from ilrm.errors import ConfigError
from ilrm.presets import run_config
from ilrm.runs.scalar_log import ScalarLog, tensorboard_log
from ilrm.runs.training_runs import perform_run


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self):
        self.rows = []

    def add_scalar(self, tag, scalar_value, global_step):
        self.rows.append((tag, scalar_value, global_step))


def test_every_point_of_the_curve_is_written_once(tmp_path):
    kept = Kept()
    run = perform_run(
        run_config("smoke", seed=5), tmp_path, show_progress=False, on_point=ScalarLog(kept)
    )
    losses = [(value, step) for tag, value, step in kept.rows if tag == "train/loss"]
    assert [step for _, step in losses] == run.history.step.tolist()
    assert [value for value, _ in losses] == pytest.approx(run.history.loss.tolist(), rel=1e-4)
    assert len(kept.rows) == len(set(kept.rows))


def test_without_tensorboard_the_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"run pip install 'ilrm\[tensorboard\]'"):
        tensorboard_log(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no TensorBoard")
def test_tensorboard_s_own_files_are_written(tmp_path):
    perform_run(
        run_config("smoke", seed=6),
        tmp_path,
        show_progress=False,
        on_point=tensorboard_log(tmp_path / "log"),
    )
    assert any((tmp_path / "log").glob("events.out.tfevents.*"))
