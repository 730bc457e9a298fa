"""Tables of counted costs of the paper's configurations, and of costs measured on a machine."""

import dataclasses
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.cost.counting import counted_macs, torch_macs
from ilrm.cost.floors import DEVICES, floor_seconds
from ilrm.cost.memory import Workload, saved_bytes, training_memory
from ilrm.errors import RunError
from ilrm.paper_configs import CASES, FULL_ATTENTION, Case
from ilrm.presets import run_config
from ilrm.runs.records import BENCHMARKS
from ilrm.runs.store import AGAIN
from ilrm.system.json_files import read_json
from ilrm.system.tables import read_table
from reports.published import published

GPU_TABLES = {  # GPU on which the paper measured the times of a table
    **dict.fromkeys(("1", "3", "4", "17"), "RTX 4090"),
    **dict.fromkeys(("5", "10", "13", "15"), "H100"),
}


@cache
def counts() -> pd.DataFrame:
    """One row per configuration of the paper: parameters, Gaussians and MACs, counted in three ways.

    All values are plain numbers; `counts_text` formats them.
    """
    return pd.DataFrame([_count(case) for case in CASES])


def _count(case: Case) -> dict[str, Any]:
    closed = sum(cost.analytic_macs(case.config, *case.size).values())
    full = case.baseline()
    return {
        "tables": ", ".join(case.tables),
        "configuration": case.name,
        "parameters": cost.parameters(case.config),
        "gaussians": cost.gaussians(case.config, *case.size),
        "macs": closed,
        "fvcore": sum(counted_macs(case.config, *case.size).values()),
        "torch": sum(torch_macs(case.config, *case.size).values()),
        "full_attention": sum(cost.analytic_macs(full.config, *full.size).values()),
    }


def counts_text() -> pd.DataFrame:
    """Formatted `counts`: millions, GMACs, GFLOPs, ratios of the three counts, share of full attention."""
    table = counts()
    return pd.DataFrame(
        {
            "paper's tables": table.tables,
            "configuration": table.configuration,
            "parameters (M)": (table.parameters / 1e6).map("{:.2f}".format),
            "Gaussians": table.gaussians.map("{:,}".format),
            "GMACs": (table.macs / 1e9).map("{:,.1f}".format),
            "GFLOPs": (2 * table.macs / 1e9).map("{:,.1f}".format),
            "fvcore / closed form": (table.fvcore / table.macs).map("{:.3f}".format),
            "torch / closed form": (table.torch / table.macs).map("{:.3f}".format),
            "share of full attention": (table.macs / table.full_attention).map("{:.3f}".format),
        }
    )


def parts(config: ModelConfig, views: int, height: int, width: int) -> pd.DataFrame:
    """GMACs of a forward pass by part, and of the two blocks of a layer by kind of product."""
    size = (views, height, width)
    rows = [(name, macs, "all") for name, macs in cost.analytic_macs(config, *size).items() if macs]
    for kind, block in (
        ("cross block", cost.cross_block_macs(config, *size)),
        ("self block", cost.self_block_macs(config, *size)),
    ):
        rows += [(f"{kind}: {name}", macs, "one layer") for name, macs in block.items()]
    table = pd.DataFrame(rows, columns=["part", "macs", "of"])
    whole = {
        "all": table[table.of == "all"].macs.sum(),
        "one layer": table[table.of == "one layer"].macs.sum(),
    }
    table["GMACs"] = (table.macs / 1e9).map("{:,.2f}".format)
    table["share"] = [f"{m / whole[of]:.1%}" for m, of in zip(table.macs, table.of, strict=True)]
    return table[["part", "of", "GMACs", "share"]]


def three_counts(config: ModelConfig, views: int, height: int, width: int) -> pd.DataFrame:
    """MACs of a forward pass by part: closed form, fvcore, torch, and their ratios to the closed form."""
    size = (views, height, width)
    table = pd.DataFrame(
        {
            "closed form": cost.analytic_macs(config, *size),
            "fvcore": counted_macs(config, *size),
            "torch": torch_macs(config, *size),
        }
    )
    table.loc["all"] = table.sum()
    for name in ("fvcore", "torch"):
        ratio = (table[name] / table["closed form"]).where(table["closed form"] > 0, 1.0)
        table[f"{name} / closed form"] = ratio.map("{:.3f}".format)
    for name in ("closed form", "fvcore", "torch"):
        table[name] = table[name].map("{:,}".format)
    return table


def device_floors(config: ModelConfig, views: int, height: int, width: int) -> pd.DataFrame:
    """Lower bound on the time of a forward pass in bf16 on each device of `ilrm.cost.floors.DEVICES`."""
    rows = [
        (name, f"{1e3 * floor_seconds(config, views, height, width, device):.2f}")
        for name, device in DEVICES.items()
    ]
    return pd.DataFrame(rows, columns=["device", "floor (ms)"])


def floors() -> pd.DataFrame:
    """The paper's times next to the lower bound given by the GPU's data sheet."""
    rows = []
    times = published()[published().metric == "time_s"]
    for _, entry in times[times.table.isin(GPU_TABLES)].iterrows():
        case = paper_case(entry)
        if case is None:
            continue
        device = DEVICES[GPU_TABLES[entry.table]]
        floor = floor_seconds(case.config, *case.size, device)
        rows.append(
            {
                "table": entry.table,
                "configuration": case.name,
                "device": device.name,
                "published (s)": f"{entry.value:.3f}",
                "floor (s)": f"{floor:.4f}",
                "published / floor": f"{entry.value / floor:.1f}",
            }
        )
    table = pd.DataFrame(rows).drop_duplicates(ignore_index=True)
    return table.sort_values("table", key=lambda t: t.astype(int), kind="stable")


def training_memory_table() -> pd.DataFrame:
    """Training memory of Table 8: as published, and the memory the encoder saves for its backward pass."""
    rows = []
    configs = {
        "baseline": ModelConfig(),
        "half cross-attention": ModelConfig(minibatch=2),
        "quarter cross-attention": ModelConfig(minibatch=4),
    }
    full: dict[str, float] = {}
    for method, config in configs.items():
        stored, checkpointed = (
            saved_bytes(Workload(config, 8, 256, 256, 16, "bf16", checkpointing, fused_norm=True))
            for checkpointing in (False, True)
        )
        (entry,) = published()[
            (published().table == "8")
            & (published().method == method)
            & (published().metric == "train_memory_gb")
        ].value
        full = full or {"stored": stored, "published": entry}
        rows.append(
            {
                "cross-attention": method,
                "published (GB)": f"{entry:.1f}",
                "share": f"{entry / full['published']:.2f}",
                "encoder, stored (GB)": f"{stored / 1e9:.1f}",
                "its share": f"{stored / full['stored']:.2f}",
                "encoder, checkpointed (GB)": f"{checkpointed / 1e9:.1f}",
            }
        )
    return pd.DataFrame(rows)


def training_memory_measured(scale: str = "tiny") -> pd.DataFrame:
    """Memory of a scale's training step in MB, as predicted by the closed form and as measured with torch.

    Columns: memory saved between forward and backward pass, and the peak of an AdamW step including weights
    and moments.
    """
    rows = []
    for fields in ({}, {"minibatch": 2}, {"minibatch": 4}, FULL_ATTENTION):
        run = run_config(scale, **fields)
        d = run.data
        size = (d.context_views, d.image_height, d.image_width, run.train.batch)
        for checkpointing in (False, True):
            work = Workload(run.model, *size, checkpointing=checkpointing)
            predicted, measured = saved_bytes(work), training_memory(work)
            rows.append(
                {
                    "model": ", ".join(f"{k}={v}" for k, v in fields.items()) or "base",
                    "activations": "checkpointed" if checkpointing else "stored",
                    "predicted (MB)": f"{predicted / 1e6:.2f}",
                    "saved (MB)": f"{measured.saved / 1e6:.2f}",
                    "ratio": f"{measured.saved / predicted:.3f}",
                    "peak of a step (MB)": f"{measured.peak / 1e6:.2f}",
                }
            )
    return pd.DataFrame(rows)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark recorded by `python -m ilrm.benchmark --record`: measurements and environment."""

    rows: pd.DataFrame
    about: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Benchmark":
        rows = read_table(folder / "measurements.csv")
        for name in ("left_out", "training_left_out"):
            rows[name] = rows[name].astype(object).fillna("")
        return cls(rows, read_json(folder / "environment.json", RunError, AGAIN))

    def is_of(self, scale: str) -> bool:
        """Whether the measured models are those of the scale's present preset."""
        return all(
            row["parameters"]
            == cost.parameters(run_config(scale, **json.loads(row["fields"])).model)
            for row in self.rows.to_dict("records")
        )

    @property
    def provenance(self) -> str:
        a = self.about
        kernels = ", ".join(sorted(set(self.rows.attention.dropna()))) or "none"
        return (
            f"{a['device']}, {a['threads']} threads, {a['precision']}, torch {a['versions']['torch']}, "
            f"{'compiled blocks' if a['compiled'] else 'eager'}, attention: {kernels}; {a['date']}, commit "
            f"{a['commit']}; matrix products {a['matmul_flops'] / 1e9:,.0f} GFLOP/s, memory "
            f"{a['bandwidth'] / 1e9:,.0f} GB/s"
        )

    @property
    def memory_note(self) -> str:
        """How the memory was obtained, and what is missing."""
        memory_is = "counted" if self.about["memory_is"] == "counted" else "measured"
        unknown = self.rows.memory[self.rows.left_out == ""].isna().any()
        return (
            f"memory is {memory_is}: peak of all tensors, including weights; training: MSE loss, without "
            "activation checkpointing"
            + ("; -: not told apart from what earlier cases had left in memory" if unknown else "")
        )

    def text(self) -> pd.DataFrame:
        """Formatted measurements: milliseconds with their 10% to 90% range, megabytes."""
        rows = []
        for row in self.rows.to_dict("records"):
            shown = {"configuration": row["case"], "GMACs": f"{row['macs'] / 1e9:,.3g}"}
            out, training_out = row["left_out"], row["training_left_out"]
            shown["encoder (ms)"] = out or _ms(row, "encoder")
            shown["/ floor"] = "-" if out else f"{row['encoder_s'] / row['floor_s']:.1f}"
            shown["renderer, per view (ms)"] = "-" if out else _ms(row, "renderer")
            shown["memory (MB)"] = "-" if out else _megabytes(row["memory"])
            step = training_out or f"{_ms(row, 'training')} x {row['batch']}"
            memory = "-" if training_out else _megabytes(row["training_memory"])
            shown |= {"training step (ms)": step, "training memory (MB)": memory}
            rows.append(shown)
        return pd.DataFrame(rows)


def _megabytes(size: float) -> str:
    return "-" if math.isnan(size) else f"{size / 1e6:,.0f}"


def recorded_benchmarks(scale: str, records: Path = BENCHMARKS) -> list[Benchmark]:
    """The benchmarks recorded in the project at a scale, sorted by device name, without those of a former
    preset, whose models have other numbers of parameters.
    """
    folders = sorted(records.glob(f"{scale}-*/measurements.csv"))
    benchmarks = [Benchmark.read(path.parent) for path in folders]
    return [benchmark for benchmark in benchmarks if benchmark.is_of(scale)]


def paper_case(entry: pd.Series) -> Case | None:
    """The configuration of an entry of published.csv, or None for other methods and optimised scenes."""
    minibatch = {
        **dict.fromkeys(("iLRM", "iLRM (unseen)", "baseline"), 1),
        "half cross-attention": 2,
        **dict.fromkeys(("iLRM-MC", "quarter cross-attention"), 4),
    }.get(str(entry.method))
    for case in CASES:
        c = case.config
        setting = f"{c.viewpoint_scale},{c.image_scale}"
        if (
            entry.table in case.tables
            and entry.views == case.views
            and entry.setting == setting
            and c.minibatch == minibatch
        ):
            return case
    return None


def _ms(row: dict[Any, Any], name: str) -> str:
    values = (1e3 * row[f"{name}{part}_s"] for part in ("", "_low", "_high"))
    median, low, high = (f"{value:.3g}" if value < 1e3 else f"{value:,.0f}" for value in values)
    return f"{median} [{low}, {high}]"
