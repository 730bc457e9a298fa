"""The results in README.md are made from the records, and a stale or missing block is noticed."""

import json
import shutil

import pytest

from ablations.study import studies
from ilrm.errors import IlrmError
from ilrm.presets import run_config
from ilrm.runs.records import recorded_runs
from ilrm.runs.store import Run
from ilrm.system.paths import PROJECT
from ilrm.weights.state import read_weights
from reports import readme, regenerate
from reports.effects import Measurements
from reports.model_card import own_evaluations, scene_kind
from reports.write import Writer
from tests.reports.test_effects import measurements

PLANE = {"psnr": {"mean": 24.9, "low": 24.0, "high": 25.8}}
SWEEP = {"psnr": {"mean": 26.9, "low": 26.0, "high": 27.8}}


def longest_of(runs):
    """The longest of the base runs."""
    return max(runs.values(), key=lambda run: run.config.train.steps)


@pytest.fixture
def with_plane(tmp_path):
    """Copies of records, in which the plane warp was measured, too."""

    def copied(folder, kind):
        copy = tmp_path / folder.folder.name
        shutil.copytree(folder.folder, copy)
        metrics = json.loads((copy / "metrics.json").read_text())
        others = {m: {"mean": 0.5, "low": 0.4, "high": 0.6} for m in ("ssim", "lpips")}
        metrics["summary"] |= {"plane_warp": PLANE | others, "plane_sweep": SWEEP | others}
        (copy / "metrics.json").write_text(json.dumps(metrics))
        return kind(copy)

    return copied


def test_the_committed_block_is_what_the_records_say():
    text = (PROJECT / readme.README).read_text()
    assert readme.with_results(text) == text
    longest = longest_of(recorded_runs(run_config("tiny")))
    psnr = longest.metrics["summary"]["model"]["psnr"]
    assert f"| {psnr['mean']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}] |" in text


def test_only_the_block_changes_and_a_stale_one_is_found(tmp_path):
    stale = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
    (tmp_path / readme.README).write_text(stale)
    made = readme.with_results(stale)
    assert made.startswith(f"before\n{readme.BEGIN}\n") and made.endswith(
        f"\n{readme.END}\nafter\n"
    )
    assert "old" not in made and readme.with_results(made) == made
    check = Writer(tmp_path, check=True)
    check.text(readme.README, made)
    assert check.stale == [readme.README]


def test_the_reports_check_it(monkeypatch):
    """Only the block: nothing else is regenerated here."""
    monkeypatch.setattr(regenerate, "has_runs", lambda scale: False)
    text = (PROJECT / readme.README).read_text()
    assert readme.README not in regenerate.regenerate(check=True, models=False)
    monkeypatch.setattr(regenerate, "with_results", lambda _: f"{text}changed")
    assert readme.README in regenerate.regenerate(check=True, models=False)
    assert (PROJECT / readme.README).read_text() == text


@pytest.mark.parametrize("text", ["", readme.BEGIN, readme.END, f"{readme.END}{readme.BEGIN}"])
def test_a_missing_comment_is_named(text):
    with pytest.raises(IlrmError, match="no lines <!-- results --> and <!-- /results -->"):
        readme.with_results(text)


def test_the_plane_warp_is_shown_where_it_was_measured(with_plane):
    runs = recorded_runs(run_config("tiny"))
    measured = {name: with_plane(run, Run) for name, run in runs.items()}
    assert readme.base_table(measured).loc["plane warp"].iloc[0] == "24.90 [24.00, 25.80]"
    small = own_evaluations(read_weights("ilrm-small"))
    both = [with_plane(result, type(result)) for result in small]
    rows = [line for line in readme.small_table(both).splitlines() if "plane warp" in line]
    assert len(rows) == len({scene_kind(r) for r in small}) and all("24.90" in row for row in rows)
    text = readme.plane_text(longest_of(measured), readme.clips_evaluation(both))
    model = longest_of(measured).metrics["summary"]["model"]["psnr"]["mean"]
    assert (
        f"24.9 and 26.9 dB, the base model {model:.1f} dB." in text
        and "24.9 and 26.9 dB, `ilrm-small` 18.8 dB." in text
    )
    assert "RealEstate10K" not in readme.plane_text(longest_of(measured), None)


def test_full_attention_is_shown_where_it_was_measured():
    shifts = {"full attention (4,F,F)": 0.5}
    measured = measurements(shifts, study=studies()["equal_gaussians"])
    text = readme.attention_text(measured)
    assert "one Gaussian per pixel" in text and "+0.50" in text and "dB against iLRM" in text
    nothing = Measurements("tiny", measured.runs.iloc[:0], measured.scenes.iloc[:0])
    assert readme.attention_text(nothing) == ""
