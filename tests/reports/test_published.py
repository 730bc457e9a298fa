"""Published numbers, and which row of the paper a variant corresponds to."""

import pytest

from ilrm.presets import model_config
from reports.published import paper_rows, published

BASE = model_config("paper")


def test_every_table_is_there():
    assert set(published().table) == {*map(str, range(1, 19)), "fig2"}


@pytest.mark.parametrize(
    ("fields", "psnr", "base_psnr"),
    [
        ({"layers": 9}, 29.01, 29.24),
        ({"layers": 3}, 28.04, 29.24),
        ({"refinement": "first_layer"}, 28.58, 29.24),
        ({"image_scale": "H"}, 28.47, 29.24),
        ({"uplift": 1}, 28.90, 29.24),
        ({"minibatch": 2}, 30.25, 30.39),
        ({"minibatch": 4}, 30.08, 30.39),
        ({"self_attention": False}, 23.33, 29.24),
        ({"cross_attention": "group"}, 29.02, 29.24),
        ({"initial_tokens": "random"}, 28.90, 29.24),
        ({"initial_tokens": "image"}, 28.35, 29.24),
        ({"viewpoint_scale": "Q"}, 26.40, 29.24),
    ],
)
def test_each_ablation_finds_its_row_and_the_row_it_is_compared_with(fields, psnr, base_psnr):
    rows = paper_rows(model_config("paper", **fields), BASE)
    assert rows is not None
    assert (rows[0].value("psnr"), rows[1].value("psnr")) == (psnr, base_psnr)


def test_depth_is_compared_with_the_row_of_the_bases_own_depth():
    rows = paper_rows(model_config("tiny", layers=6), model_config("tiny", layers=3))
    assert rows is not None
    assert (rows[0].value("psnr"), rows[1].value("psnr")) == (28.68, 28.04)


def test_a_shallow_models_minibatch_is_compared_with_the_papers():
    rows = paper_rows(model_config("tiny", minibatch=4), model_config("tiny"))
    assert rows is not None
    assert (rows[0].value("psnr"), rows[1].value("psnr")) == (30.08, 30.39)


def test_what_the_paper_does_not_report_has_no_row():
    assert paper_rows(BASE, BASE) is None
    assert paper_rows(model_config("paper", layers=5), BASE) is None
    assert paper_rows(model_config("paper", uplift=1, layers=6), BASE) is None
