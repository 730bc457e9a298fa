"""The model card of the packaged weights, generated from their records."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ilrm import cost
from ilrm.config import RunConfig
from ilrm.errors import RunError
from ilrm.evaluation.summary import Estimate
from ilrm.recipes import stages
from ilrm.runs.evaluation_runs import recorded_evaluations, weights_digest
from ilrm.runs.records import RUNS, recorded
from ilrm.runs.store import RunFolder
from ilrm.vocabulary import METHODS
from ilrm.weights.state import FILE, PACKAGED, Weights, read_weights
from reports.tables.evaluation_tables import quality_intervals
from reports.write import markdown

DEPTH = {
    "depth_abs_rel": "mean relative error",
    "depth_rmse": "root mean square error in normalised units",
    "depth_spearman": "rank correlation, mean over views",
}
DEPTH_VIEWS = 4


CARD = """# {name}

An iLRM (*Iterative Large 3D Reconstruction Model*) with {millions} M parameters: {architecture}.
It predicts 3D Gaussians from {views} posed photos at {size} in one forward pass. It comes with the
package, so that notebooks and figures work without a download.

```python
from ilrm.model import ILRM

model = ILRM.from_pretrained("{name}")
```

## Training

The training data are procedural scenes only (`ilrm/data/procedural/varied.py`): boxes, spheres, cylinders and
thin furniture in rooms and outdoors, with diffuse lighting, textured with photographs from the scikit-image
and scikit-learn packages and with coloured noise, seen along walks, tours, and orbits of 30 to 360 degrees,
with lenses of 20 to 75 degrees and an exposure that differs between views. Their true depth is a second loss
that falls to zero. No real scene was used for training, but the six real clips and five captures below were
looked at while the recipe was developed:

{stages}
`python -m ilrm.train --recipe {name}` repeats it on a GPU; add `steps=100000` to train longer.
The weights are stored in half precision ({megabytes} MB); computation is in single precision.

## Results

Mean [95% interval over scenes] of these weights, next to baselines that learn nothing
(`python -m ilrm.evaluate --weights {name}`):

{results}
{depth}

Ranges of the training data (1st to 99th percentile; `seen.json`): {seen}.
Outside of these ranges the model extrapolates, which `python -m ilrm.reconstruct` reports.

## Limitations

{behind}
- It was only trained on diffuse surfaces of simple shapes: no reflections, no glass, no foliage, no people.
- Gaussians at half the image resolution cannot represent fine texture, so that LPIPS is worse than for a
  copied photo.
- It is far smaller than the paper's models and was trained for minutes, so its results say nothing about
  their quality.
"""


def model_card(name: str) -> str:
    """Model card in Markdown: architecture, training, results and limitations of the weights."""
    weights = read_weights(name)
    results, data = own_evaluations(weights), weights.config.data
    fewest, most = data.context_range or (data.context_views, data.context_views)
    return CARD.format(
        name=name,
        millions=f"{cost.parameters(weights.config.model) / 1e6:.1f}",
        architecture=_architecture(weights),
        views=f"{fewest} to {most}",
        size=f"{data.image_height}x{data.image_width}",
        stages=markdown(_stages(name), index=False),
        megabytes=f"{(PACKAGED / name / FILE).stat().st_size / 1e6:.1f}",
        results=markdown(_table(results), index=False),
        behind=_behind(results),
        depth=_depth([r for r in results if r.about["views"] == data.context_views]),
        seen=_seen(weights),
    )


def _architecture(weights: Weights) -> str:
    m = weights.config.model
    return (
        f"{m.layers} layers of width {m.width}, {m.heads} heads, patch {m.patch}, viewpoints at "
        f"{m.viewpoint_scale}, images at {m.image_scale}, token uplifting {m.uplift}"
    )


def _stages(name: str) -> pd.DataFrame:
    rows = []
    for run in stages(name):
        record = _record(run)
        measured = json.loads((record / "metrics.json").read_text(encoding="utf-8"))
        environment = json.loads((record / "environment.json").read_text(encoding="utf-8"))
        rows.append(
            {
                "images": f"{run.data.image_height}x{run.data.image_width}",
                "camera paths": run.data.procedural_path,
                "scenes": f"{run.data.procedural_train:,} (seed {run.data.procedural_seed})",
                "steps": f"{run.train.steps:,}",
                "scenes per step": run.train.batch,
                "minutes": f"{measured['training_seconds'] / 60:.0f}",
                "hardware": f"{_hardware(environment)}, {run.train.precision}",
            }
        )
    return pd.DataFrame(rows)


def _hardware(environment: dict[str, Any]) -> str:
    """The device, and of a CPU the threads of all processes."""
    if environment["attention"]:  # a GPU
        return str(environment["device"])
    count = environment["threads"] * environment.get("processes", 1)
    return f"{count} thread{'s' * (count > 1)} of {environment['device']}"


def _record(run: RunConfig) -> Path:
    """The recorded run of a stage, regardless of the name of the weights it starts from."""
    for folder in recorded(RUNS, "config.json"):
        config = RunConfig.from_dict(
            json.loads((folder / "config.json").read_text(encoding="utf-8"))
        )
        if config == replace(run, train=replace(run.train, start=config.train.start)):
            return folder
    raise RunError(
        f"reports/records/runs has no record of {run.name}, a stage of the recipe: record that run"
    )


def own_evaluations(weights: Weights) -> list[RunFolder]:
    """The recorded evaluations of exactly these weights, sorted by scenes and number of views."""
    own = weights_digest(weights.model)
    results = [result for result in recorded_evaluations() if result.about["parameters"] == own]
    return sorted(results, key=lambda r: (scene_kind(r), r.about["views"]))


def _table(results: list[RunFolder]) -> pd.DataFrame:
    rows = []
    for result in results:
        config, metrics = result.about, result.metrics
        for method, label in METHODS.items():
            if method not in metrics["summary"]:
                continue
            row: dict[str, Any] = {
                "scenes": f"{metrics['scenes']} {scene_kind(result)}",
                "views": config["views"],
                "method": label if method != "model" else config["weights"],
            }
            rows.append(row | quality_intervals(metrics["summary"][method]))
    return pd.DataFrame(rows)


def _behind(results: list[RunFolder]) -> str:
    """Lines that list the scenes on which methods that learn nothing are better."""
    words = {
        "plane_warp": "A plane warp, which blends the inputs at one depth for all scenes of a row,",
        "plane_sweep": "Plane-sweep stereo, which learns nothing either,",
    }
    return "\n".join(f"- {words[name]} {_better_than(results, name)}." for name in words)


def _better_than(results: list[RunFolder], method: str) -> str:
    better = []
    for result in results:
        summary = result.metrics["summary"]
        gap = summary[method]["psnr"]["mean"] - summary["model"]["psnr"]["mean"]
        if gap > 0:
            views = f"{result.about['views']} views"
            better.append(f"{scene_kind(result)} with {views} ({gap:.1f} dB)")
    listed = " and ".join(filter(None, [", ".join(better[:-1]), *better[-1:]]))
    return f"is better in PSNR on {listed or 'none of these scenes'}"


def scene_kind(result: RunFolder) -> str:
    """Name of the scenes of a recorded evaluation, and of how their input views were chosen."""
    data, protocol = result.about["data"], result.about["protocol"]
    if data == "captures":
        return "captures, " + ("near inputs" if protocol == "captures-near" else "spread inputs")
    if data.startswith("rooms"):
        varied = data.startswith("rooms-varied")
        return "held-out varied scenes" if varied else "held-out walks and tours"
    return "RealEstate10K clips"


def _depth(results: list[RunFolder]) -> str:
    """The depth errors with DEPTH_VIEWS views, a line per kind of scenes whose depth is known."""
    lines = []
    for result in results:
        values, views = result.metrics["summary"]["model"], result.about["views"]
        if views == DEPTH_VIEWS and all(name in values for name in DEPTH):
            parts = [f"{label} {Estimate(**values[name]).text(3)}" for name, label in DEPTH.items()]
            lines.append(f"- {scene_kind(result)} with {views} input views: {', '.join(parts)}.")
    return "\n".join(["Depth, without alignment:", "", *lines]) if lines else ""


def _seen(weights: Weights) -> str:
    seen = weights.seen
    assert seen is not None
    rotation, fov = (f"{low:.0f} to {high:.0f} degrees" for low, high in (seen.rotation, seen.fov))
    depth = f"{seen.depth[0]:.1f} to {seen.depth[1]:.1f} times the input cameras' extent"
    return f"rotation of {rotation}, vertical field of view of {fov}, depth of {depth}"
