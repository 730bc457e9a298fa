"""Recorded evaluations on real data: a table of all of them, and those at the paper's own configurations."""

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
    """One row an evaluation and method: mean and 95% interval over scenes."""
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
    """What a reader of the table has to know."""
    devices = sorted({str(result.environment["device"]) for result in recorded_evaluations()})
    return [
        "a protocol's name says how it is evaluated; data, index, number of scenes and size are those of the "
        "line, not the paper's",
        "mean [95% interval over scenes], of each scene's mean over targets; over few scenes these "
        "intervals are wide",
        f"measured with python -m ilrm.evaluate on {', '.join(devices)}",
    ]


def evaluated(entry: pd.Series) -> dict[str, Any] | None:
    """What a recorded evaluation at the paper's own configuration measured for an entry of published.csv."""
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
    """Whether an evaluation has an entry's protocol, views and image size, and all of its scenes."""
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
        "low": value["low"],
        "high": value["high"],
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
    """PSNR, SSIM and LPIPS of a method's summary by their headings: mean and 95% interval."""
    return {
        METRICS[name].heading: Estimate(**summary[name]).text(METRICS[name].digits)
        if name in summary
        else "not measured: no ImageNet weights"
        for name in QUALITY
    }
