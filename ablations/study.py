"""Studies: variants of a base configuration, and the corresponding results in the paper.

A study is a TOML file of about ten lines. Those of the paper are in `ablations/studies/`; your own files can
be anywhere.
"""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ablations.definitions import StudyError, is_file_name, items, read_toml, table, text
from ilrm.config import RunConfig
from ilrm.errors import ConfigError, IlrmError
from ilrm.fields import check_names, shown
from ilrm.presets import SCALES, parameter_names, run_config

STUDIES = Path(__file__).parent / "studies"
SEEDS = 3
MOST_SEEDS = 20  # maximum number of seeds of a study

# Further numbers of steps at which effects are measured, to see whether they grow towards the paper's.
LENGTHS: dict[str, tuple[int, ...]] = {"tiny": (750, 12_000)}

_KEYS = ("title", "paper", "claim", "fields", "varies", "values", "variant", "scales")
_VARIANT_KEYS = ("name", "fields", "rows")
_ROW_KEYS = ("table", "method", "views", "setting", "dataset", "protocol")


@dataclass(frozen=True)
class Variant:
    """One row of a study: fields that differ from the preset, and the paper's rows for it."""

    name: str
    fields: dict[str, Any]
    rows: tuple[dict[str, Any], ...] = ()  # columns of published.csv that identify the paper's rows


@dataclass(frozen=True)
class Cell:
    """One run of a study: a variant and a seed."""

    study: str
    variant: str
    seed: int
    config: RunConfig
    parameters: dict[str, Any]  # of the ablation notebook, including the scale

    @property
    def run_name(self) -> str:
        return self.config.name


@dataclass(frozen=True)
class Study:
    """Variants that are compared with the first one, with the same training, scenes and seeds."""

    name: str
    title: str
    paper: str  # place in the paper, e.g. "Table 6"; "" for studies of your own
    claim: str  # the tested claim, in one sentence
    variants: tuple[Variant, ...]  # the first is the reference
    scales: dict[str, dict[str, Any]]  # additional fields by scale

    @property
    def reference(self) -> Variant:
        return self.variants[0]

    def own_fields(self, variant: Variant) -> dict[str, Any]:
        """The variant's fields that are not shared by all variants of the study."""
        fields = [other.fields for other in self.variants]
        return {
            name: value
            for name, value in variant.fields.items()
            if any(name not in other or other[name] != value for other in fields)
        }

    def parameters(self, variant: Variant, scale: str, seed: int) -> dict[str, Any]:
        """Parameters of the ablation notebook for a variant and seed."""
        fields = {**self.scales.get(scale, {}), **variant.fields}
        return {"scale": scale, **fields, "seed": seed}

    def trained_for(self, steps: int) -> "Study":
        """This study with another number of training steps at every scale."""
        scales = {scale: {**self.scales.get(scale, {}), "steps": steps} for scale in SCALES}
        return replace(self, scales=scales)

    def hash(self, scale: str) -> str:
        """Eight hex digits of what defines the study at a scale: the runs of its variants.

        Names, texts and the number of seeds do not count. Raises what `cells` raises.
        """
        runs = sorted(cell.run_name for cell in self.cells(scale, [0]))
        return hashlib.sha256("\n".join(runs).encode()).hexdigest()[:8]

    def cells(self, scale: str, seeds: int | Iterable[int] = SEEDS) -> list[Cell]:
        """All cells, with all variants of a seed before the next seed.

        Raises StudyError if this scale cannot run a variant, if two variants are the same run, or if more
        than `MOST_SEEDS` seeds are asked for, which would be neither recorded nor compared.
        """
        if isinstance(seeds, int) and seeds > MOST_SEEDS:
            raise StudyError(
                f"study {self.name}: {seeds} seeds are more than are recorded and compared: give at most "
                f"{MOST_SEEDS}"
            )
        cells: dict[str, Cell] = {}
        for seed in range(seeds) if isinstance(seeds, int) else seeds:
            for variant in self.variants:
                parameters = self.parameters(variant, scale, seed)
                where = f"study {self.name}, variant {variant.name!r}, scale {scale}"
                try:
                    config = run_config(**parameters)
                except ConfigError as error:
                    raise StudyError(f"{where}: {error}") from error
                if config.name in cells:
                    other = cells[config.name].variant
                    raise StudyError(f"{where} is the same run as {other!r}: leave one out")
                cells[config.name] = Cell(self.name, variant.name, seed, config, parameters)
        return list(cells.values())


def read_study(path: Path) -> Study:
    """Read a study from its TOML file. Raises StudyError."""
    raw = read_toml(path)
    try:
        check_names(raw, list(_KEYS), str(path))
        common = table(raw.get("fields", {}), "fields")
        variants = [_variant(e, common, path) for e in items(raw.get("variant", []), "variant")]
        if "varies" in raw:
            name = text(raw["varies"], "varies")
            for value in items(raw.get("values", []), "values"):
                variants.append(Variant(f"{name}={value}", {**common, name: value}))
        if len(variants) < 2:
            raise StudyError("needs at least two variants: give varies and values, or [[variant]]s")
        names = [variant.name for variant in variants]
        if len(set(names)) < len(names):
            raise StudyError(f"two variants have the same name, among {shown(', '.join(names))}")
        texts = {key: text(raw.get(key, ""), key) for key in ("title", "paper", "claim")}
        scales = table(raw.get("scales", {}), "scales")
        check_names(scales, list(SCALES), f"scales of {path}")
        own = [table(fields, f"scales.{scale}") for scale, fields in scales.items()]
        for fields in (*own, *(variant.fields for variant in variants)):
            if taken := fields.keys() & {"scale", "seed"}:
                raise StudyError(
                    f"{taken.pop()} cannot be a field of a study: give it on the command line"
                )
            check_names(fields, list(parameter_names()), str(path))
        study = Study(path.stem, **texts, variants=tuple(variants), scales=scales)
    except IlrmError as error:
        raise StudyError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    return study


def _variant(entry: Any, common: dict[str, Any], path: Path) -> Variant:
    entry = table(entry, "a variant")
    check_names(entry, list(_VARIANT_KEYS), f"a variant of {path}")
    if not entry.get("name"):
        raise StudyError("a [[variant]] has no name: give it one")
    name = text(entry["name"], "the name of a variant")
    rows = tuple(table(row, f"a row of {name}") for row in items(entry.get("rows", []), "rows"))
    for row in rows:
        check_names(row, list(_ROW_KEYS), f"rows of {name}")
    return Variant(name, {**common, **table(entry.get("fields", {}), f"fields of {name}")}, rows)


@cache
def studies() -> dict[str, Study]:
    """The paper's studies by name, sorted by file name."""
    return {path.stem: read_study(path) for path in sorted(STUDIES.glob("*.toml"))}


def find_studies(names: Iterable[str]) -> list[Study]:
    """Find studies by name, by the path of a TOML file, or all of the paper's by "all". Raises StudyError."""
    known = studies()
    selected: dict[str, Study] = {}
    for name in names:
        if name == "all":
            chosen = list(known.values())
        elif is_file_name(name):
            chosen = [read_study(Path(name))]
        elif name in known:
            chosen = [known[name]]
        else:
            near = difflib.get_close_matches(name, [*known, "all"], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise StudyError(f"no study is named {shown(name)}: {hint} (paths must end in .toml)")
        for study in chosen:
            if selected.get(study.name, study) != study or known.get(study.name, study) != study:
                raise StudyError(f"{name}: another study is named {study.name}: rename the file")
            selected[study.name] = study
    return list(selected.values())
