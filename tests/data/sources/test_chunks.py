import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from ilrm import errors
from ilrm.data.framing import Framing
from ilrm.data.sources.chunks import ChunkScenes, parse_scene, skip_reason


def jpeg(height, width, colour=(10, 200, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG", quality=95)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def raw_scene(frames=3, height=36, width=64):
    cameras = torch.zeros(frames, 18)
    cameras[:, :4] = torch.tensor([0.5, 0.9, 0.5, 0.5])
    cameras[:, [6, 11, 16]] = 1.0
    cameras[:, 9] = torch.arange(frames)  # the first row's translation
    return {"key": "a", "cameras": cameras, "images": [jpeg(height, width)] * frames}


@pytest.fixture
def folder(tmp_path):
    """A writable data set of one scene."""
    split = tmp_path / "data" / "train"
    split.mkdir(parents=True)
    (split / "index.json").write_text(json.dumps({"a": "000000.torch"}))
    torch.save([raw_scene()], split / "000000.torch")
    return split


def load(folder):
    return ChunkScenes(folder.parent, folder.name).load("a")


def test_scene(folder):
    scene = load(folder)
    assert len(scene) == 3
    assert scene.sizes == [(36, 64)] * 3
    torch.testing.assert_close(scene.fxfycxcy[0], torch.tensor([32.0, 32.4, 32.0, 18.0]))
    torch.testing.assert_close(scene.c2w[2, :3, 3], torch.tensor([-2.0, 0.0, 0.0]))
    images, _ = scene.frames([0, 2], Framing(36, 64))
    assert images.shape == (2, 3, 36, 64)
    torch.testing.assert_close(
        images[0, :, 0, 0], torch.tensor([10, 200, 30]) / 255, atol=0.02, rtol=0
    )


def test_chunks_lie_in_their_folder(folder):
    shutil.copy(folder / "000000.torch", folder.parent / "other.torch")
    for name in ("../other.torch", str(folder.parent / "other.torch")):
        (folder / "index.json").write_text(json.dumps({"a": name}))
        with pytest.raises(errors.DataError, match=r"other\.torch' lies outside of"):
            load(folder)


def test_missing_index(tmp_path):
    with pytest.raises(errors.DataError, match=r"index\.json is missing: give a folder"):
        ChunkScenes(tmp_path, "train")


def test_empty_index(folder):
    (folder / "index.json").write_text("{}")
    with pytest.raises(errors.EmptyDatasetError, match="lists no scene"):
        load(folder)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"a": 3}'])
def test_an_index_of_another_kind(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(errors.DataError, match=r"index\.json"):
        load(folder)


def test_missing_chunk(folder):
    (folder / "000000.torch").unlink()
    with pytest.raises(errors.DataError, match=r"000000\.torch is missing"):
        load(folder)


@pytest.mark.parametrize("data", [b"", b"no chunk", "half"])
def test_unreadable_chunk(folder, data):
    chunk = folder / "000000.torch"
    chunk.write_bytes(chunk.read_bytes()[:900] if data == "half" else data)
    with pytest.raises(errors.DataError, match="fetch it again"):
        load(folder)


class Code:
    def __reduce__(self):
        return os.system, ("touch was_run",)


def test_code_in_a_chunk_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    torch.save([Code()], folder / "000000.torch")
    with pytest.raises(errors.DataError, match="which are not loaded"):
        load(folder)
    assert not (folder / "was_run").exists()


def test_unknown_scene(folder):
    with pytest.raises(errors.DataError, match="scene b"):
        ChunkScenes(folder.parent, "train").load("b")
    (folder / "index.json").write_text(json.dumps({"a": "000000.torch", "b": "000000.torch"}))
    with pytest.raises(errors.DataError, match=r"scene b is not in .*000000\.torch"):
        ChunkScenes(folder.parent, "train").load("b")


def test_truncated_jpeg_names_scene_and_frame():
    raw = raw_scene()
    raw["images"] = [jpeg(36, 64), jpeg(36, 64)[:300], jpeg(36, 64)]
    scene = parse_scene(raw, "chunk")
    scene.frames([0, 2], Framing(36, 64))
    with pytest.raises(errors.DataError, match="scene a, frame 1"):
        scene.frames([0, 1], Framing(36, 64))
    raw["images"][0] = raw["images"][0][:20]
    with pytest.raises(errors.DataError, match="scene a, frame 0"):
        parse_scene(raw, "chunk")


def test_frame_of_another_size():
    raw = raw_scene()
    raw["images"] = [jpeg(36, 64), jpeg(40, 64), jpeg(36, 64)]
    with pytest.raises(errors.DataError, match="frame 1: image of 40x64 pixels"):
        parse_scene(raw, "chunk").frames([1], Framing(36, 64))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_cameras_that_are_not_finite(value):
    raw = raw_scene()
    raw["cameras"][1, 9] = value
    with pytest.raises(errors.DataError, match=r"scene a: cameras of frames \[1\]"):
        parse_scene(raw, "chunk")


def test_intrinsics_in_pixels():
    raw = raw_scene()
    raw["cameras"][:, :2] = 500.0
    with pytest.raises(errors.DataError, match="seem to be in pixels"):
        parse_scene(raw, "chunk")


def test_a_lens_with_distortion_is_refused():
    """As in every other layout; published data sets have zeros there."""
    raw = raw_scene()
    raw["cameras"][1, 4] = 0.1
    with pytest.raises(errors.DataError, match="scene a: columns 4 and 5 .* undistort the images"):
        parse_scene(raw, "chunk")


@pytest.mark.parametrize(
    ("columns", "value", "words"),
    [([2], 9.0, "degrees off the optical axis"), ([7], 0.4, "does not contain a rotation matrix")],
)
def test_cameras_that_cannot_be_used_name_the_scene(columns, value, words):
    """A shear keeps the determinant, by which published loaders skip scenes."""
    raw = raw_scene()
    raw["cameras"][1, columns] = value
    with pytest.raises(errors.DataError, match=f"chunk, scene a, frame 1: .*{words}.*remove the"):
        parse_scene(raw, "chunk")


def test_an_index_written_on_windows(folder):
    (folder / "part").mkdir()
    (folder / "000000.torch").rename(folder / "part/000000.torch")
    (folder / "index.json").write_text(json.dumps({"a": ".\\part\\000000.torch"}))
    assert len(load(folder)) == 3


def test_camera_without_inverse():
    raw = raw_scene()
    raw["cameras"][:, 6:] = 0
    with pytest.raises(errors.DataError, match="no inverse"):
        parse_scene(raw, "chunk")


@pytest.mark.parametrize(
    "change",
    [
        {"cameras": torch.ones(3, 16)},
        {"cameras": torch.ones(2, 18)},
        {"images": [torch.zeros(3, 4)] * 3},
        {"images": [], "cameras": torch.ones(0, 18)},
        {"depths": torch.ones(3, 4, 4)},
        {"cameras": [[1.0] * 18] * 3},
        {"images": None},
        {"images": [b"jpeg"] * 3},
    ],
)
def test_wrong_shapes(change):
    with pytest.raises(errors.DataError, match="scene a"):
        parse_scene(raw_scene() | change, "chunk")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [(0, 0.3, "field of view"), (9, 2e3, "from the origin"), (6, 1.1, "determinant")],
)
def test_published_skip_rules(column, value, reason):
    raw = raw_scene()
    assert skip_reason(parse_scene(raw, "chunk")) is None
    raw["cameras"][:, column] = value
    assert reason in skip_reason(parse_scene(raw, "chunk"))


def test_real_clips():
    root = os.environ.get("ILRM_RE10K_CLIPS")
    if not root:
        pytest.skip("ILRM_RE10K_CLIPS is not set to a folder of RealEstate10K chunks")
    scenes = ChunkScenes(root, "test")
    for key in scenes.keys:
        scene = scenes.load(key)
        assert skip_reason(scene) is None
        images, fxfycxcy = scene.frames([0, len(scene) - 1], Framing(256, 256))
        assert images.shape == (2, 3, 256, 256)
        assert images.std() > 0.05
        torch.testing.assert_close(fxfycxcy[0, 0], fxfycxcy[0, 1], rtol=0.03, atol=0)  # square


def test_chunks_are_closed_again(rooms, tmp_path, monkeypatch):
    monkeypatch.setattr("ilrm.data.sources.chunks.OPEN_CHUNKS", 1)
    split = Path(shutil.copytree(rooms / "train", tmp_path / "train"))
    scenes = torch.load(split / "000000.torch", weights_only=True)
    for i, scene in enumerate(scenes):
        torch.save([scene], split / f"{i:06d}.torch")
    index = {scene["key"]: f"{i:06d}.torch" for i, scene in enumerate(scenes)}
    (split / "index.json").write_text(json.dumps(index))
    reader = ChunkScenes(tmp_path, "train")
    assert [reader.load(key).key for key in (*index, *index)] == [*index, *index]
