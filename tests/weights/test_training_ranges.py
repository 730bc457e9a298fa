"""What training showed the weights, from its own batches."""

import json
from dataclasses import replace

import pytest
import torch

from ilrm.data.batches import training_data
from ilrm.errors import WeightsError
from ilrm.weights.state import read_weights
from ilrm.weights.training_ranges import FILE, TrainingRanges, rotation, vertical_fov
from tests.helpers import rotation_about_y, some_cameras


def test_a_run_keeps_what_its_batches_held(smoke_run):
    seen = read_weights(smoke_run.folder).seen
    config = smoke_run.config
    assert seen is not None and seen.views == (4, 4)
    data = training_data(config.data, config.train.batch, config.train.seed)
    cameras = [data.batch(step).inputs.cameras for step in range(config.train.steps)]
    turns = torch.cat([rotation(c) for c in cameras])
    assert turns.min() <= seen.rotation[0] <= seen.rotation[1] <= turns.max()
    fov = torch.cat([vertical_fov(c).flatten() for c in cameras])
    assert fov.min() - 1e-3 <= seen.fov[0] and seen.fov[1] <= fov.max() + 1e-3
    assert 0 < seen.depth[0] < seen.depth[1] <= config.model.far * 1.5


def test_angles():
    cameras = some_cameras(batch=1, views=3)
    cameras.c2w[0, :, :3, :3] = rotation_about_y(torch.tensor([0.0, 0.3, -0.5]))
    torch.testing.assert_close(rotation(cameras), torch.rad2deg(torch.tensor([0.8])))
    cameras = replace(cameras, fxfycxcy=torch.full((1, 3, 4), cameras.height / 2))
    torch.testing.assert_close(vertical_fov(cameras), torch.full((1, 3), 90.0))


def test_a_file_of_something_else_is_refused(tmp_path):
    assert TrainingRanges.read(tmp_path) is None
    for text in ("{", "[1]", json.dumps({"views": [1]}), json.dumps({"views": [1, 2]})):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(
            WeightsError,
            match="does not contain training ranges|is truncated or not valid JSON.*: delete it",
        ):
            TrainingRanges.read(tmp_path)
