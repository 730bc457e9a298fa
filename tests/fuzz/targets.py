"""The readers of files that others wrote: what each is given, and how it is read.

`build` writes valid files into a folder and returns those that are mutated, one at a time; `read` does what a
user's command does with them.
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from ilrm import ILRM
from ilrm.config import RunConfig
from ilrm.data.framing import Framing
from ilrm.data.images import decode
from ilrm.data.sources.captures import read_capture
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import RunError
from ilrm.export.ply import read_ply, write_ply
from ilrm.gaussians import Gaussians
from ilrm.presets import run_config
from ilrm.runs.evaluation_runs import _evaluated, _file, _sealed
from ilrm.runs.store import Run
from ilrm.system.files import write_json
from ilrm.training.checkpoints import DIGESTS, PROGRESS, STATE, Progress, load, save
from ilrm.training.checkpoints import WEIGHTS as CHECKPOINT_WEIGHTS
from ilrm.weights.state import read_weights
from tests.data import layouts


@dataclass(frozen=True)
class Target:
    """A reader under test."""

    name: str
    build: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    structured: bool = False  # JSON


def _chunks(folder: Path) -> list[Path]:
    data = []
    for value in (0, 120):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), (value, 100, 200)).save(buffer, "JPEG")
        data.append(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8))
    cameras = torch.zeros(2, 18)
    cameras[:, :4] = torch.tensor([0.9, 1.2, 0.5, 0.5])
    cameras[:, [6, 11, 16]] = 1.0
    cameras[1, 9] = 1.0
    scene = {
        "key": "a",
        "url": "",
        "timestamps": torch.arange(2),
        "cameras": cameras,
        "images": data,
    }
    scene["depths"] = torch.ones(2, 48, 64)
    (folder / "test").mkdir()
    torch.save([scene], folder / "test/000000.torch")
    (folder / "test/index.json").write_text(json.dumps({"a": "000000.torch"}))
    return [folder / "test/000000.torch", folder / "test/index.json"]


def _read_chunks(folder: Path) -> None:
    scenes = ChunkScenes(folder, "test")
    for key in scenes.keys:
        scenes.version(key)
        scene = scenes.load(key)
        scenes.skip_reason(scene)
        scene.frames([0, len(scene) - 1], Framing(24, 32))


def _capture(name: str, layout: layouts.Layout) -> Target:
    def build(folder: Path) -> list[Path]:
        layout(folder / "capture")
        return [folder / "capture" / file for file in layout.files]

    return Target(name, build, _read_capture, structured=layout.files[0].endswith(".json"))


def _read_capture(folder: Path) -> None:
    scene = read_capture(folder / "capture")
    scene.frames([0, len(scene) - 1], Framing(24, 32))


def _images(folder: Path) -> list[Path]:
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    forms = {
        "png": "PNG",
        "jpg": "JPEG",
        "webp": "WEBP",
        "avif": "AVIF",
        "tif": "TIFF",
        "jp2": "JPEG2000",
    }
    paths = [folder / f"a.{suffix}" for suffix in forms]
    for path, form in zip(paths, forms.values(), strict=True):
        Image.fromarray(noise).save(path, form)
    return paths


def _read_images(folder: Path) -> None:
    for path in folder.iterdir():
        decode(path, upright=True)


def _ply(folder: Path) -> list[Path]:
    n = 5
    write_ply(
        Gaussians(
            torch.rand(1, n, 3),
            torch.nn.functional.normalize(torch.rand(1, n, 4), dim=-1),
            torch.rand(1, n, 3) + 0.1,
            torch.rand(1, n),
            torch.rand(1, n, 3),
        ),
        folder / "a.ply",
    )
    return [folder / "a.ply"]


@cache
def _smoke() -> tuple[RunConfig, ILRM]:
    config = run_config("smoke", width=16, heads=1)
    torch.manual_seed(0)
    return config, ILRM(config.model)


def _weights(folder: Path) -> list[Path]:
    config, model = _smoke()
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    ranges = {"views": [2, 8], "rotation": [1.0, 60.0], "fov": [30.0, 70.0], "depth": [0.5, 9.0]}
    (folder / "seen.json").write_text(json.dumps(ranges))
    row = {
        "path": "re10k",
        "views": 4,
        "scenes": 2,
        "spacing": 4.0,
        "psnr": 20.0,
        "plane_warp": 19.0,
    }
    (folder / "spread.json").write_text(json.dumps([row, row | {"spacing": 30.0}]))
    names = ("model.safetensors", "config.json", "seen.json", "spread.json")
    return [folder / name for name in names]


def _released(folder: Path) -> list[Path]:
    from tests.weights.test_released import released

    torch.save({"state_dict": released("wide", width=16)}, folder / "a.ckpt")
    return [folder / "a.ckpt"]


def _run(folder: Path) -> list[Path]:
    folder = folder / _smoke()[0].name
    folder.mkdir()
    _weights(folder)
    (folder / "metrics.json").write_text(
        json.dumps(
            {"summary": {"model": {"psnr": {"mean": 20.0, "low": 19.0, "high": 21.0}}}, "scenes": 2}
        )
    )
    (folder / "environment.json").write_text(json.dumps({"torch": "2", "device": "a CPU"}))
    (folder / "per_view.csv").write_text("scene,frame,method,psnr,ssim\n000001,3,model,20.1,0.6\n")
    (folder / "history.csv").write_text("step,loss,psnr\n10,0.5,12.0\n20,0.4,13.0\n")
    names = ("config.json", "metrics.json", "environment.json", "per_view.csv", "history.csv")
    return [folder / name for name in names]


def _read_run(folder: Path) -> None:
    run = Run(folder / _smoke()[0].name)
    for name in ("config", "metrics", "environment", "per_view", "history"):
        getattr(run, name)


def _indices(folder: Path) -> list[Path]:
    narrow = {"a": {"context": [0, 9], "target": [1, 2]}, "b": None}
    wide = [{"scene_name": "a", "fold_8_kmeans_4_input": [1, 3, 5, 9]}]
    (folder / "narrow.json").write_text(json.dumps(narrow))
    (folder / "wide.json").write_text(json.dumps(wide))
    return [folder / "narrow.json", folder / "wide.json"]


def _read_indices(folder: Path) -> None:
    from ilrm.data.frames.evaluation_indices import read_evaluation_index, read_wide_index

    read_wide_index(folder / "wide.json", 4)
    read_evaluation_index(folder / "narrow.json", 3)


def _studies(folder: Path) -> list[Path]:
    from ablations.study import STUDIES

    shutil.copy(STUDIES / "layers.toml", folder / "a_study.toml")
    (folder / "own.toml").write_text(
        'title = "Patch"\nclaim = "Smaller"\nvaries = "patch"\nvalues = [4, 2]\n[scales.tiny]\nsteps = 100\n'
    )
    return [folder / "a_study.toml", folder / "own.toml"]


def _read_studies(folder: Path) -> None:
    from ablations.study import read_study

    for path in folder.iterdir():
        read_study(path).cells("tiny", 1)


def _sweeps(folder: Path) -> list[Path]:
    (folder / "own.toml").write_text(
        'title = "A sweep"\nobjectives = ["psnr", "gmacs"]\n[fields]\nlayers = 3\n'
        "[space]\nlr = { low = 1e-4, high = 1e-2, log = true }\npatch = { choices = [2, 4] }\n"
    )
    return [folder / "own.toml"]


def _read_sweeps(folder: Path) -> None:
    from ablations.storage import quiet_optuna
    from ablations.sweep import find_sweep

    quiet_optuna()
    find_sweep(str(folder / "own.toml"))


def _checkpoint(folder: Path) -> list[Path]:
    """Without digests, as of an earlier version, so that what is damaged reaches the readers."""
    _, model = _smoke()
    optimizer = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    save(folder, Progress(3, [{"step": 3, "loss": 0.5}], 1.0), model, [optimizer])
    kept = folder / "checkpoint-00000003"
    (kept / DIGESTS).unlink()
    return [kept / name for name in (PROGRESS, STATE, CHECKPOINT_WEIGHTS)]


def _read_checkpoint(folder: Path) -> None:
    _, model = _smoke()
    if load(folder, model, [torch.optim.AdamW(model.parameters())]) is None:
        raise RunError("passed over")


def _journal(folder: Path) -> list[Path]:
    from ablations.queue import Queue
    from ablations.storage import open_storage, quiet_optuna
    from ablations.study import studies

    quiet_optuna()
    study = studies()["architecture"]
    queue = Queue.open(study, "tiny", open_storage(str(folder / "a.journal")))
    queue.add(study.cells("tiny", 1))
    queue.trials.tell(queue.trials.ask(), 20.0)
    return [folder / "a.journal"]


def _read_journal(folder: Path) -> None:
    from ablations.queue import Queue, studies_in
    from ablations.storage import open_storage
    from ablations.study import studies

    study = studies()["architecture"]
    storage = open_storage(str(folder / "a.journal"), create=False)
    studies_in(storage, "tiny")
    Queue.open(study, "tiny", storage, create=False).states(study.cells("tiny", 1), recovered=True)


def _kept_scenes(folder: Path) -> list[Path]:
    row = {"scene": "a", "frame": 3, "method": "model", "psnr": 20.0, "ssim": 0.5, "lpips": 0.3}
    write_json(_file(folder, "a"), _sealed({"version": "1", "rows": [row, row | {"frame": 5}]}))
    return [_file(folder, "a")]


def _read_kept_scenes(folder: Path) -> None:
    if not _evaluated(folder, "a"):
        raise RunError("evaluated again")


def _tables(folder: Path) -> list[Path]:
    from reports.published import CSV

    (folder / "published.csv").write_text("\n".join(CSV.read_text().splitlines()[:12]) + "\n")
    (folder / "tiny").mkdir()
    (folder / "tiny/runs.csv").write_text('run,fields,data,macs\nr1,"{""layers"": 3}",d,100\n')
    (folder / "tiny/scenes.csv").write_text("run,scene,psnr,ssim,lpips\nr1,000001,20.1,0.6,0.3\n")
    (folder / "tiny/baselines.csv").write_text(
        "data,method,scene,psnr,ssim,lpips\nd,plane_warp,000001,19.1,0.5,0.3\n"
    )
    names = ("published.csv", "tiny/runs.csv", "tiny/scenes.csv", "tiny/baselines.csv")
    return [folder / name for name in names]


def _read_tables(folder: Path) -> None:
    from ablations.record import recorded
    from reports.published import read_published

    read_published(folder / "published.csv").groupby("table").value.mean()
    runs, scenes, baselines = recorded("tiny", folder)
    for table in (scenes, baselines):
        table.groupby("scene")[["psnr", "ssim"]].mean()
    runs.index.isin(scenes.run)


TARGETS = {
    target.name: target
    for target in (
        Target("chunks", _chunks, _read_chunks, structured=True),
        *(_capture(name, layout) for name, layout in layouts.LAYOUTS.items()),
        Target("images", _images, _read_images),
        Target("PLY", _ply, lambda folder: read_ply(folder / "a.ply")),
        Target("weights", _weights, lambda folder: read_weights(folder), structured=True),
        Target("released weights", _released, lambda folder: read_weights(folder / "a.ckpt")),
        Target("indices", _indices, _read_indices, structured=True),
        Target("studies", _studies, _read_studies),
        Target("sweeps", _sweeps, _read_sweeps),
        Target("run folders", _run, _read_run, structured=True),
        Target("checkpoints", _checkpoint, _read_checkpoint, structured=True),
        Target("journal", _journal, _read_journal),
        Target("kept scenes of an evaluation", _kept_scenes, _read_kept_scenes, structured=True),
        Target("tables", _tables, _read_tables),
    )
}


def quietly(read: Callable[[Path], object], folder: Path) -> None:
    """Read without printing: remarks about mutated files are not of interest."""
    with contextlib.redirect_stdout(io.StringIO()):
        read(folder)
