"""The command lines: evaluation of a run on other scenes, training by fields, errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, ImageOps

from ilrm import evaluate, reconstruct, tradeoff, train
from ilrm.data.batches import dataset_root
from ilrm.data.procedural.samples import example_capture
from ilrm.presets import run_config
from ilrm.runs.store import RunFolder, find_run


def evaluated(capsys, store, *arguments) -> tuple[int, str, str]:
    """Status, what was printed, and the error of `python -m ilrm.evaluate`."""
    status = evaluate.main([str(a) for a in (*arguments, "--store", store)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_evaluate_reproduces_the_runs_own_metrics_on_its_own_scenes(smoke_run, tmp_path, capsys):
    root = dataset_root(smoke_run.config.data)
    index = root / "evaluation_index_4v.json"
    arguments = ("--weights", smoke_run.folder, "--data", root, "--protocol", "re10k")
    arguments += ("--index", index, "--views", 4)
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0
    assert "2 entries, 0 null, 2 scenes evaluated" in printed and "nearest_view: psnr" in printed
    assert "evaluated at 32x32, the size that the weights were trained on" in printed
    (folder,) = (tmp_path / "evaluations").iterdir()
    keys = ["scene", "frame", "method"]
    ours, stored = (
        t.set_index(keys).sort_index()
        for t in (pd.read_csv(folder / "per_view.csv"), smoke_run.per_view)
    )
    pd.testing.assert_frame_equal(ours, stored, atol=1e-4)
    assert len(list((folder / "pictures").glob("*.png"))) == 2


def test_an_evaluation_goes_on_scene_by_scene(smoke_run, tmp_path, capsys):
    """What is done is not done again, and a complete one is shown as it is."""
    root = dataset_root(smoke_run.config.data)
    index = root / "evaluation_index_2v.json"
    arguments = ("--weights", smoke_run.folder, "--data", root, "--protocol", "re10k")
    arguments += ("--index", index, "--views", 6, "--pictures", 0)
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    (folder,) = (tmp_path / "evaluations").iterdir()
    whole = (folder / "metrics.json").read_text()
    done = sorted((folder / "scenes").iterdir())
    kept = done[0].stat().st_mtime_ns
    (folder / "metrics.json").unlink()
    done[1].unlink()
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0 and "2 scenes evaluated, 0 skipped" in printed
    assert (folder / "metrics.json").read_text() == whole
    assert done[0].stat().st_mtime_ns == kept and done[1].exists()
    with_a_picture = (*arguments[:-1], 1)
    assert evaluated(capsys, tmp_path, *with_a_picture)[0] == 0
    assert [p.stem for p in (folder / "pictures").iterdir()] == [done[0].stem]
    assert (folder / "metrics.json").read_text() == whole


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_scene_whose_kept_metrics_are_damaged_is_evaluated_again(
    smoke_run, tmp_path, capsys, damage
):
    """A file cut short by a full disk or a power failure, and a digit that is another one."""
    root = dataset_root(smoke_run.config.data)
    arguments = ("--weights", smoke_run.folder, "--data", root, "--protocol", "re10k")
    arguments += ("--index", root / "evaluation_index_2v.json", "--views", 5, "--pictures", 0)
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    (folder,) = (tmp_path / "evaluations").iterdir()
    whole, table = (folder / "metrics.json").read_text(), (folder / "per_view.csv").read_text()
    kept = sorted((folder / "scenes").iterdir())[0]
    text = kept.read_text()
    kept.write_text(
        text[: len(text) // 2] if damage == "cut" else text.replace('"psnr": 1', '"psnr": 9')
    )
    assert kept.read_text() != text
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    assert kept.read_text() == text
    assert (folder / "metrics.json").read_text() == whole
    assert (folder / "per_view.csv").read_text() == table


def test_a_target_may_be_an_input(smoke_run, tmp_path, capsys):
    """As in published indices of DL3DV: the copied photo has 100 dB, not infinity."""
    root = dataset_root(smoke_run.config.data)
    entries = json.loads((root / "evaluation_index_4v.json").read_text())
    for entry in entries.values():
        entry["target"] = [*entry["target"], entry["context"][0]]
    index = tmp_path / "index.json"
    index.write_text(json.dumps(entries))
    arguments = ("--weights", smoke_run.folder, "--data", root, "--protocol", "re10k")
    arguments += ("--index", index, "--views", 4, "--pictures", 0)
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    (folder,) = (tmp_path / "evaluations").iterdir()
    rows = pd.read_csv(folder / "per_view.csv")
    assert rows[rows.method == "nearest_view"].psnr.max() == 100


def test_data_sets_of_one_name_are_told_apart(smoke_run, tmp_path, capsys):
    for parent in ("one", "two"):
        example_capture(tmp_path / parent / "captures" / "room", 32)
        arguments = ("--weights", smoke_run.folder, "--data", tmp_path / parent / "captures")
        arguments += ("--protocol", "captures", "--views", 4, "--pictures", 0)
        assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    assert len(list((tmp_path / "evaluations").iterdir())) == 2


def test_a_scene_that_was_mended_is_evaluated_again(smoke_run, tmp_path, capsys):
    """Also in a complete evaluation; the other scenes are kept."""
    captures = tmp_path / "captures"
    for name in ("a", "b"):
        example_capture(captures / name, 32)
    arguments = ("--weights", smoke_run.folder, "--data", captures, "--protocol", "captures")
    arguments += ("--views", 4, "--pictures", 0)
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    (folder,) = (tmp_path / "evaluations").iterdir()
    kept, before = ((folder / f"scenes/{name}.json").read_bytes() for name in ("a", "b"))
    written = (folder / "scenes/a.json").stat().st_mtime_ns
    for path in (captures / "b/images").iterdir():
        ImageOps.invert(Image.open(path)).save(path)
    assert evaluated(capsys, tmp_path, *arguments)[0] == 0
    assert (folder / "scenes/a.json").read_bytes() == kept
    assert (folder / "scenes/a.json").stat().st_mtime_ns == written
    after = json.loads((folder / "scenes/b.json").read_text())["rows"]
    assert after != json.loads(before)["rows"]
    rows = pd.read_csv(folder / "per_view.csv")
    assert list(rows[rows.scene == "b"].psnr) == pytest.approx(
        [row["psnr"] for row in after], abs=1e-3
    )


def test_numbers_without_sense_are_one_line(smoke_run, tmp_path, capsys):
    capture = example_capture(tmp_path / "room", 32)
    for main, given, message in (
        (evaluate.main, ["--views", 0], "views=0: give an integer from 2 to 1000"),
        (evaluate.main, ["--views", 10**30], "views=1000000000000000000000000000000: give an int"),
        (evaluate.main, ["--scenes", 0], "scenes=0: give an integer from 1 to 1000000"),
        (evaluate.main, ["--pictures", -1], "pictures=-1: give an integer from 0"),
        (evaluate.main, ["--size", "0x32"], "give height x width"),
        (evaluate.main, ["--size", "14x14"], "multiples of 4 pixels, e.g. 16x16"),
        (evaluate.main, ["--size", "8x8"], "each an integer from 11 to 4096"),
        (evaluate.main, ["--size", "13x13"], "multiples of 4 pixels, e.g. 12x12"),
        (evaluate.main, ["--size", "65536x65536"], "each an integer from 11 to 4096"),
        (evaluate.main, ["--size", "9" * 5000 + "x32"], "give height x width"),
        (evaluate.main, ["--size", "\u0666\u0664x64"], "give height x width"),
        (reconstruct.main, ["--size", "33x70"], "multiples of 4 pixels, e.g. 32x72"),
        (reconstruct.main, ["--views", 1], "views=1: give an integer from 2 to 1000"),
        (reconstruct.main, ["--refine", -1], "refine=-1"),
        (reconstruct.main, ["--refine", 10**9], "refine=1000000000: give an integer from 0 to"),
        (reconstruct.main, ["--views", 10**12], "views=1000000000000: give an integer from 2"),
        (reconstruct.main, ["--splat", "1e9"], "splat=1000000000.0: give a number above 0, at"),
        (reconstruct.main, ["--splat", "nan"], "splat=nan: give a number above 0"),
        (reconstruct.main, ["--splat", "1e400"], "splat=inf: give a number above 0"),
        (reconstruct.main, ["--around", "x" * 4000], "is not a frame of room"),
        (reconstruct.main, ["--frames", "9" * 5000], "give A:B"),
        (tradeoff.main, ["--steps", 10**9], "steps=1000000000: give an integer from 10"),
        (reconstruct.main, ["--size", "0x0"], "give height x width"),
    ):
        if main is evaluate.main:
            arguments = ["--data", capture, "--protocol", "captures", "--store", tmp_path]
        else:
            arguments = [capture, "--out", tmp_path / "out"]
        arguments += ["--weights", smoke_run.folder, *given]
        assert main([str(a) for a in arguments]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ") and message in line and len(line) < 400
    assert not (tmp_path / "out").exists()


def test_two_processes_evaluate_what_one_does(smoke_run, tmp_path, capsys):
    """torchrun: the processes share the scenes, the first one puts the result together."""
    root = dataset_root(smoke_run.config.data)
    arguments = ["--weights", smoke_run.folder, "--data", root, "--protocol", "re10k"]
    arguments += ["--index", root / "evaluation_index_4v.json", "--views", 4, "--pictures", 0]
    assert evaluated(capsys, tmp_path / "one", *arguments)[0] == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += ["-m", "ilrm.evaluate", *arguments, "--store", tmp_path / "two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(c) for c in command], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("2 scenes evaluated, 0 skipped") == 1
    one, two = (
        RunFolder(next((tmp_path / store / "evaluations").iterdir())) for store in ("one", "two")
    )
    pd.testing.assert_frame_equal(one.per_view, two.per_view, atol=1e-4)
    assert (one.environment["processes"], two.environment["processes"]) == (1, 2)


def test_two_processes_perform_a_run_and_one_that_needs_it(tmp_path):
    """torchrun: each waits until the first one has evaluated; what they trained is evaluated anew, and shown
    once.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += ["-m", "ilrm.train", "--scale", "smoke", "camera_noise=0.01"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ILRM_RUNS": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("model {'psnr'") == 1
    for config in (run_config("smoke"), run_config("smoke", camera_noise=0.01)):
        run = find_run(config, tmp_path)
        assert run is not None and run.environment["processes"] == 2


def test_what_cannot_be_evaluated_is_one_line(smoke_run, tmp_path, capsys):
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    root, run = dataset_root(smoke_run.config.data), smoke_run.folder
    index = root / "evaluation_index_4v.json"
    for weights, data, given, message in (
        (tmp_path, root, ["--index", empty], "no config.json"),
        (run, tmp_path, ["--index", index], "index.json is missing"),
        (run, root, ["--index", empty], "none to evaluate"),
        (run, root, ["--index", tmp_path / "missing.json"], "missing.json is missing"),
        (run, root, [], "protocol re10k needs an index"),
        (run, root, ["--index", index, "--views", "1"], "views=1: give an integer from 2"),
        (run, root, ["--index", index, "--size", "32"], "give height x width"),
    ):
        arguments = ("--weights", weights, "--data", data, "--protocol", "re10k", "--views", 4)
        arguments += tuple(given)
        status, _, error = evaluated(capsys, tmp_path / "store", *arguments)
        line = error.strip().splitlines()[-1]
        assert status == 2 and line.startswith("error: ") and message in line


def test_scenes_that_fail_are_left_out_and_counted(smoke_run, tmp_path, capsys):
    """A damaged photo and damaged cameras: the rest is evaluated. What was mended is evaluated by the next
    call; --strict stops.
    """
    captures = tmp_path / "captures"
    for name in ("a", "b", "c"):
        example_capture(captures / name, 32)
    whole = (captures / "b/images/000.png").read_bytes()
    (captures / "b/images/000.png").write_bytes(whole[:60])
    cameras = (captures / "c/opencv_cameras.json").read_text()
    (captures / "c/opencv_cameras.json").write_text("{")
    arguments = ("--weights", smoke_run.folder, "--data", captures, "--protocol", "captures")
    arguments += ("--views", 4, "--pictures", 0)
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 3 and "1 scenes evaluated, 0 skipped, 2 failed" in printed
    assert "failed b: " in printed and "000.png cannot be decoded" in printed
    assert "failed c: " in printed and "not valid JSON" in printed
    (folder,) = (tmp_path / "evaluations").iterdir()
    assert set(json.loads((folder / "metrics.json").read_text())["failed"]) == {"b", "c"}
    status, _, error = evaluated(capsys, tmp_path, *arguments, "--strict")
    assert status == 2 and "error: scene b: " in error
    (captures / "b/images/000.png").write_bytes(whole)
    (captures / "c/opencv_cameras.json").write_text(cameras)
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0 and "3 scenes evaluated, 0 skipped, 0 null" in printed


def test_an_index_may_name_scenes_that_are_not_on_the_disk(smoke_run, tmp_path, capsys):
    root = dataset_root(smoke_run.config.data)
    entries = json.loads((root / "evaluation_index_4v.json").read_text())
    index = tmp_path / "index.json"
    index.write_text(
        json.dumps(entries | {f"none{i}": dict(next(iter(entries.values()))) for i in range(30)})
    )
    arguments = ("--weights", smoke_run.folder, "--data", root, "--protocol", "re10k")
    arguments += ("--index", index, "--views", 4, "--pictures", 0)
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 3 and f"{len(entries)} scenes evaluated, 0 skipped, 30 failed" in printed
    assert (
        "failed none0: scene none0 is not in" in printed and "failed 10 more, listed in" in printed
    )
    index.write_text(json.dumps({"none": next(iter(entries.values()))}))
    status, _, error = evaluated(capsys, tmp_path, *arguments)
    assert status == 2 and "none of 1 scenes can be evaluated; none: scene none is not in" in error


def test_photos_of_another_aspect_are_cropped_and_said_to_be(smoke_run, tmp_path, capsys):
    example_capture(tmp_path / "room", 32)
    arguments = (
        "--weights",
        smoke_run.folder,
        "--data",
        tmp_path / "room",
        "--protocol",
        "captures",
    )
    arguments += ("--views", 4, "--pictures", 0, "--size", "16x32")
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0
    assert printed.count("images of 32x32 pixels are cropped to the 50% in the middle") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_one_line(error, monkeypatch, capsys):
    def perform(config, **options):
        raise error

    monkeypatch.setattr("ilrm.runs.training_runs.perform_run", perform)
    assert train.main(["--scale", "smoke"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: the memory of this machine or GPU does not suffice: give fewer")


def test_another_error_of_torch_is_shown_as_it_is(monkeypatch):
    def perform(config, **options):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("ilrm.runs.training_runs.perform_run", perform)
    with pytest.raises(RuntimeError, match="shapes"):
        train.main(["--scale", "smoke"])


def test_a_capture_that_was_removed_is_no_longer_in_the_summary(smoke_run, tmp_path, capsys):
    """Nor is a damaged file of a scene or of the summary the end of an evaluation."""
    captures = tmp_path / "captures"
    for name in ("a", "b"):
        example_capture(captures / name, 32)
    arguments = ("--weights", smoke_run.folder, "--data", captures, "--protocol", "captures")
    arguments += ("--views", 4, "--pictures", 0)
    assert "2 scenes evaluated" in evaluated(capsys, tmp_path, *arguments)[1]
    (captures / "b/opencv_cameras.json").rename(captures / "b/lost.json")
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0 and "1 scenes evaluated" in printed
    assert f"b in {captures} have no cameras: left out" in printed
    (captures / "b/lost.json").rename(captures / "b/opencv_cameras.json")
    assert "2 scenes evaluated" in evaluated(capsys, tmp_path, *arguments)[1]
    (folder,) = (tmp_path / "evaluations").iterdir()
    (folder / "scenes/a.json").write_text("")
    (folder / "metrics.json").write_text("{")
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0 and "2 scenes evaluated" in printed
    assert "a.json is truncated or not valid JSON" in printed and "it is made again" in printed


def test_train_by_fields(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ilrm.runs.training_runs.RUNS", tmp_path)
    assert train.main(["--scale", "smoke", "layer=2"]) == 2
    assert "did you mean 'layers'" in capsys.readouterr().err
    assert train.main(["--scale", "smoke", "layers=2", "layers=3"]) == 2
    assert "layers is given twice" in capsys.readouterr().err
    assert train.main(["--scale", "smoke", "layers"]) == 2
    assert "name=value" in capsys.readouterr().err


@pytest.mark.skipif("ILRM_RE10K_CLIPS" not in os.environ, reason="ILRM_RE10K_CLIPS names no clips")
def test_real_clips_are_evaluated(smoke_run, tmp_path, capsys):
    clips = Path(os.environ["ILRM_RE10K_CLIPS"])
    arguments = ("--weights", smoke_run.folder, "--data", clips, "--protocol", "re10k")
    arguments += ("--index", clips / "mini_eval_4v.json", "--views", 4)
    status, printed, _ = evaluated(capsys, tmp_path, *arguments)
    assert status == 0 and "6 scenes evaluated" in printed
