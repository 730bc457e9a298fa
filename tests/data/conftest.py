import pytest

from ilrm.data.procedural.generation import RoomsConfig, generate

SMALL = RoomsConfig(train_scenes=3, test_scenes=2, frames=12, height=24, width=32, supersample=2)


@pytest.fixture(scope="session")
def rooms(tmp_path_factory):
    """A small data set: 3 + 2 scenes of 12 frames of 24 x 32 pixels."""
    return generate(tmp_path_factory.mktemp("rooms") / "small", SMALL, workers=1)
