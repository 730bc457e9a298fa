"""Evaluation indices in pixelSplat's format: {scene: {"context": [frames], "target": [frames]} |
null}.

The published ones: RE10K has 7,194 entries, 720 of them null, so 6,474 scenes are evaluated; ACID
has 1,848 entries and 1,595 evaluated scenes. The file is the user's own copy, given by path.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ilrm.data.errors import BadIndexError, DatasetMissingError, EmptyDatasetError
from ilrm.data.samplers import evaluation_context

FIELDS = ("context", "target")


@dataclass(frozen=True)
class EvaluationIndex:
    """Which frames of which scenes are evaluated; iterates over (scene key, context, target)."""

    path: Path
    entries: int  # scenes named in the file
    evaluated: dict[str, tuple[list[int], list[int]]]  # scene: context, target

    @property
    def null(self) -> int:
        return self.entries - len(self.evaluated)

    def __len__(self) -> int:
        return len(self.evaluated)

    def __iter__(self) -> Iterator[tuple[str, list[int], list[int]]]:
        for key, (context, target) in self.evaluated.items():
            yield key, context, target

    def __str__(self) -> str:
        return f"{self.path.name}: {self.entries} entries, {self.null} null, {len(self)} scenes evaluated"


def _is_frames(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(f) is int and f >= 0 for f in value)


def read_evaluation_index(path: str | Path, views: int | None = None) -> EvaluationIndex:
    """Reads an index and prints its counts; with `views`, the contexts are grown to that many
    views.

    Raises DatasetMissingError, BadIndexError, EmptyDatasetError, and what
    samplers.evaluation_context raises.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetMissingError(f"evaluation index {path} is missing: give the path of your copy")
    try:
        raw = json.loads(path.read_text())
    except ValueError as error:
        raise BadIndexError(f"{path} is no JSON ({error}): fetch it again") from error
    if not isinstance(raw, dict):
        raise BadIndexError(
            f"{path} is a {type(raw).__name__}, not a dict of scenes: it is no evaluation index"
        )
    evaluated = {}
    for key, entry in raw.items():
        if entry is None:
            continue
        if not (isinstance(entry, dict) and all(map(_is_frames, map(entry.get, FIELDS)))):
            raise BadIndexError(
                f"{path}, scene {key}: need non-empty lists of frames context and target, or null"
            )
        context, target = entry["context"], entry["target"]
        evaluated[key] = evaluation_context(context, target, views or len(context)), target
    if not evaluated:
        raise EmptyDatasetError(f"{path}: {len(raw)} entries, none to evaluate")
    index = EvaluationIndex(path, len(raw), evaluated)
    print(index)
    return index
