"""Published evaluation indices, read from the user's own copies.

pixelSplat's format is {scene: {"context": [frames], "target": [frames]} | null}. The RE10K index has 7,194
entries, 720 of them null, so 6,474 scenes are evaluated; ACID has 1,848 entries and 1,595 evaluated scenes.
Long-LRM's format is a list of {"scene_name", "fold_8_kmeans_V_input": [frames]}: the input views of the
wide-coverage protocol for V views.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilrm.data.frames.training_windows import evaluation_context
from ilrm.data.frames.view_selection import HOLD_OUT
from ilrm.data.scene import Scene, Scenes
from ilrm.errors import DataError, EmptyDatasetError
from ilrm.fields import shown_path
from ilrm.system.files import is_file, is_folder
from ilrm.system.found_instead import describe_path
from ilrm.system.json_files import read_json

FIELDS = ("context", "target")
MOST_FRAMES = 1_000_000  # upper limit of frame numbers; no clip has more frames


@dataclass(frozen=True)
class EvaluationIndex:
    """Evaluated scenes and their input and target frames; iterates over (scene key, context, target)."""

    path: Path
    entries: int  # scenes named in the file
    evaluated: dict[str, tuple[list[int], list[int]]]  # scene: context, target

    @property
    def null(self) -> int:
        return self.entries - len(self.evaluated)

    def __len__(self) -> int:
        return len(self.evaluated)

    def keys(self, scenes: Scenes) -> list[str]:
        return list(self.evaluated)

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        return self.evaluated[scene.key]

    def __iter__(self) -> Iterator[tuple[str, list[int], list[int]]]:
        for key, (context, target) in self.evaluated.items():
            yield key, context, target

    def __str__(self) -> str:
        return f"{self.path.name}: {self.entries} entries, {self.null} null, {len(self)} scenes evaluated"


def _is_frames(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(f) is int and 0 <= f < MOST_FRAMES for f in value)
    )


def read_evaluation_index(path: str | Path, views: int | None = None) -> EvaluationIndex:
    """Read an index and print its counts. With `views`, contexts are extended to this many views.

    Raises DataError, and whatever `evaluation_context` raises.
    """
    path = Path(path)
    raw = _json(path)
    if not isinstance(raw, dict):
        raise DataError(
            f"{path} contains a {type(raw).__name__}, not a dict of scenes: give an evaluation index"
        )
    evaluated = {}
    for key, entry in raw.items():
        if entry is None:
            continue
        if not (isinstance(entry, dict) and all(map(_is_frames, map(entry.get, FIELDS)))):
            raise DataError(
                f"{path}, scene {key}: need non-empty frame lists `context` and `target`, or null"
            )
        context, target = entry["context"], entry["target"]
        context = evaluation_context(context, target, views or len(context))
        _check_distinct(f"{path}, scene {key}", context, target)
        evaluated[key] = context, target
    if not evaluated:
        raise EmptyDatasetError(f"{path}: {len(raw)} entries, none to evaluate: use another index")
    index = EvaluationIndex(path, len(raw), evaluated)
    print(index)
    shared = sum(not set(context).isdisjoint(target) for _, context, target in index)
    if shared:
        print(f"{path.name}: in {shared} scenes a target view is also an input view")
    return index


def _check_distinct(where: str, *parts: list[int]) -> None:
    if any(len(set(frames)) < len(frames) for frames in parts):
        raise DataError(f"{where}: a frame is listed twice: list every input and target once")


@dataclass(frozen=True)
class WideIndex:
    """Published input views of the wide-coverage protocol; every 8th frame is a target (Table 5)."""

    path: Path
    inputs: dict[str, list[int]]  # scene: input frames

    def keys(self, scenes: Scenes) -> list[str]:
        return list(self.inputs)

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        return self.inputs[scene.key], list(range(0, len(scene), HOLD_OUT))

    def __str__(self) -> str:
        return f"{self.path.name}: {len(self.inputs)} scenes evaluated"


def read_wide_index(path: str | Path, views: int) -> WideIndex:
    """Read Long-LRM's index for this number of input views and print its scene count.

    Raises DataError, also if the index has no inputs for this number of views.
    """
    path = Path(path)
    raw = _json(path)
    name = f"fold_{HOLD_OUT}_kmeans_{views}_input"
    if not isinstance(raw, list) or not all(
        isinstance(e, dict) and isinstance(e.get("scene_name"), str) for e in raw
    ):
        raise DataError(
            f"{path} is not a list of scenes with a scene_name: give a wide-coverage index"
        )
    inputs = {}
    for entry in raw:
        frames = entry.get(name)
        if not _is_frames(frames) or len(frames) != views:
            known = [k for k in entry if k.startswith("fold_")]
            raise DataError(
                f"{path}, scene {entry['scene_name']}: no {views} frames under {name} (it has "
                f"{', '.join(known) or 'none'}): leave the index out to choose views by K-means"
            )
        scene = entry["scene_name"]
        _check_distinct(f"{path}, scene {scene}", frames)
        if scene in inputs or any(frame % HOLD_OUT == 0 for frame in frames):
            raise DataError(
                f"{path}, scene {scene}: listed twice, or with inputs that are held out (every "
                f"{HOLD_OUT}th frame): fetch the index again"
            )
        inputs[scene] = frames
    index = WideIndex(path, inputs)
    print(index)
    return index


def check_index(path: Path) -> None:
    """Raise DataError if there is no such file."""
    if not is_file(path):
        what = describe_path(path) if path.is_symlink() else None
        what = (
            what
            or f"{'is a folder' if is_folder(path) else 'is missing'}: give the path of your copy"
        )
        raise DataError(f"evaluation index {shown_path(path)} {what}")


def _json(path: Path) -> Any:
    check_index(path)
    return read_json(path, fix="fetch it again")
