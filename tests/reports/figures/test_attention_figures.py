"""Attention figures: a panel a layer and view, the queried tokens marked, the numbers those of the table."""

import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle

from ilrm.config import ModelConfig
from ilrm.errors import ConfigError
from ilrm.evaluation.attention import self_attention, top_tokens
from ilrm.model import ILRM
from reports.figures.attention_figures import (
    attention_figure,
    correspondence_figure,
    correspondence_table,
    cross_attention_figure,
)
from tests.helpers import some_views


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    config = ModelConfig(layers=2, width=32, heads=4, patch=4, init_std=0.2)
    return ILRM(config).eval(), some_views(batch=1, views=3)


def squares(axes) -> set[tuple[float, float]]:
    return {patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle)}


def test_tokens_are_marked_where_they_are(case):
    model, views = case
    figure = attention_figure(model, views, [5, 10])
    panels = figure.axes
    assert len(panels) == 2 * 3
    attention = self_attention(model, views, [5, 10])
    for layer in range(2):
        row = panels[3 * layer : 3 * layer + 3]
        assert squares(row[0]) == {(8, 8), (16, 16)}  # tokens 5 and 10 of 4 x 4, 8 pixels each
        for view in (1, 2):
            top = top_tokens(attention[layer, :, view], 3).flatten().tolist()
            assert squares(row[view]) == {(n % 4 * 8, n // 4 * 8) for n in top}


def test_a_map_of_every_uplifted_query(case):
    figure = cross_attention_figure(*case, 5)
    assert len(figure.axes) == 2 * 2
    assert figure.axes[1].images[1].get_array().shape == (8, 8)  # image tokens


def test_correspondences_by_layer_with_their_baseline():
    rows = [
        {"scene": s, "layer": n, "distance": 2.0 - n + d, "near": 0.5 * n - d}
        for s, d in (("a", 0.0), ("b", 0.1))
        for n in (1, 2)
    ]
    errors = pd.DataFrame(rows).assign(random_distance=3.0, random_near=0.2)
    table = correspondence_table(errors)
    assert table["distance to ground truth (tokens)"].str.startswith(("1.05", "0.05")).all()
    assert set(table["random"]) == {"3.00"}
    figure = correspondence_figure(errors)
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([1.05, 0.05])


@pytest.mark.parametrize("queries", [[16], [-1], [1.5], [], list(range(6))])
def test_queries_are_tokens_of_the_first_view(case, queries):
    """Of 4 x 4 tokens; 16 is the second view's first, of which the first view's picture tells nothing."""
    model, views = case
    with pytest.raises(ConfigError, match="1 to 5 tokens of the first view by number, 0 to 15"):
        attention_figure(model, views, queries)
    if len(queries) == 1:
        with pytest.raises(ConfigError, match="0 to 15"):
            cross_attention_figure(model, views, queries[0])
