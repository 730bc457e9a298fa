"""Weights folders for the Hugging Face hub, through its own mixin: `save_pretrained` and `push_to_hub`.

They write a weights folder (`ilrm.weights.state`) with a model card. The folder, or its hub id, can be passed
to `ILRM.from_pretrained` or to any `--weights`.
"""

import math
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin

from ilrm import cost
from ilrm.errors import WeightsError
from ilrm.system.json_files import read_json
from ilrm.vocabulary import METHODS, METRICS, QUALITY, interval
from ilrm.weights.state import PACKAGED, Weights, read_weights, write_files

CARD = """---
{{ card_data }}
---

# {{ title }}

An iLRM ([Iterative Large 3D Reconstruction Model]({{ paper_url }})) with {{ parameters }} parameters:
{{ layers }} layers of width {{ width }}, patch {{ patch }}, viewpoints at {{ viewpoint_scale }}.
It predicts 3D Gaussians from posed photos in one forward pass.

It was trained for {{ steps }} steps on {{ data }} at {{ size }} pixels with {{ views }} input views.
`config.json` has the whole configuration.

```python
from ilrm import ILRM

model = ILRM.from_pretrained("{{ repo_id }}")  # or the path of this folder
```

{{ measured }}
"""


class HubWeights(
    ModelHubMixin,
    library_name="ilrm",
    license="apache-2.0",
    pipeline_tag="image-to-3d",
    tags=["3d-reconstruction", "gaussian-splatting", "novel-view-synthesis"],
    paper_url="https://arxiv.org/abs/2507.23277",
    model_card_template=CARD,
    coders={Weights: (lambda weights: weights.config.to_dict(), lambda values: values)},
):
    """Weights in the form of the hub's mixin; use `save_pretrained` and `push_to_hub` of this module."""

    def __init__(self, weights: Weights):
        self.weights = weights

    def _save_pretrained(self, save_directory: Path) -> None:
        write_files(self.weights, save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **_: Any) -> "HubWeights":
        return cls(read_weights(model_id))


def save_pretrained(source: str | Path, folder: str | Path, repo_id: str = "") -> Path:
    """Write weights, given as in `read_weights`, with a model card to a folder, and return it.

    `repo_id`: the hub id that the card names; by default the folder's name. Raises WeightsError.
    """
    weights, folder = read_weights(source), Path(folder)
    card = _card(weights, source, repo_id or folder.name)
    HubWeights(weights).save_pretrained(folder, model_card_kwargs=card)
    return folder


def push_to_hub(source: str | Path, repo_id: str, **options: Any) -> str:
    """Upload weights, given as in `read_weights`, with a model card to the hub; returns the commit's address.

    `options` are those of `huggingface_hub.ModelHubMixin.push_to_hub`: private, token, branch. Raises
    WeightsError, and the hub client's errors.
    """
    weights = read_weights(source)
    return HubWeights(weights).push_to_hub(
        repo_id, model_card_kwargs=_card(weights, source, repo_id), **options
    )


def _card(weights: Weights, source: str | Path, repo_id: str) -> dict[str, Any]:
    """Values for the template of the model card."""
    model, data, train = weights.config.model, weights.config.data, weights.config.train
    return {
        "title": repo_id.rpartition("/")[2],
        "repo_id": repo_id,
        "parameters": f"{cost.parameters(model):,}",
        "layers": model.layers,
        "width": model.width,
        "patch": model.patch,
        "viewpoint_scale": model.viewpoint_scale,
        "steps": f"{train.steps:,}",
        "data": Path(data.root).name if data.root else "procedural scenes",
        "size": f"{data.image_height}x{data.image_width}",
        "views": data.context_views,
        "measured": _measured(source),
    }


def _measured(source: str | Path) -> str:
    """Measured quality of weights as Markdown: results and limitations from their own card, else the metrics
    of their run beside all baselines.
    """
    folder = PACKAGED / source if (PACKAGED / source).is_dir() else Path(source)
    if (folder / "README.md").is_file():
        text = (folder / "README.md").read_text(encoding="utf-8")
        _, heading, rest = text.partition("## Results")
        return heading + rest
    if not (folder / "metrics.json").is_file():
        return "Nothing has been measured with these weights."
    summary = read_json(folder / "metrics.json", WeightsError)["summary"]
    rows = ["## Results", "", "Mean [95% interval] over the held-out scenes of the run:", ""]
    rows += [f"| | {' | '.join(METRICS[name].heading for name in QUALITY)} |", "|---|---|---|---|"]
    for method, label in METHODS.items():
        if values := summary.get(method):
            cells = [_interval(values.get(name), METRICS[name].digits) for name in QUALITY]
            rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _interval(value: dict[str, Any] | None, digits: int) -> str:
    if value is None:
        return "-"
    low, high = (math.nan if value[k] is None else value[k] for k in ("low", "high"))
    return interval(value["mean"], low, high, digits)
