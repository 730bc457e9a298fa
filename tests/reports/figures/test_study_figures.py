"""Figures of a study against a quantity: points at their places, the paper's, no misspelt variant."""

import pytest

from ablations.study import StudyError, studies
from reports.figures.study_figures import effects, quality_against
from tests.reports.test_effects import measurements

STUDY = studies()["components"]


def test_points_are_means_at_their_places_and_the_papers_stand_beside_them():
    measured = measurements({"w/o token uplifting": -0.3})
    places = {"base": 2, "w/o token uplifting": 1}
    ours, paper = quality_against(STUDY, places, "queries per token", measured).axes
    assert ours.get_xlabel() == "queries per token"
    assert [text.get_text() for text in ours.get_xticklabels()] == ["1", "2"]
    points = ours.lines[0].get_xydata()
    assert points[:, 0].tolist() == [1, 2]
    assert points[1, 1] - points[0, 1] == pytest.approx(0.3, abs=0.02)
    assert paper.lines[0].get_xydata().tolist() == [[1, 28.9], [2, 29.24]]


def test_effects_stand_below_the_title_of_their_study():
    (axes,) = effects(measurements({"w/o token uplifting": -0.3})).axes
    lines = [label.get_text() for label in axes.get_yticklabels()]
    title, *variants = lines[lines.index("Architectural components (from base)") :]
    assert variants[:3] == [variant.name for variant in STUDY.variants[1:4]]
    weights = {label.get_text(): label.get_fontweight() for label in axes.get_yticklabels()}
    assert weights[title] == "bold" and weights["w/o token uplifting"] == "normal"


def test_a_figure_may_leave_the_reference_out():
    places = {"w/o token uplifting": 1, "w/o resolution decoupling": 2}
    assert len(quality_against(STUDY, places, "place", measurements({})).axes) == 2


def test_a_misspelt_variant_is_named_instead_of_left_out():
    places = {"base": 2, "w/o uplifting": 1}
    with pytest.raises(StudyError, match="study components has no variant 'w/o uplifting'"):
        quality_against(STUDY, places, "queries per token", measurements({}))
