"""The run store: what a folder holds, when a run counts as complete, what is done about damage."""

import errno
import json
import shutil
from dataclasses import replace

import pytest
import torch

from ilrm.data import batches
from ilrm.data.batches import held_out_scenes
from ilrm.errors import ConfigError, RunError, WeightsError
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.scoring import evaluate
from ilrm.presets import run_config
from ilrm.runs import baseline_rows
from ilrm.runs import training_runs as runs
from ilrm.runs.store import Run, find_run
from ilrm.runs.training_runs import perform_run
from ilrm.system.files import atomic_folder, atomic_path, write_json
from ilrm.vocabulary import METHODS, RIVALS


def test_a_folder_holds_all_that_the_run_was(smoke_run):
    assert {path.name for path in smoke_run.folder.iterdir()} >= {
        "config.json",
        "environment.json",
        "history.csv",
        "metrics.json",
        "model.safetensors",
        "per_view.csv",
    }
    assert smoke_run.folder.name == smoke_run.config.name
    assert smoke_run.environment["versions"]["torch"] == torch.__version__
    assert set(smoke_run.metrics["summary"]) == set(METHODS)
    assert smoke_run.history.step.tolist() == [1, 2, 3, 4]
    assert set(smoke_run.per_view.method) == set(METHODS)


def test_the_stored_weights_give_the_stored_metrics(smoke_run):
    scenes = held_out_scenes(smoke_run.config.data)
    again = evaluate(smoke_run.model(), scenes, baselines=Baselines.of(scenes))
    keys = ["scene", "frame", "method"]
    ours, stored = (t.set_index(keys).sort_index() for t in (again.per_view, smoke_run.per_view))
    for metric in ("psnr", "ssim", "lpips"):
        assert ours[metric].to_numpy() == pytest.approx(stored[metric].to_numpy(), abs=1e-4)
    pooled = smoke_run.metrics["depth_spearman_pooled"]
    assert again.depth_spearman_pooled == pytest.approx(pooled, abs=1e-3)


def test_baselines_of_procedural_scenes_are_measured_once(smoke_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        baseline_rows, "evaluate_baselines", lambda *_: pytest.fail("measured again")
    )
    again = perform_run(run_config("smoke", seed=1), store=tmp_path, show_progress=False)
    assert set(again.metrics["summary"]) == set(METHODS)
    for method in RIVALS:
        assert again.metrics["summary"][method] == smoke_run.metrics["summary"][method]


def test_baselines_are_measured_again_for_another_index(smoke_run, tmp_path, monkeypatch):
    """As where an earlier version chose other inputs for this number of views."""
    monkeypatch.setenv("ILRM_CACHE", str(tmp_path))
    data = replace(smoke_run.config.data, procedural_train=1, context_views=3)
    rows = baseline_rows.baseline_rows(data)
    index = batches.index_path(data)
    entries = json.loads(index.read_text())
    monkeypatch.setattr(batches, "ensure_index", lambda *_: index)
    entry = entries["test000000"]
    entry["context"] = [f for f in range(12) if f not in entry["target"]][:3]
    index.write_text(json.dumps(entries))
    changed = baseline_rows.baseline_rows(data)
    assert not changed.equals(rows) and baseline_rows.baseline_rows(data).equals(changed)


def test_a_complete_run_is_returned_without_work(smoke_run, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda *a, **k: pytest.fail("trained again"))
    again = perform_run(smoke_run.config, store=smoke_run.folder.parent)
    assert again.folder == smoke_run.folder


def test_a_run_that_differs_in_its_evaluation_uses_the_trained_model(smoke_run, monkeypatch):
    store = smoke_run.folder.parent
    monkeypatch.setattr(runs, "train", lambda *a, **k: pytest.fail("trained again"))
    means = {"trained": smoke_run.metrics["summary"]["model"]["psnr"]["mean"]}
    fields: dict[str, dict[str, float]] = {
        "noise": {"camera_noise": 0.5},
        "layer 0": {"decoded_layer": 0},
        "2 views": {"input_views": 2},
        "last layer": {"decoded_layer": 1},
    }
    for name, values in fields.items():
        run = perform_run(run_config("smoke", **values), store=store)
        assert run.folder != smoke_run.folder and run.config.training == smoke_run.config
        assert run.metrics["training_seconds"] == smoke_run.metrics["training_seconds"]
        run.model()
        means[name] = run.metrics["summary"]["model"]["psnr"]["mean"]
    assert means.pop("last layer") == pytest.approx(means["trained"])
    assert len({round(mean, 4) for mean in means.values()}) == 4, means
    views = run_config("smoke", input_views=2)
    assert find_run(views, store).metrics["gaussians"] == smoke_run.metrics["gaussians"] // 2


def test_a_run_without_its_last_file_is_not_complete(smoke_run, tmp_path):
    copy = tmp_path / smoke_run.folder.name
    shutil.copytree(smoke_run.folder, copy)
    assert find_run(smoke_run.config, tmp_path) is not None
    (copy / "metrics.json").unlink()
    assert find_run(smoke_run.config, tmp_path) is None


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="metrics.json (cannot be read|is truncated) .* run again"):
        _ = Run(tmp_path).metrics


def test_the_papers_recipe_asks_for_its_data(tmp_path):
    with pytest.raises(ConfigError, match="scale=paper trains on RealEstate10K: give root"):
        perform_run(run_config("paper"), store=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EACCES, "no permission")]
)
def test_a_disk_that_takes_nothing_is_one_line(smoke_run, tmp_path, monkeypatch, number, words):
    def full(*_, **__):
        raise OSError(number, "what the system says")

    monkeypatch.setattr(runs, "write_json", full)
    with pytest.raises(RunError, match=f"{words}.* resumes from its last checkpoint"):
        perform_run(smoke_run.config, store=tmp_path, show_progress=False)


def test_writes_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})


def test_a_run_that_resumes_in_another_environment_says_so(tmp_path, capsys):
    """With another number of threads sums are made in another order, which gives other weights."""
    config = run_config("smoke", steps=4, save_minutes=0.0)
    folder = tmp_path / config.name

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform_run(config, store=tmp_path, show_progress=False, on_point=stop)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["threads"] == torch.get_num_threads() and "earlier" not in environment
    write_json(folder / "environment.json", {**environment, "threads": 77})
    run = perform_run(config, store=tmp_path, show_progress=False)
    line = (
        f"{config.name} resumes in another environment (threads: 77, now {torch.get_num_threads()})"
    )
    assert line in capsys.readouterr().out
    assert run.environment["earlier"] == [{"threads": 77}]


def test_what_a_kill_leaves_in_a_complete_run_is_removed(tmp_path, monkeypatch):
    config = run_config("smoke")
    run = perform_run(config, store=tmp_path, show_progress=False)
    (run.folder / "checkpoint-00000004").mkdir()
    (run.folder / ".history.csv.0123456789ab.tmp.csv").write_text("")
    monkeypatch.setattr("ilrm.system.leftovers._cleaned", set())
    perform_run(config, store=tmp_path, show_progress=False)
    assert not list(run.folder.glob("checkpoint-*")) and not list(run.folder.glob(".*.tmp*"))


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    config = run_config("smoke", seed=3)
    (tmp_path / "precious").write_text("content")
    (tmp_path / config.name).mkdir()
    (tmp_path / config.name / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match=r"\.lock is a link: remove it"):
        perform_run(config, store=tmp_path, show_progress=False)
    assert (tmp_path / "precious").read_text() == "content"


DAMAGES = {
    "empty metrics": ("metrics.json", b"{}", "metrics", "holds no summary of metrics"),
    "a list for metrics": ("metrics.json", b"[1]", "metrics", "is not an object"),
    "truncated metrics": (
        "metrics.json",
        b'{"summary": ',
        "metrics",
        "is truncated or not valid JSON",
    ),
    "another configuration": (
        "config.json",
        b'{"scale": "tiny"}',
        "config",
        "is the configuration of tiny-",
    ),
    "a configuration of nothing": (
        "config.json",
        b'{"model": null}',
        "config",
        "not a run configuration",
    ),
    "an unknown field": (
        "config.json",
        b'{"model": {"layer": 3}}',
        "config",
        "did you mean 'layers'",
    ),
    "no rows": ("per_view.csv", b"scene,frame,method,psnr\n", "per_view", "has no rows"),
    "rows of something else": (
        "per_view.csv",
        b"a,b\n1,2\n",
        "per_view",
        "has no scene, method, psnr",
    ),
    "bytes": ("per_view.csv", b"\xff\xfe\0", "per_view", "is damaged"),
    "no curve": ("history.csv", b"", "history", "is damaged"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_complete_run_that_is_damaged_is_not_shown_as_a_result(case, smoke_run, tmp_path):
    name, content, part, message = DAMAGES[case]
    folder = shutil.copytree(smoke_run.folder, tmp_path / smoke_run.folder.name)
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        getattr(Run(folder), part)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_complete_run_with_truncated_weights_is_named(smoke_run, tmp_path):
    folder = shutil.copytree(smoke_run.folder, tmp_path / smoke_run.folder.name)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"model\.safetensors is truncated"):
        Run(folder).model()
