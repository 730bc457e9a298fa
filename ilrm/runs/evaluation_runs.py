"""Evaluations of weights on a data set under a protocol, kept in the run store, resumable by scene.

A folder `runs/evaluations/<protocol>-<views>v-<size>-<hash>` holds config.json, environment.json, one file
per scene under scenes/, pictures/ of the first scenes, per_view.csv and, written last, metrics.json.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ilrm import cost
from ilrm.config import EvaluationConfig, RunConfig
from ilrm.data.batches import HeldOutScenes, open_scenes
from ilrm.data.frames.evaluation_indices import check_index
from ilrm.data.frames.protocols import Protocol
from ilrm.data.framing import Framing, parse_size
from ilrm.errors import DataError, EmptyDatasetError, RunError
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.inaccurate_poses import with_inaccurate_poses
from ilrm.evaluation.scoring import evaluate, lpips_missing, predict
from ilrm.evaluation.summary import summarize
from ilrm.export.comparison import Comparison
from ilrm.model import ILRM
from ilrm.runs.records import EVALUATIONS, recorded
from ilrm.runs.store import CONFIG, ENVIRONMENT, METRICS, PER_VIEW, RunFolder, write_csv
from ilrm.system.distributed import processes, wait_for_all
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, file_name, printable, write_json
from ilrm.system.json_files import read_kept
from ilrm.system.paths import RUNS
from ilrm.system.progress import progress_bar
from ilrm.vocabulary import METHODS
from ilrm.weights.state import Weights

STORE = "evaluations"
LEFT_OUT = ("skipped", "failed")  # reasons why a scene has no rows
RECORDED = (CONFIG, ENVIRONMENT, METRICS)  # files that the reports read


@dataclass(frozen=True)
class Job:
    """An evaluation to perform: weights on a data set under a protocol."""

    weights: Weights
    protocol: Protocol
    data: Path
    index: Path | None
    views: int
    framing: Framing
    evaluation: EvaluationConfig = EvaluationConfig()  # noqa: RUF009 (frozen)
    scenes: int | None = None  # evaluate only the first ones

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on; its hash names the folder."""
        return {
            "weights": printable(Path(self.weights.source).name),
            "parameters": weights_digest(self.weights.model),
            "run": self.weights.config.to_dict(),
            "protocol": self.protocol.name,
            "data": printable(self.data.resolve().name),
            # folders with the same name may hold different data
            "data_digest": hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:10],
            "index": self.index.name if self.index else "",
            "index_digest": _file_digest(self.index) if self.index else "",
            "views": self.views,
            "framing": asdict(self.framing),
            "evaluation": asdict(self.evaluation),
            "scenes": self.scenes,
            "lpips": lpips_missing() is None,
        }

    @property
    def name(self) -> str:
        text = json.dumps(self.identity, sort_keys=True)
        size = f"{self.framing.height}x{self.framing.width}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{self.protocol.name}-{self.views}v-{size}-{digest}"


def framing_for(protocol: Protocol, config: RunConfig, size: str | None = None) -> Framing:
    """The requested image size ("HxW"), else the protocol's, or that of weights trained on smaller images,
    about which a line is printed. Raises ConfigError on a size that is not whole patches.
    """
    own = Framing(config.data.image_height, config.data.image_width)
    published = protocol.framing
    if size:
        height, width = parse_size(size, config.model.size_multiple)
        same = (height, width) == (published.height, published.width)
        return published if same else Framing(height, width)
    if own.height * own.width >= published.height * published.width:
        return published
    print(
        f"evaluated at {own.height}x{own.width}, the size that the weights were trained on, not at the "
        f"protocol's {published.height}x{published.width}"
    )
    return own


def perform_evaluation(
    job: Job,
    store: Path = RUNS,
    pictures: int = 8,
    show_progress: bool = True,
    strict: bool = False,
) -> RunFolder:
    """Perform an evaluation, or resume an interrupted one. Under torchrun, the processes share the scenes.

    `pictures`: number of scenes, from the first on, whose renders are saved beside the targets. Scenes that
    were evaluated before are kept, unless their files have changed or they lack their picture. A scene that
    fails, because it is missing or damaged, is left out, counted in metrics.json and tried again by the next
    call; with `strict` it raises DataError. Raises EmptyDatasetError if no scene can be evaluated.
    """
    folder = store / STORE / job.name
    group = processes()
    selection = job.protocol.selection(job.index, job.views)
    stored = open_scenes(job.data, "test", job.protocol.image_folder, job.protocol.distortion)
    held_out = HeldOutScenes(stored, selection, job.framing, job.weights.config.data.camera_scale)
    keys = held_out.keys[: job.scenes]
    versions = {key: stored.version(key) for key in keys}
    pictured = keys[:pictures]
    missing = [key for key in keys if not _is_done(folder, key, versions[key], key in pictured)]
    if not missing and _sums_up(folder, keys):
        return RunFolder(folder)
    wait_for_all()  # every process has seen what is missing before the first one writes
    if group.is_first:
        (folder / METRICS).unlink(missing_ok=True)
        write_json(folder / CONFIG, job.identity)
        write_json(folder / ENVIRONMENT, describe(group.device))
    model = job.weights.model.to(group.device)
    baselines = Baselines.of(held_out)
    mine = missing[group.rank :: group.count]
    shown = show_progress and group.is_first
    for key in progress_bar(mine, desc="evaluate", unit="scene", disable=not shown):
        result = _evaluate_scene(job, model, held_out, baselines, key, folder, key in pictured)
        if strict and "failed" in result:
            raise DataError(f"scene {key}: {result['failed']}")
        write_json(_file(folder, key), _sealed({"version": versions[key], **result}))
    wait_for_all()
    if group.is_first:
        _finish(job, folder, keys, getattr(selection, "null", 0))
    wait_for_all()
    return RunFolder(folder)


def recorded_evaluations(records: Path = EVALUATIONS) -> Iterator[RunFolder]:
    """The recorded evaluations by name."""
    return map(RunFolder, recorded(records, METRICS))


def _evaluate_scene(
    job: Job,
    model: ILRM,
    held_out: HeldOutScenes,
    baselines: Baselines,
    key: str,
    folder: Path,
    picture: bool,
) -> dict[str, Any]:
    """Evaluate a scene; returns its rows, or the reason why it was skipped or failed."""
    stored = held_out.stored
    scene = held_out.usable(key)
    if scene is None:
        failed = key in stored.failed
        return {"failed": stored.failed[key]} if failed else {"skipped": stored.skipped[key]}
    rows = evaluate(model, [scene], job.evaluation, baselines).per_view
    if picture:
        seen = with_inaccurate_poses(scene, job.evaluation.camera_noise)
        rendering = predict(model, seen.to(next(model.parameters()).device), depth=True)
        with atomic_path(_picture(folder, key)) as beside:
            drawn = {METHODS["model"]: rendering}
            Comparison.of(scene.batch, baselines.plane, drawn).draw().save(beside)
    records = [row.dropna().to_dict() for _, row in rows.iterrows()]  # baselines have no depth
    return {"rows": records}


def _file(folder: Path, key: str) -> Path:
    return folder / "scenes" / f"{file_name(key)}.json"


def _picture(folder: Path, key: str) -> Path:
    return folder / "pictures" / f"{file_name(key)}.png"


def _is_done(folder: Path, key: str, version: str, picture: bool) -> bool:
    result = _evaluated(folder, key)
    if "failed" in result:
        return False
    drawn = not picture or "skipped" in result or _picture(folder, key).exists()
    return result.get("version") == version and drawn


def _sealed(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a scene, with its digest."""
    text = json.dumps(result, sort_keys=True)
    return {**result, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _evaluated(folder: Path, key: str) -> dict[str, Any]:
    """The saved result of a scene; empty before it is evaluated, and if the file is damaged."""
    stored = read_kept(_file(folder, key))
    result = {name: value for name, value in stored.items() if name != "sha256"}
    return result if result and _sealed(result) == stored else {}


def _sums_up(folder: Path, keys: list[str]) -> bool:
    """Whether a folder's summary covers exactly these scenes, as captures may have been added or removed."""
    result = RunFolder(folder)
    try:
        left_out = [key for why in LEFT_OUT for key in result.metrics.get(why, {})]
        return {*result.per_view.scene, *left_out} == set(keys)
    except (RunError, OSError):
        return False


def _finish(job: Job, folder: Path, keys: list[str], null: int) -> None:
    rows = []
    left_out: dict[str, dict[str, str]] = {why: {} for why in LEFT_OUT}
    for key in keys:
        result = _evaluated(folder, key)
        rows += result.get("rows", [])
        for why, reasons in left_out.items():
            if why in result:
                reasons[key] = result[why]
    if not rows:
        key, reason = next(iter((left_out["failed"] or left_out["skipped"]).items()))
        raise EmptyDatasetError(
            f"{job.data}: none of {len(keys)} scenes can be evaluated; {key}: {reason}"
        )
    per_view = pd.DataFrame(rows)
    write_csv(folder / PER_VIEW, per_view)
    size = (job.views, job.framing.height, job.framing.width)
    model = job.weights.config.model
    metrics = {
        "summary": summarize(per_view),
        "scenes": int(per_view.scene.nunique()),
        **left_out,
        "null": null,
        "lpips_missing": lpips_missing(),
        "parameters": cost.parameters(model),
        "gaussians": cost.gaussians(model, *size),
    }
    write_json(folder / METRICS, metrics)


def _file_digest(path: Path) -> str:
    check_index(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def weights_digest(model: ILRM) -> str:
    """Ten hex digits of the SHA-256 of the weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:10]
