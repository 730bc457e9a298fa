"""The comparison of a study: effects against its first variant, from the run store."""

from reports.compare import comparison, main
from tests.reports.test_effects import STUDY, measurements


def test_every_variant_has_a_row_and_effects_are_against_the_first():
    table = comparison(STUDY, measurements({"w/o token uplifting": -0.3})).set_index("variant")
    assert table.loc["base", "PSNR (dB), effect"] == "reference"
    assert table.loc["w/o token uplifting", "PSNR (dB), effect"].startswith("-0.3")
    assert table.loc["base", "seeds x scenes"] == "3 x 64"


def test_what_is_not_run_says_so(capsys):
    assert main(["components", "--scale", "smoke"]) == 0
    assert capsys.readouterr().out.count("not run yet") == 9
    assert main(["component"]) == 2
    assert "did you mean 'components'" in capsys.readouterr().err
