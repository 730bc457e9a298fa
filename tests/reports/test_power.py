"""Power: the half width that the variance components give, and which of the paper's effects exceed it."""

import numpy as np
import pytest

from reports.claims import judge
from reports.effects import Effect, crossed_interval
from reports.power import expected_half_width, power
from tests.reports.test_effects import crossed, measurements


def test_the_half_width_is_that_of_repeated_studies():
    rng = np.random.default_rng(0)
    means = [crossed(rng, 3, 64).mean() for _ in range(2000)]
    widths = [expected_half_width(Effect(0, 0, 0, crossed(rng, 3, 64), ()), 3) for _ in range(200)]
    assert np.median(widths) == pytest.approx(1.96 * np.std(means), rel=0.25)
    x = crossed(rng, 8, 64)
    low, high = crossed_interval(x)
    assert expected_half_width(Effect(0, 0, 0, x, ()), 8) == pytest.approx(
        (high - low) / 2, rel=0.3
    )


def test_effects_of_the_papers_relative_size_are_scaled_to_our_level():
    found = measurements({"w/o token uplifting": -0.3})
    table = power(judge(found), found).set_index("claim")
    row = table.loc["Token uplifting is better than none"]
    level = 20 * 0.34 / 29.24
    assert float(row["paper's effect at our level (dB)"]) == pytest.approx(level, abs=0.02)
    assert row.resolvable == "yes" and float(row["half width (dB)"]) < 0.05
    assert power(judge(one := measurements({}, seeds=1)), one).empty
