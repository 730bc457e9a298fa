"""Attention maps (Figures 8 and 18), cross-attention maps, and errors against true correspondences."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ilrm.errors import ConfigError
from ilrm.evaluation.attention import cross_attention, self_attention, top_tokens
from ilrm.evaluation.summary import estimate
from ilrm.model import ILRM
from ilrm.views import Views
from reports.figures import style

COLORS = ("#D55E00", "#0072B2", "#F0E442", "#009E73", "#CC79A7")  # per query (Okabe and Ito)
TOP = 3  # number of attended tokens shown in each other view
CELL = 1.25  # inches


def attention_figure(model: ILRM, views: Views, queries: Sequence[int]) -> Figure:
    """One row per self-attention layer: the query tokens in the first view (left) and, in each other view,
    the three most attended tokens of each query, more opaque for a larger share of that view's attention.

    Raises ConfigError on invalid queries, and whatever `self_attention` raises.
    """
    style.use()
    side = model.config.size_multiple
    _check_queries(queries, views, side)
    attention = self_attention(model, views, queries)  # [layers, Q, V, N]
    figure, panels = _panels(len(attention), attention.shape[2], views)
    for layer, row in enumerate(panels):
        row[0].set_ylabel(f"layer {layer + 1}")
        for view, axes in enumerate(row):
            _photo(axes, views.images[0, view])
            for query, color in enumerate(COLORS[: len(queries)]):
                weights = attention[layer, query, view]
                if view == 0:
                    _token(axes, queries[query], side, views, color, 0.35)
                    continue
                share = weights / weights.max()
                for token in top_tokens(weights[None], TOP)[0].tolist():
                    _token(axes, token, side, views, color, 0.15 + 0.45 * float(share[token]))
    for view, axes in enumerate(panels[0]):
        axes.set_title("queries" if view == 0 else f"view {view + 1}", fontsize=9)
    return _closed(figure)


def cross_attention_figure(model: ILRM, views: Views, query: int) -> Figure:
    """One row per cross-attention layer: attention to the image of the first view from each of the queries
    that token uplifting derives from one of its viewpoint tokens.

    Raises ConfigError on an invalid query, and whatever `cross_attention` raises.
    """
    style.use()
    c = model.config
    _check_queries([query], views, c.size_multiple)
    maps = cross_attention(model, views, [query])[:, 0]  # [layers, k, M]
    height, width = (length // (c.patch * c.image_factor) for length in views.images.shape[-2:])
    figure, panels = _panels(len(maps), maps.shape[1], views)
    for layer, row in enumerate(panels):
        row[0].set_ylabel(f"layer {layer + 1}")
        for k, axes in enumerate(row):
            _photo(axes, views.images[0, 0])
            extent = (0, views.images.shape[-1], views.images.shape[-2], 0)
            shown = maps[layer, k].view(height, width).cpu().numpy()
            axes.imshow(shown, cmap="magma", alpha=0.65, extent=extent)
            _token(axes, query, c.size_multiple, views, "white", 0.0)
    for k, axes in enumerate(panels[0]):
        axes.set_title(f"query {k + 1} of {maps.shape[1]}", fontsize=9)
    return _closed(figure)


def correspondence_figure(errors: pd.DataFrame) -> Figure:
    """Distance of the most attended token from the true correspondence and share of hits by layer, with 95%
    intervals over scenes, next to randomly chosen tokens. `errors`: from `correspondence_errors`.
    """
    style.use()
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axes, name, label in (
        (panels[0], "distance", "distance to ground truth (tokens)"),
        (panels[1], "near", "share within 1.5 tokens"),
    ):
        layers = sorted(errors.layer.unique())
        means = [estimate(errors[errors.layer == layer][name].to_numpy()) for layer in layers]
        bars = [[e.mean - e.low for e in means], [e.high - e.mean for e in means]]
        axes.errorbar(
            layers,
            [e.mean for e in means],
            bars,
            fmt="o-",
            capsize=3,
            color=style.COLORS["model"],
            label="most attended token",
        )
        chance = errors[f"random_{name}"].mean()
        color = style.COLORS["mean_colour"]
        axes.axhline(chance, linestyle="--", color=color, label="random token")
        axes.set(xlabel="self-attention layer", ylabel=label, xticks=layers)
        axes.set_ylim(bottom=0)
    panels[0].legend(fontsize=8)
    return _closed(figure)


def correspondence_table(errors: pd.DataFrame) -> pd.DataFrame:
    """The numbers of `correspondence_figure`, one row per layer: mean and 95% interval over scenes."""
    rows = []
    for layer, part in errors.groupby("layer"):
        distance, near = (estimate(part[name].to_numpy()) for name in ("distance", "near"))
        rows.append(
            {
                "layer": layer,
                "distance to ground truth (tokens)": distance.text(2),
                "random": f"{part.random_distance.mean():.2f}",
                "share within 1.5 tokens": near.text(2),
                "random ": f"{part.random_near.mean():.2f}",
            }
        )
    return pd.DataFrame(rows)


def _check_queries(queries: Sequence[int], views: Views, side: int) -> None:
    """Raise ConfigError on too many queries, or on queries that are not tokens of the first view."""
    height, width = views.images.shape[-2:]
    count = (height // side) * (width // side)
    if not 0 < len(queries) <= len(COLORS) or not all(
        type(query) is int and 0 <= query < count for query in queries
    ):
        raise ConfigError(
            f"queries={list(queries)}: give 1 to {len(COLORS)} tokens of the first view by number, 0 to "
            f"{count - 1}"
        )


def _panels(rows: int, columns: int, views: Views) -> tuple[Figure, np.ndarray]:
    height, width = views.images.shape[-2:]
    size = (CELL * columns * max(1.0, width / height) + 0.4, CELL * rows + 0.4)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def _photo(axes: Axes, image: Tensor) -> None:
    height, width = image.shape[-2:]
    axes.imshow(image.permute(1, 2, 0).cpu().numpy(), extent=(0, width, height, 0))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def _token(axes: Axes, token: int, side: int, views: Views, color: str, fill: float) -> None:
    """Draw the square of a viewpoint token on its photo."""
    row, column = divmod(token, views.images.shape[-1] // side)
    corner = (column * side, row * side)
    axes.add_patch(Rectangle(corner, side, side, facecolor=color, alpha=fill, lw=0))
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=color, lw=1.4))


def _closed(figure: Figure) -> Figure:
    plt.close(figure)
    return figure
