"""The numbers that the paper reports, and which of its rows a configuration corresponds to."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ilrm.config import ModelConfig

CSV = Path(__file__).parent / "published.csv"


def published() -> pd.DataFrame:
    """Every reported value: table, dataset, protocol, method, views, setting, metric, value."""
    return pd.read_csv(CSV, dtype={"table": str})


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's ablation tables: Tables 6 to 9 and 18, RE10K."""

    table: str
    method: str
    views: int
    setting: str  # (viewpoint scale, image scale), e.g. "H,F"

    def value(self, metric: str) -> float | None:
        """The reported value, or None where the paper reports none."""
        rows = published()
        rows = rows[
            (rows.table == self.table)
            & (rows.dataset == "re10k")
            & (rows.method == self.method)
            & (rows.views == self.views)
            & (rows.setting == self.setting)
            & (rows.metric == metric)
        ]
        return float(rows.value.iloc[0]) if len(rows) else None

    def __str__(self) -> str:
        return f"Table {self.table}, {self.method}, ({self.views},{self.setting})"


# Field and value that differ from the base model -> the paper's row.
_ROWS = {
    ("layers", 12): PaperRow("6", "12 layers", 4, "H,F"),
    ("layers", 9): PaperRow("6", "9 layers", 4, "H,F"),
    ("layers", 6): PaperRow("6", "6 layers", 4, "H,F"),
    ("layers", 3): PaperRow("6", "3 layers", 4, "H,F"),
    ("refinement", "first_layer"): PaperRow("7", "w/o iterative refinement", 4, "H,F"),
    ("image_scale", "H"): PaperRow("7", "w/o resolution decoupling", 4, "H,F"),
    ("uplift", 1): PaperRow("7", "w/o token uplifting", 4, "H,F"),
    ("minibatch", 2): PaperRow("8", "half cross-attention", 8, "H,F"),
    ("minibatch", 4): PaperRow("8", "quarter cross-attention", 8, "H,F"),
    ("self_attention", False): PaperRow("9", "w/o self-attention", 4, "H,F"),
    ("cross_attention", "group"): PaperRow("9", "w/ group attention", 4, "H,F"),
    ("initial_tokens", "random"): PaperRow("9", "w/ random init", 4, "H,F"),
    ("initial_tokens", "image"): PaperRow("9", "w/ LR-feature init", 4, "H,F"),
    ("viewpoint_scale", "Q"): PaperRow("18", "iLRM", 4, "Q,F"),
}
_BASES = {
    "7": PaperRow("7", "baseline (12 layers)", 4, "H,F"),
    "8": PaperRow("8", "baseline", 8, "H,F"),
    "9": PaperRow("9", "baseline", 4, "H,F"),
    "18": PaperRow("18", "iLRM", 4, "H,F"),
}


def paper_rows(config: ModelConfig, base: ModelConfig) -> tuple[PaperRow, PaperRow] | None:
    """The paper's rows for a variant of `base` and for `base` itself, or None if it has no such pair.

    Only variants that change one ablated field have a row; for the depth ablation both layer counts have
    to be among the paper's (12, 9, 6, 3).
    """
    changed = {
        (name, getattr(config, name))
        for name in {field for field, _ in _ROWS}
        if getattr(config, name) != getattr(base, name)
    }
    if config.image_scale == config.viewpoint_scale == "H":
        changed.discard(("uplift", 1))  # follows from equal resolutions
    if len(changed) != 1:
        return None
    row = _ROWS.get(changed.pop())
    if row is None:
        return None
    base_row = _ROWS.get(("layers", base.layers)) if row.table == "6" else _BASES[row.table]
    return None if base_row is None else (row, base_row)
