"""Tables 1 to 18 and the cost ratio of Figure 2, with published and measured values.

The long table has one row per published value and contains everything; the wide tables for readers, with one
row per row of the paper's table, are derived from it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from ablations.study import Study, Variant, studies
from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.presets import model_config, run_config
from ilrm.vocabulary import METRICS, QUALITY, interval
from reports.effects import Effect, Measurements
from reports.published import PaperRow, published, row_pair, rows_of
from reports.tables.cost_tables import paper_case, recorded_benchmarks
from reports.tables.evaluation_tables import evaluated

KEYS = ["dataset", "protocol", "method", "views", "setting"]
TIMED = {  # metric: column of a benchmark and unit
    "time_s": ("encoder_s", 1.0),
    "memory_gb": ("memory", 1e-9),
    "iteration_s": ("training_s", 1.0),
    "train_memory_gb": ("training_memory", 1e-9),
}
COUNTED = ("params_m", "gaussians", "gflops", "relative_cost")
SIZES = {"3": (256, 448), "4": (512, 960), "5": (544, 960)}  # image sizes by table, else 256x256
DIGITS = {"gaussians": 0, "time_s": 3}  # decimals of metrics other than quality, else 2
UNITS = {
    **{name: METRICS[name].heading for name in QUALITY},
    "params_m": "parameters (M)",
    "gaussians": "Gaussians",
    "time_s": "time (s)",
    "memory_gb": "memory (GB)",
    "iteration_s": "iteration (s)",
    "train_memory_gb": "training memory (GB)",
    "gflops": "GFLOPs",
    "relative_cost": "relative cost",
    "abs_rel": "Abs Rel",
    "rmse": "RMSE",
    "chamfer": "chamfer distance",
    "f1": "F1",
}

LEVELS = ("published", "measured")  # the columns of a metric
EFFECTS = ("effect published", "effect measured")
DIFFERENCE = "difference"


@dataclass(frozen=True)
class Place:
    """The variant of a study that corresponds to a row of the paper."""

    study: Study
    variant: Variant
    row: PaperRow


def table_names() -> list[str]:
    """Names of the paper's tables in order, with "fig2" last."""
    return list(published().table.unique())


def table_title(table: str) -> str:
    """Title of a table, such as "Table 6" or "Figure 2"."""
    return "Figure 2" if table == "fig2" else f"Table {table}"


def long_table(table: str, measurements: Measurements) -> pd.DataFrame:
    """One row per published value of a table, with our measurement or the reason why there is none."""
    entries = published()[published().table == table]
    return pd.DataFrame([_beside(entry, measurements) for _, entry in entries.iterrows()])


def _beside(entry: pd.Series, measurements: Measurements) -> dict[str, Any]:
    row: dict[str, Any] = {name: entry[name] for name in ("table", *KEYS)}
    row |= {"metric": entry.metric, "published": entry.value}
    value = _counted(entry)
    if value is not None:
        return row | {
            "measured": value,
            "difference": value - entry.value,
            "scale": "paper",
            "note": "counted at the paper's configuration (ilrm/cost/__init__.py)",
        }
    if entry.metric in TIMED:
        timed = _timed(entry)
        if timed is not None:
            return row | timed
    if entry.metric in QUALITY:
        evaluation = evaluated(entry)
        if evaluation is not None:
            return row | evaluation
    place = _places().get(_line(entry))
    if entry.metric in QUALITY and place is not None:
        mean = measurements.mean(place.study, place.variant, entry.metric)
        if mean is not None:
            return row | _measured(entry, place, mean, measurements)
    return row | {"note": f"not measured: {_reason(entry, place)}"}


def _timed(entry: pd.Series) -> dict[str, Any] | None:
    """The value for an entry from a benchmark at the paper's configuration, or None."""
    case = paper_case(entry)
    column, unit = TIMED[entry.metric]
    for benchmark in recorded_benchmarks("paper"):
        rows = benchmark.rows if case is None else benchmark.rows[benchmark.rows.case == case.name]
        if case is None or rows.empty or column not in rows or pd.isna(rows.iloc[0][column]):
            continue
        value = unit * float(rows.iloc[0][column])
        return {
            "measured": value,
            "difference": value - entry.value,
            "scale": "paper",
            "device": benchmark.about["device"],
            "date": benchmark.about["date"],
            "commit": benchmark.about["commit"],
            "note": f"measured on different hardware than in the paper: {benchmark.provenance}",
        }
    return None


def _measured(
    entry: pd.Series, place: Place, mean: Effect, measurements: Measurements
) -> dict[str, Any]:
    runs = measurements.runs.loc[list(mean.runs)]
    values: dict[str, Any] = {
        "measured": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "scale": measurements.scale,
        "measured_setting": _setting(place, measurements.scale),
        "seeds": mean.seeds,
        "scenes": mean.scenes,
        "runs": " ".join(mean.runs),
        "device": ", ".join(sorted(set(runs.device))),
        "date": ", ".join(sorted(set(runs.date))),
        "commit": " ".join(sorted(set(runs.commit))),
    }
    reference = place.study.reference
    if place.variant is reference:
        return values | {"effect_against": "itself"}
    pair = row_pair(place.variant, reference)
    if pair is None or place.row != pair[0]:
        return values
    effect = measurements.effect(place.study, place.variant, reference, entry.metric)
    other = pair[1].value(entry.metric)
    if effect is not None and other is not None:
        values |= {
            "effect_published": entry.value - other,
            "effect_measured": effect.mean,
            "effect_low": effect.low,
            "effect_high": effect.high,
            "effect_against": reference.name,
        }
    return values


@cache
def _places() -> dict[int, Place]:
    """The first study's variant for each line of published.csv."""
    places: dict[int, Place] = {}
    for study in studies().values():
        for variant in study.variants:
            for row in rows_of(variant):
                for line in row.entries().index:
                    places.setdefault(line, Place(study, variant, row))
    return places


def _line(entry: pd.Series) -> int:
    """Line number of an entry in published.csv."""
    return int(str(entry.name))


def _counted(entry: pd.Series) -> float | None:
    """The value for an entry that `ilrm.cost` computes at the paper's configuration, or None."""
    if entry.metric not in COUNTED:
        return None
    if entry.metric == "relative_cost":
        return dict(zip(("(a)", "(b)", "(c)", "(d)"), cost.figure2_ratio(), strict=True))[
            entry.method
        ]
    if entry.metric == "gflops":
        kinds = ("baseline", "half cross-attention", "quarter cross-attention")
        return dict(zip(kinds, cost.table8_gflops(), strict=True))[entry.method]
    config = _paper_config(entry)
    if config is None:
        return None
    if entry.metric == "params_m":
        return cost.parameters(config) / 1e6
    height, width = SIZES.get(entry.table, (256, 256))
    return float(cost.gaussians(config, int(entry.views), height, width))


def _paper_config(entry: pd.Series) -> ModelConfig | None:
    """The paper's model configuration for a row of iLRM, or None for other methods."""
    place = _places().get(_line(entry))
    own = str(entry.method).startswith("iLRM")
    if place is None and not own:
        return None
    fields = (
        {}
        if place is None
        else {k: v for k, v in place.variant.fields.items() if k != "context_views"}
    )
    if own and not pd.isna(entry.setting):
        fields["viewpoint_scale"] = entry.setting[0]
    return model_config("paper", **fields)


def _reason(entry: pd.Series, place: Place | None) -> str:
    if place is None and not str(entry.method).startswith("iLRM"):
        return "another method"
    if entry.metric.endswith(("_s", "_gb")):
        return (
            "needs a GPU (benchmark_paper.md has what was measured on one, benchmark.md a scaled-down "
            "model on a CPU)"
        )
    if place is not None:
        return f"not run yet (python -m ablations run {place.study.name})"
    if entry.dataset != "re10k":
        return f"needs the dataset {entry.dataset}, which was not available"
    return "no study covers this row"


def wide_table(long: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A table for readers, with one row per row of the paper, and its numbered notes.

    Each metric has a column of published and one of measured values. Values at a scale other than the paper's
    cannot be compared, so two more columns hold the effects, the paper's and ours with its interval, both
    against the row marked "reference". At the paper's own scale, one more column holds the difference.
    """
    notes: list[str] = []
    rows = []
    metrics = list(dict.fromkeys(long.metric))
    for _, group in long.groupby(KEYS, sort=False, dropna=False):
        first = group.iloc[0]
        row = {"method": first.method, "views": first.views, "setting": "-"}
        if not pd.isna(first.setting):
            row["setting"] = first.setting
        row["data"] = f"{first.dataset}, {first.protocol}"
        entries = {entry.metric: entry for _, entry in group.iterrows()}
        for metric in metrics:
            row |= _columns(metric, entries.get(metric), notes)
        rows.append(row)
    table = pd.DataFrame(rows).fillna("-")
    order = [
        f"{UNITS[metric]}, {part}" for metric in metrics for part in (*LEVELS, *EFFECTS, DIFFERENCE)
    ]
    table = table[
        ["method", "views", "setting", "data", *(name for name in order if name in table)]
    ]
    if table.data.nunique() == 1:
        table = table.drop(columns="data")
    return table, notes


def _columns(metric: str, entry: pd.Series | None, notes: list[str]) -> dict[str, str]:
    """The cells of one metric in one row; "-" if the paper has no value."""
    names = {part: f"{UNITS[metric]}, {part}" for part in (*LEVELS, *EFFECTS, DIFFERENCE)}
    published, measured = (names[part] for part in LEVELS)
    if entry is None:
        return {published: "-", measured: "-"}
    digits = METRICS[metric].digits if metric in METRICS else DIGITS.get(metric, 2)
    row = {published: f"{entry.published:,.{digits}f}"}
    value = entry.get("measured")
    if value is None or pd.isna(value):
        return row | {measured: f"n/a{_mark(notes, entry.note)}"}
    if entry.scale == "paper":
        difference = f"{round(entry.difference, digits) + 0.0:+,.{digits}f}"
        level = f"{value:,.{digits}f}{_mark(notes, entry.note)}"
        return row | {measured: level, names[DIFFERENCE]: difference}
    level = interval(value, entry.low, entry.high, digits)
    row[measured] = level + _mark(notes, _provenance(entry))
    effect = entry.get("effect_measured")
    theirs, ours = (names[part] for part in EFFECTS)
    if entry.effect_against == "itself":
        return row | {theirs: "reference", ours: "reference"}
    if effect is None or pd.isna(effect):
        return row
    return row | {
        theirs: f"{entry.effect_published:+.{digits}f}",
        ours: interval(effect, entry.effect_low, entry.effect_high, digits, signed=True),
    }


def _setting(place: Place, scale: str) -> str:
    """Description of a run, such as "3 layers, (4,H,F) at 32x32, 1,200 steps"."""
    config = run_config(**place.study.parameters(place.variant, scale, 0))
    d, m = config.data, config.model
    setting = f"{m.layers} layers, ({d.context_views},{m.viewpoint_scale},{m.image_scale})"
    return f"{setting} at {d.image_height}x{d.image_width}, {config.train.steps:,} steps"


def _provenance(entry: pd.Series) -> str:
    return (
        f"measured at the {entry.scale} scale, not the paper's setting: {entry.measured_setting}, procedural "
        f"rooms, seeds x scenes {entry.seeds:.0f} x {entry.scenes:.0f}, {entry.device}, {entry.date}; runs: "
        "see the CSV"
    )


def _mark(notes: list[str], note: str) -> str:
    if note not in notes:
        notes.append(note)
    return f" ({notes.index(note) + 1})"
