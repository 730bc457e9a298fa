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
from ilrm.export.ply import read_ply, write_ply
from ilrm.gaussians import Gaussians
from ilrm.presets import run_config
from ilrm.runs.store import Run
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


def _capture(layout: str, *files: str) -> Callable[[Path], list[Path]]:
    def build(folder: Path) -> list[Path]:
        layouts.LAYOUTS[layout](folder / "capture")
        return [folder / "capture" / file for file in files]

    return build


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


TARGETS = {
    target.name: target
    for target in (
        Target("chunks", _chunks, _read_chunks, structured=True),
        Target("transforms.json", _capture("nerfstudio", "transforms.json"), _read_capture, True),
        Target(
            "opencv_cameras.json", _capture("opencv", "opencv_cameras.json"), _read_capture, True
        ),
        Target(
            "COLMAP binary",
            _capture(
                "colmap-binary", *(f"sparse/0/{n}.bin" for n in ("cameras", "images", "points3D"))
            ),
            _read_capture,
        ),
        Target(
            "COLMAP text",
            _capture(
                "colmap-text", *(f"sparse/0/{n}.txt" for n in ("cameras", "images", "points3D"))
            ),
            _read_capture,
        ),
        Target("poses_bounds.npy", _capture("llff", "poses_bounds.npy"), _read_capture),
        Target("images", _images, _read_images),
        Target("PLY", _ply, lambda folder: read_ply(folder / "a.ply")),
        Target("weights", _weights, lambda folder: read_weights(folder), structured=True),
        Target("released weights", _released, lambda folder: read_weights(folder / "a.ckpt")),
        Target("indices", _indices, _read_indices, structured=True),
        Target("studies", _studies, _read_studies),
        Target("sweeps", _sweeps, _read_sweeps),
        Target("run folders", _run, _read_run, structured=True),
    )
}


def quietly(read: Callable[[Path], object], folder: Path) -> None:
    """Read without printing: remarks about mutated files are not of interest."""
    with contextlib.redirect_stdout(io.StringIO()):
        read(folder)
