"""Recorded evaluations: a table of all of them, and lookup of those at the paper's configurations."""

from typing import Any

import pandas as pd

from ilrm.config import ModelConfig
from ilrm.data.frames.protocols import PROTOCOLS
from ilrm.evaluation.summary import Estimate
from ilrm.runs.evaluation_runs import recorded_evaluations
from ilrm.runs.store import RunFolder
from ilrm.vocabulary import METHODS, METRICS, QUALITY
from reports.tables.cost_tables import paper_case


def evaluations_table() -> pd.DataFrame:
    """One row per evaluation and method: mean and 95% interval over scenes."""
    rows = []
    for result in recorded_evaluations():
        config, metrics = result.about, result.metrics
        for method, name in METHODS.items():
            if method not in metrics["summary"]:
                continue
            rows.append(
                {
                    "protocol": config["protocol"],
                    "data": config["data"],
                    "index": config["index"] or "every 8th frame",
                    "views": config["views"],
                    "size": f"{config['framing']['height']}x{config['framing']['width']}",
                    "scenes": metrics["scenes"],
                    "skipped": len(metrics["skipped"]) + metrics["null"],
                    "method": name if method != "model" else config["weights"],
                }
                | quality_intervals(metrics["summary"][method])
            )
    return pd.DataFrame(rows)


def evaluations_notes() -> list[str]:
    """Notes for the table of evaluations."""
    devices = sorted({str(result.environment["device"]) for result in recorded_evaluations()})
    return [
        "the protocol determines how views are chosen; data, index, number of scenes and size are those of "
        "the row, not the paper's",
        "mean over target views, then over scenes [95% interval over scenes]; intervals over few scenes are "
        "Student's, wide, and may end beyond the values that a metric can have",
        f"measured with python -m ilrm.evaluate on {', '.join(devices)}",
    ]


def evaluated(entry: pd.Series) -> dict[str, Any] | None:
    """The value for an entry of published.csv from an evaluation at the paper's configuration, or None."""
    case = paper_case(entry)
    if case is None:
        return None
    for result in recorded_evaluations():
        if _at(result, entry) and _model(result) == case.config:
            value = result.metrics["summary"]["model"].get(entry.metric)
            if value is not None:
                return _row(result, value, entry)
    return None


def _at(result: RunFolder, entry: pd.Series) -> bool:
    """Whether an evaluation has the protocol, views and image size of an entry, and covers all its scenes."""
    config, protocol = result.about, PROTOCOLS[result.about["protocol"]]
    place = protocol.published
    return (
        place is not None
        and (entry.table, entry.dataset) == (place.table, place.dataset)
        and entry.protocol.startswith(place.protocol)
        and entry.views == config["views"]
        and config["framing"] == vars(protocol.framing)
        and place.scenes in (None, result.metrics["scenes"])
        and config["scenes"] is None
        and config["evaluation"]["camera_noise"] == 0
    )


def _model(result: RunFolder) -> ModelConfig:
    return ModelConfig(**result.about["run"]["model"])


def _row(result: RunFolder, value: dict[str, float], entry: pd.Series) -> dict[str, Any]:
    return {
        "measured": value["mean"],
        "low": Estimate(**value).low,
        "high": Estimate(**value).high,
        "difference": value["mean"] - entry.value,
        "scale": "paper",
        "scenes": result.metrics["scenes"],
        "runs": result.folder.name,
        "device": result.environment["device"],
        "date": result.environment["date"],
        "commit": result.environment["commit"],
        "note": f"weights {result.about['weights']}, evaluated with python -m ilrm.evaluate",
    }


def quality_intervals(summary: dict[str, dict[str, float]]) -> dict[str, str]:
    """PSNR, SSIM and LPIPS from a method's summary, by heading: mean and 95% interval."""
    return {
        METRICS[name].heading: Estimate(**summary[name]).text(METRICS[name].digits)
        if name in summary
        else "not measured: ImageNet weights are missing"
        for name in QUALITY
    }
