"""Effects: paired, with intervals that hold what they promise, and the seeds that would resolve them."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablations.record import recorded
from ablations.study import studies
from ilrm.presets import run_config
from reports.effects import Effect, Measurements, crossed_interval, variance_components

STUDY = studies()["components"]


def crossed(rng, seeds, scenes, mean=0.0, seed_sd=0.1, scene_sd=0.3, rest_sd=0.2):
    return (
        mean
        + seed_sd * rng.standard_normal((seeds, 1))
        + scene_sd * rng.standard_normal((1, scenes))
        + rest_sd * rng.standard_normal((seeds, scenes))
    )


def measurements(shifts, seeds=3, scenes=64, spread=2.0, study=STUDY):
    """Recorded runs of the components study: base PSNR with a large spread, variants shifted from it."""
    rng = np.random.default_rng(0)
    base = 20 + spread * rng.standard_normal(scenes)
    rows, runs = [], {}
    for variant in study.variants:
        for seed in range(seeds):
            cell = study.cells("tiny", [seed])[study.variants.index(variant)]
            name = cell.run_name
            runs[name] = {
                "fields": json.dumps(cell.parameters, sort_keys=True),
                "parameters": 328_576,
                "macs": 1.0,
                "gaussians": 1024,
                "training_seconds": 9.0,
                "device": "a CPU",
                "threads": 2,
                "date": "2026-01-01",
                "commit": "abc",
            }
            values = base + shifts.get(variant.name, 0.0) + 0.05 * rng.standard_normal(scenes)
            rows += [
                {"run": name, "scene": f"s{i}", "psnr": v, "ssim": 0.5, "lpips": 0.5}
                for i, v in enumerate(values)
            ]
    return Measurements("tiny", pd.DataFrame.from_dict(runs, orient="index"), pd.DataFrame(rows))


def test_effects_are_paired_over_scenes():
    """Scenes differ by 2 dB, the variant by 0.1: unpaired, nothing could be seen."""
    found = measurements({"w/o token uplifting": -0.1})
    variant = STUDY.variants[3]
    effect = found.effect(STUDY, variant, STUDY.reference, "psnr")
    assert effect is not None and (effect.seeds, effect.scenes) == (3, 64)
    assert -0.13 < effect.low < effect.mean < effect.high < -0.07
    mean = found.mean(STUDY, variant, "psnr")
    assert mean is not None and mean.high - mean.low > 0.5 and len(effect.runs) == 6


def test_a_variant_is_compared_with_a_baseline_scene_by_scene():
    found = measurements({})
    values = found.values(found.run_names(STUDY, STUDY.reference), "psnr")
    config = run_config(**STUDY.parameters(STUDY.reference, "tiny", 0))
    rows = [
        {"data": config.evaluation_data.held_out_hash, "method": "plane_warp"}
        | {"scene": scene, "psnr": value - 0.4}
        for scene, value in values.mean().items()
    ]
    with_plane = replace(found, baselines=pd.DataFrame(rows))
    above = with_plane.above_baseline(STUDY, STUDY.reference, "plane_warp")
    assert above is not None and above.mean == pytest.approx(0.4, abs=1e-6)
    assert (above.seeds, above.scenes) == (3, 64) and above.high - above.low < 0.1
    assert found.above_baseline(STUDY, STUDY.reference, "plane_warp") is None


def test_only_seeds_that_both_have_are_compared():
    found = measurements({})
    lost = STUDY.cells("tiny", [1])[0].run_name
    fewer = Measurements("tiny", found.runs.drop(lost), found.scenes)
    effect = fewer.effect(STUDY, STUDY.variants[1], STUDY.reference, "psnr")
    assert effect is not None and effect.seeds == 2 and lost not in effect.runs
    empty = Measurements("tiny", found.runs.iloc[:0], found.scenes.iloc[:0])
    assert empty.effect(STUDY, STUDY.variants[1], STUDY.reference, "psnr") is None
    assert empty.mean(STUDY, STUDY.reference, "psnr") is None


def test_the_interval_over_scenes_alone_is_scipys_bootstrap():
    x = crossed(np.random.default_rng(1), 1, 64)
    low, high = crossed_interval(x)
    expected = stats.bootstrap((x[0],), np.mean, method="percentile", rng=np.random.default_rng(2))
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=0.02)


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize(
    "sds",
    [(0.2, 0.15, 0.47), (0.2, 0.1, 0.15), (0.0, 0.3, 0.4)],
    ids=["as measured", "seeds", "scenes"],
)
def test_the_interval_covers_the_true_mean(seeds, sds):
    """With few seeds too, and where they are what varies most."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        low, high = crossed_interval(crossed(rng, seeds, 64, 1.0, *sds))
        covered += low <= 1.0 <= high
    assert covered / 200 >= 0.91


def test_a_scene_without_a_value_is_left_out():
    found = measurements({"w/o token uplifting": -0.1})
    broken = found.scenes.copy()
    broken.loc[broken.scene == "s3", "psnr"] = np.nan
    hole = Measurements("tiny", found.runs, broken)
    effect = hole.effect(STUDY, STUDY.variants[3], STUDY.reference, "psnr")
    assert effect is not None and effect.scenes == 63 and np.isfinite(effect.low)
    nothing = Measurements("tiny", found.runs, broken.assign(psnr=np.nan))
    assert nothing.effect(STUDY, STUDY.variants[3], STUDY.reference, "psnr") is None


def test_variance_components_are_recovered():
    rng = np.random.default_rng(3)
    found = np.mean([variance_components(crossed(rng, 6, 64)) for _ in range(200)], axis=0)
    assert found == pytest.approx([0.01, 0.09, 0.04], rel=0.15)


def test_seeds_to_resolve():
    x = crossed(np.random.default_rng(4), 3, 64, mean=0.1, seed_sd=0.1, scene_sd=0.1)
    effect = Effect(0.1, 0.0, 0.2, x, ())
    needed = effect.seeds_to_resolve()
    seed, scene, rest = variance_components(x)
    at = [
        (1.96 + 0.8416) * math.sqrt(seed / n + scene / 64 + rest / (64 * n))
        for n in (needed - 1, needed)
    ]
    assert at[1] <= 0.1 < at[0] or needed == 2
    assert (
        Effect(0.01, 0, 0, crossed(np.random.default_rng(5), 3, 64), ()).seeds_to_resolve()
        == math.inf
    )
    assert Effect(0.1, 0, 0, x[:1], ()).seeds_to_resolve() == math.inf
    assert Effect(0.6, 0, 0, x, ()).seeds_to_resolve(threshold=0.5) == needed


def test_records_of_the_project_are_read():
    found = Measurements.recorded("tiny")
    assert len(found.runs) and set(found.runs.index) == set(found.scenes.run)
    for name, fields in found.runs.fields.items():
        assert run_config(**json.loads(fields)).name == name


def test_few_scenes_give_an_interval_that_says_how_little_they_say():
    two = crossed_interval(np.array([[0.67, 0.80]]))
    half = stats.t.ppf(0.975, 1) * np.std([0.67, 0.80], ddof=1) / np.sqrt(2)
    assert two == pytest.approx((0.735 - half, 0.735 + half)) and two[0] < 0 < two[1]
    seeds = crossed_interval(np.array([[0.67], [0.80]]))
    assert seeds == pytest.approx(two)
    for nothing in ([[0.7]], [[0.7, 0.7]], [[0.7], [0.7]]):
        assert all(math.isnan(end) for end in crossed_interval(np.array(nothing)))
    one = measurements({}, seeds=1, scenes=1).mean(STUDY, STUDY.reference, "psnr")
    assert one is not None and one.text(2).endswith("[no interval]")


def test_intervals_of_few_scenes_cover_the_true_mean():
    """One seed, three scenes: 95% intervals, where the bootstrap alone covers about 60%."""
    rng = np.random.default_rng(0)
    ends = [crossed_interval(0.3 * rng.standard_normal((1, 3))) for _ in range(300)]
    assert np.mean([low <= 0 <= high for low, high in ends]) > 0.9


def test_scenes_are_the_same_whatever_their_keys_look_like(tmp_path):
    keys = ["NA", "000001", "1e5", "nan"]
    found = measurements({"w/o token uplifting": -0.1}, scenes=len(keys))
    named = found.scenes.scene.map(dict(zip((f"s{i}" for i in range(4)), keys, strict=True)))
    folder = tmp_path / "tiny"
    folder.mkdir()
    found.runs.rename_axis("run").reset_index().to_csv(folder / "runs.csv", index=False)
    found.scenes.assign(scene=named).to_csv(folder / "scenes.csv", index=False)
    again = Measurements("tiny", *recorded("tiny", tmp_path))
    effect = again.effect(STUDY, STUDY.variants[3], STUDY.reference, "psnr")
    assert effect is not None and effect.scenes == len(keys)
    assert set(again.values(again.run_names(STUDY, STUDY.reference), "psnr").columns) == set(keys)
