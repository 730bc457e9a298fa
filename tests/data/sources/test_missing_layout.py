"""A folder without a known layout: one line that says why, and where posed images are instead."""

import shutil

import pytest

from ilrm.data.batches import open_scenes
from ilrm.data.sources.captures import read_capture
from ilrm.errors import DataError
from tests.data.layouts import FRAMES, colmap, llff, nerfstudio, opencv

NEED = "contains no posed images: need .*"
WRONG = {
    "missing": (lambda f: None, "a does not exist: check the path"),
    "a file": (lambda f: f.write_text(""), "a is a file: give the folder that holds the images"),
    "a lost disk": (
        lambda f: f.symlink_to("/disk/a"),
        "a is a link to /disk/a, which is not there",
    ),
    "lost cameras": (
        lambda f: (
            (opencv(f) / "opencv_cameras.json").unlink()
            or (f / "opencv_cameras.json").symlink_to("/disk/a.json")
        ),
        r"opencv_cameras\.json is a link to /disk/a\.json, which is not there",
    ),
    "another case": (
        lambda f: (llff(f) / "poses_bounds.npy").rename(f / "Poses_Bounds.npy"),
        f"{NEED}; rename Poses_Bounds.npy to poses_bounds.npy",
    ),
    "NeRF's synthetic scenes": (
        lambda f: (nerfstudio(f) / "transforms.json").rename(f / "transforms_train.json"),
        f"{NEED}; copy transforms_train.json, or another one like it, to transforms.json",
    ),
    "one folder too high": (
        lambda f: shutil.move(opencv(f.with_name("b")), f / "scans/b") and None,
        f"{NEED}; scans/b may hold some: give .*a/scans/b",
    ),
    "COLMAP's workspace": (
        lambda f: shutil.move(colmap(f.with_name("b")), f / "workspace/0") and None,
        f"{NEED}; workspace/0 may hold some: give .*a/workspace/0",
    ),
    "half a model": (
        lambda f: (colmap(f) / "sparse/0/cameras.bin").unlink(),
        r"cameras\.bin is missing: copy the whole model folder",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_cannot_be_read(case, tmp_path):
    make, message = WRONG[case]
    make(tmp_path / "a")
    with pytest.raises(DataError, match=message) as caught:
        read_capture(tmp_path / "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image_folder", "model"])
@pytest.mark.parametrize("value", ["a" * 5000, "a\0b", "none"])
def test_names_that_cannot_be_folders(name, value, tmp_path):
    with pytest.raises(DataError, match="has no folder|is not a COLMAP model") as caught:
        read_capture(colmap(tmp_path / "a"), **{name: value})
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("case", ["missing", "a file", "a lost disk"])
def test_a_dataset_that_is_not_there(case, tmp_path):
    make, message = WRONG[case]
    make(tmp_path / "a")
    with pytest.raises(DataError, match=message.partition(":")[0]):
        open_scenes(tmp_path / "a", "test")


MODELS = {
    "undistorted": ("dense/sparse", "dense/images"),
    "undistorted, in parts": ("dense/0/sparse", "dense/0/images"),
    "of a workspace": ("dense/1/sparse", "dense/1/images"),
    "raw 3D-GS": ("distorted/sparse/0", "input"),
    "capital letters": ("Sparse/0", "Images"),
    "nerfstudio's": ("colmap/sparse/0", "images"),
}


@pytest.mark.parametrize("case", MODELS)
def test_where_colmap_leaves_its_models(case, tmp_path):
    model, images = MODELS[case]
    colmap(tmp_path / "b")
    shutil.move(tmp_path / "b/sparse/0", tmp_path / "a" / model)
    shutil.move(tmp_path / "b/images", tmp_path / "a" / images)
    assert len(read_capture(tmp_path / "a")) == FRAMES


def test_hidden_models_and_those_that_claim_too_much_are_not_the_largest(tmp_path, capsys):
    folder = colmap(tmp_path / "a")
    for name in (".trash", "1"):
        shutil.copytree(folder / "sparse/0", folder / "sparse" / name)
    (folder / "sparse/1/images.bin").write_bytes((2**60).to_bytes(8, "little"))
    assert len(read_capture(folder)) == FRAMES
    said = capsys.readouterr().out
    assert (
        "2 models" in said and "sparse/0 (4 images) is read, sparse/1 (0 images) left out" in said
    )
