"""Which views: K-means, farthest points, even; the wide protocol and its index; protocols by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ilrm.data.batches import training_data
from ilrm.data.frames.evaluation_indices import read_evaluation_index, read_wide_index
from ilrm.data.frames.protocols import PROTOCOLS
from ilrm.data.frames.training_windows import WindowSchedule, evaluation_context, training_window
from ilrm.data.frames.view_selection import FullCoverage, even_views, farthest_views, kmeans_views
from ilrm.data.scene import Scene
from ilrm.errors import DataError, TooFewFramesError
from ilrm.presets import run_config
from reports.published import published


def ring(count: int) -> torch.Tensor:
    """Cameras on a circle, looking outwards, [count, 4, 4]."""
    angles = torch.arange(count) / count * 2 * torch.pi
    c2w = torch.eye(4).repeat(count, 1, 1)
    c2w[:, 0, 2], c2w[:, 2, 2] = angles.sin(), angles.cos()
    c2w[:, 0, 0], c2w[:, 2, 0] = angles.cos(), -angles.sin()
    c2w[:, :3, 3] = 3 * c2w[:, :3, 2]
    return c2w


def gaps(frames: list[int], count: int) -> list[int]:
    return np.diff([*frames, frames[0] + count]).tolist()


def test_kmeans_covers_a_ring_and_is_reproducible():
    chosen = kmeans_views(ring(64), 8)
    assert len(set(chosen)) == 8 and max(gaps(chosen, 64)) <= 14
    assert chosen == kmeans_views(ring(64), 8)
    # a camera that stands twice is nearest to two centres at once, and still chosen once
    twice = torch.cat([ring(4), ring(4)])
    assert len(set(kmeans_views(twice, 6))) == 6


def test_farthest_points_keep_apart():
    rng = np.random.default_rng(0)
    assert min(gaps(farthest_views(ring(64), 8, rng), 64)) >= 6
    among = list(range(10, 20))
    assert set(farthest_views(ring(64), 6, rng, among)) <= set(among)


def test_even_views_hold_the_ends():
    assert even_views(10, 4) == [0, 3, 6, 9]
    for choose in (lambda: even_views(3, 4), lambda: kmeans_views(ring(3), 4)):
        with pytest.raises(TooFewFramesError, match="4 views requested from 3 frames"):
            choose()


def scene(count: int, key="a") -> Scene:
    return Scene(
        key, torch.ones(count, 4), ring(count), [None] * count, [(8, 8)] * count, [""] * count
    )


def test_full_coverage_never_shows_a_target():
    inputs, targets = FullCoverage(6).frames(scene(50))
    with pytest.raises(
        TooFewFramesError, match=r"scene a: 6 views requested from 2 frames \(3, every 8th"
    ):
        FullCoverage(6).frames(scene(3))
    assert targets == list(range(0, 50, 8))
    assert len(inputs) == 6 and not set(inputs) & set(targets)


def test_wide_index(tmp_path, capsys):
    path = tmp_path / "wide.json"
    path.write_text(json.dumps([{"scene_name": "a", "fold_8_kmeans_2_input": [3, 9]}]))
    assert read_wide_index(path, 2).frames(scene(20)) == ([3, 9], [0, 8, 16])
    assert "1 scenes evaluated" in capsys.readouterr().out
    with pytest.raises(DataError, match="no 4 frames under fold_8_kmeans_4_input"):
        read_wide_index(path, 4)
    held_out, twice = [3, 16], [3, 3]
    for entries in (
        [{"scene_name": "a", "fold_8_kmeans_2_input": held_out}],
        [{"scene_name": "a", "fold_8_kmeans_2_input": twice}],
        2 * [{"scene_name": "a", "fold_8_kmeans_2_input": [3, 9]}],
    ):
        path.write_text(json.dumps(entries))
        with pytest.raises(DataError, match="scene a: .*listed twice"):
            read_wide_index(path, 2)
    path.write_text(json.dumps([{"scene_name": ["a"], "fold_8_kmeans_2_input": [3, 9]}]))
    with pytest.raises(DataError, match="give a wide-coverage index"):
        read_wide_index(path, 2)
    path.write_text("{}")
    with pytest.raises(DataError, match="give a wide-coverage index"):
        read_wide_index(path, 2)


def test_contexts_that_are_targets_already_may_grow_onto_targets():
    """DL3DV's indices evaluate all 50 frames."""
    context = evaluation_context([0, 19, 29, 49], list(range(50)), 11)
    assert len(set(context)) == 11 and (context[0], context[-1]) == (0, 49)


def test_windows_by_farthest_points():
    rng = np.random.default_rng(0)
    context, target = training_window(64, 10**6, rng, context_views=6, target_views=4, c2w=ring(64),
                                      schedule=WindowSchedule((20, 30), (20, 30), 1))  # fmt: skip
    assert len(set(context)) == 6 and not set(context) & set(target)
    assert max(context + target) - min(context + target) <= 30


def test_the_number_of_input_views_is_drawn_for_each_batch():
    config = run_config("smoke", context_range=(2, 5), view_spread="farthest", input_targets=1)
    data = training_data(config.data, batch_size=2, seed=0)
    counts = {data.batch(step).inputs.images.shape[1] for step in range(12)}
    assert counts == {2, 3, 4, 5}


@pytest.mark.parametrize("name", [n for n, p in PROTOCOLS.items() if p.published])
def test_protocols_are_the_paper_s(name):
    """Each has lines in the published numbers, with the number of views it names."""
    protocol = PROTOCOLS[name]
    entries = published()
    lines = entries[
        (entries.table == protocol.published.table)
        & (entries.dataset == protocol.published.dataset)
        & entries.protocol.str.startswith(protocol.published.protocol)
    ]
    assert len(lines) and protocol.views in set(lines.views)


@pytest.mark.parametrize("name", [n for n, p in PROTOCOLS.items() if not p.index and not p.near])
def test_protocols_without_an_index_keep_inputs_and_targets_apart(name):
    """Of those near each other, `test_neighbourhood.py` says more."""
    protocol = PROTOCOLS[name]
    inputs, targets = protocol.selection(None, protocol.views).frames(scene(96))
    assert len(set(inputs)) == protocol.views and targets and not set(inputs) & set(targets)


@pytest.mark.skipif("ILRM_PROTOCOLS" not in os.environ, reason="ILRM_PROTOCOLS names no indices")
def test_published_dl3dv_indices():
    root = Path(os.environ["ILRM_PROTOCOLS"]) / "dl3dv"
    for views in (16, 32):
        index = read_wide_index(root / "dl3dv_fold_8_kmeans_input_idx.json", views)
        assert len(index.inputs) == 140
        assert not any(f % 8 == 0 for frames in index.inputs.values() for f in frames)
    for views, name in ((6, "50_ctx_6v_video_0_50"), (12, "100_ctx_12v_video")):
        index = read_evaluation_index(root / f"dl3dv_start_0_distance_{name}.json", views)
        assert len(index) > 100
    assert (
        len(read_evaluation_index(root / "dl3dv_start_0_distance_50_ctx_6v_video_0_50.json", 24))
        > 100
    )
