"""The numbers reported in the paper, and the rows of its tables that configurations correspond to."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.study import Variant, studies
from ilrm.config import ModelConfig
from ilrm.system.tables import read_table

CSV = Path(__file__).parent / "published.csv"
COLUMNS = ("table", "dataset", "protocol", "method", "views", "setting", "metric")


@cache
def published() -> pd.DataFrame:
    """Every reported value: table, dataset, protocol, method, views, setting, metric, value."""
    return read_published(CSV)


def read_published(path: Path) -> pd.DataFrame:
    """Read a table of reported values. Raises RunError on a damaged one."""
    return read_table(path, "table", columns=COLUMNS, numbers=("value",))


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's tables, identified by columns of published.csv; None matches any value."""

    table: str
    method: str
    views: int | None = None
    setting: str | None = None  # (viewpoint scale, image scale), e.g. "H,F"
    dataset: str | None = None
    protocol: str | None = None

    def entries(self) -> pd.DataFrame:
        """The row's entries in published.csv, one per metric."""
        rows = published()
        for name, value in dataclasses.asdict(self).items():
            if value is not None:
                rows = rows[rows[name] == value]
        return rows

    def value(self, metric: str) -> float | None:
        """The reported value, or None if the paper does not report this metric."""
        rows = self.entries()
        rows = rows[rows.metric == metric]
        return float(rows.value.iloc[0]) if len(rows) else None

    def __str__(self) -> str:
        first = self.entries().iloc[0]
        setting = "" if pd.isna(first.setting) else f",{first.setting}"
        return f"Table {self.table}, {self.method}, ({first.views}{setting})"


def rows_of(variant: Variant) -> list[PaperRow]:
    """The paper's rows that correspond to a study's variant."""
    return [PaperRow(**row) for row in variant.rows]


def row_pair(variant: Variant, reference: Variant) -> tuple[PaperRow, PaperRow] | None:
    """Rows of two variants in the same table of the paper, or None."""
    for row in rows_of(variant):
        for other in rows_of(reference):
            if row.table == other.table and row != other:
                return row, other
    return None


def paper_rows(config: ModelConfig, base: ModelConfig) -> tuple[PaperRow, PaperRow] | None:
    """The paper's rows for a variant of `base` and for `base` itself, or None if there is no such pair."""
    pairs = []
    for study in studies().values():
        by_config = {
            applied: variant
            for variant in study.variants
            if (applied := _applied(base, study.own_fields(variant))) is not None
        }
        if config != base and config in by_config and base in by_config:
            pairs.append(row_pair(by_config[config], by_config[base]))
    complete = [pair for pair in pairs if pair is not None]
    # prefer ablation tables: the models of Table 1 were trained longer, with larger batches
    return min(complete, key=lambda pair: pair[0].table == "1", default=None)


def _applied(base: ModelConfig, fields: dict[str, Any]) -> ModelConfig | None:
    """`base` with a variant's fields, or None if not all of them are fields of the model."""
    own = dataclasses.asdict(base)
    if not fields.keys() <= own.keys():
        return None
    if fields.keys() & {"viewpoint_scale", "image_scale"}:
        own["uplift"] = None  # follows from the resolutions
    return ModelConfig(**{**own, **fields})
