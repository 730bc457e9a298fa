"""The paper's configurations: sizes at every scale, baselines of the same size."""

import pytest

from ilrm import cost
from ilrm.paper_configs import CASES, Case, cases
from ilrm.presets import SCALES, run_config


@pytest.mark.parametrize("scale", SCALES)
def test_every_case_makes_a_model_with_whole_patches_at_every_scale(scale):
    for case in CASES:
        own = case.at(scale)
        run_config(
            scale, **own.fields, image_height=own.height, image_width=own.width
        )  # raises on sizes that do not divide
        assert own.views == case.views


def test_the_paper_scale_is_the_paper():
    for case in CASES:
        assert case.at("paper") == case


def test_tiny_images_shrink_as_the_presets_do():
    wide = Case(("4",), 12, 512, 960).at("tiny")
    assert (wide.height, wide.width) == (64, 120)  # an eighth, rounded to 2 x patch x factor = 8
    assert wide.name == "(12,H,F) 64x120"


def test_baselines_have_a_gaussian_a_pixel_and_attend_to_everything():
    for case in cases():
        full = case.baseline()
        assert full.config.cross_attention == "none"
        assert cost.gaussians(full.config, *full.size) == case.views * case.height * case.width
        assert full.config.layers == case.config.layers


def test_cases_that_are_one_at_a_scale_come_once():
    chosen = cases(("6", "1"), "tiny")  # 3 layers are the tiny scale's own
    keys = [(case.size, case.config) for case in chosen]
    assert len(keys) == len(set(keys)) < len(cases(("6", "1")))
