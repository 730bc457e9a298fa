"""Images are found under the names that other tools and systems give them, in every layout."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from ilrm.data.sources.captures import read_capture
from ilrm.data.sources.image_lookup import ImageLookup, what_is_there
from ilrm.errors import DataError
from tests.data.layouts import (
    FRAMES,
    FXFYCXCY,
    LAYOUTS,
    edited,
    nerfstudio,
    with_images,
)

JSON = {name: made.files[0] for name, made in LAYOUTS.items() if made.files[0].endswith(".json")}


def files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)


FOUND = {  # what the cameras say: what is on the disk
    "exact": ("images/0.png", "images/0.png"),
    "no suffix": ("images/0", "images/0.png"),
    "a dot in the name, no suffix": ("images/t_0.5", "images/t_0.5.png"),
    "another suffix": ("images/0.JPG", "images/0.png"),
    "the suffix of the original photo": ("images/0.HEIC", "images/0.jpg"),
    "webp": ("images/0", "images/0.webp"),
    "tif": ("images/0.png", "images/0.tif"),
    "another case": ("images/IMG_0.JPG", "images/img_0.jpg"),
    "backslashes": ("images\\0.png", "images/0.png"),
    "a path of Windows": ("C:\\me\\scan\\images\\0.png", "images/0.png"),
    "a share of Windows": ("\\\\host\\scan\\images\\0.png", "images/0.png"),
    "a path of another machine": ("/nowhere/scan/images/0.png", "images/0.png"),
    "a dot at the start": ("./images/0.png", "images/0.png"),
    "two slashes": ("images//0.png", "images/0.png"),
    "the folder left out": ("0.png", "images/0.png"),
    "another usual folder": ("images/0.png", "input/0.png"),
    "no folder": ("images/0.png", "0.png"),
    "only smaller images": ("images/0.png", "images_4/0.png"),
    "composed and decomposed letters": (
        unicodedata.normalize("NFC", "images/é.png"),
        unicodedata.normalize("NFD", "images/é.png"),
    ),
    "a subfolder": ("images/left/0.png", "images/left/0.png"),
    "folders in another case": ("images/left/0.png", "Images/Left/0.png"),
    "a composed folder": (
        unicodedata.normalize("NFC", "images/é/0.png"),
        unicodedata.normalize("NFD", "images/é/0.png"),
    ),
    "blanks at the end": ("images/0.png \u200b", "images/0.png"),
    "a drive of Windows": ("D:images\\0.png", "images/0.png"),
    "an address": ("file:///me/scan/images/0.png", "images/0.png"),
    "a home folder": ("~/scan/images/0.png", "images/0.png"),
    "cameras that were moved": ("../images/0.png", "images/0.png"),
}


@pytest.mark.parametrize("case", FOUND)
def test_found(case, tmp_path):
    name, file = FOUND[case]
    files(tmp_path, file)
    assert ImageLookup(tmp_path).find([name], tmp_path, "cameras") == [tmp_path / file]


def test_a_name_with_a_backslash_is_itself_first(tmp_path):
    files(tmp_path, "images\\0.png", "images/0.png")
    assert ImageLookup(tmp_path).find(["images\\0.png"], tmp_path, "") == [
        tmp_path / "images\\0.png"
    ]


MISSING = {
    "another number": ("images/0.png", "images/10.png"),
    "a missing folder of a rig": ("left/0.png", "images/0.png"),
    "hidden": ("images/0.png", "images/._0.png"),
}


@pytest.mark.parametrize("case", MISSING)
def test_not_taken_for_another_image(case, tmp_path):
    name, file = MISSING[case]
    files(tmp_path, file)
    (path,) = ImageLookup(tmp_path).find([name], tmp_path, "cameras")
    assert path == tmp_path / name and not path.exists()


@pytest.mark.parametrize("name", ["../0.png", "images/../../0.png", "..\\0.png"])
def test_a_name_that_leads_out_of_the_capture_is_refused(name, tmp_path):
    files(tmp_path, "0.png", "capture/images/1.png")
    with pytest.raises(DataError, match="frame 0: its image .* lies outside of"):
        ImageLookup(tmp_path / "capture").find([name], tmp_path / "capture", "cameras")


def test_an_existing_image_elsewhere_is_refused(tmp_path):
    """Its name may be that of an image of the capture, but it is not the one that is meant."""
    files(tmp_path, "disk/images/0.png", "capture/images/0.png")
    with pytest.raises(DataError, match="lies outside of"):
        ImageLookup(tmp_path / "capture").find(
            [str(tmp_path / "disk/images/0.png")], tmp_path / "capture", "cameras"
        )


@pytest.mark.parametrize("name", ["/nowhere/scan/images/0.png", "C:\\scan\\images\\0.png"])
def test_smaller_images_of_whole_paths(name, tmp_path):
    """Where the images that the paths name were not copied; or none at all."""
    files(tmp_path, "images_4/0.png")
    found = ImageLookup(tmp_path, "images_4").find([name], tmp_path, "")
    assert found == [tmp_path / "images_4/0.png"]
    (tmp_path / "images_4/0.png").rename(tmp_path / "images_4/1.png")
    (path,) = ImageLookup(tmp_path).find([name], tmp_path, "")
    assert path == tmp_path / "images/0.png" and not path.exists()


def test_a_path_to_what_a_link_leads_to(tmp_path):
    """The image itself lies outside, and is reached through the capture."""
    files(tmp_path, "disk/0.png", "capture/cameras.png")
    (tmp_path / "capture/images").symlink_to(tmp_path / "disk")
    names = [str(tmp_path / "disk/0.png"), "../disk/0.png"]
    found = ImageLookup(tmp_path / "capture").find(names, tmp_path / "capture", "")
    assert found == [tmp_path / "capture/images/0.png"] * 2


def test_a_name_that_fits_several_images_is_said(tmp_path, capsys):
    folder = edited(
        nerfstudio(tmp_path / "a"),
        "transforms.json",
        lambda v: [e.update(file_path=e["file_path"].replace(".png", "")) for e in v["frames"]],
    )
    Image.new("RGB", (4, 4)).save(folder / "images/001.jpg")
    read_capture(folder)
    said = "capture a: 1 names fit several images, such as 001: 001.png is read\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_that_are_called_like_images_are_none(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "a")
    (folder / "images/010.png").mkdir()
    assert len(read_capture(folder)) == FRAMES


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_image_folder_is_named(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "a")
    (folder / "images").rename(folder / "rgb")
    with pytest.raises(DataError, match="rename rgb to images"):
        read_capture(folder)
    assert len(read_capture(folder, "rgb")) == FRAMES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rename", ["suffix", "order"])
def test_smaller_images_under_other_names(layout, rename, tmp_path, capsys):
    folder = LAYOUTS[layout](tmp_path / "a")
    with_images(folder, 4, "images_4")
    for i, path in enumerate(sorted((folder / "images_4").iterdir())):
        image = Image.open(path).convert("RGB")
        path.unlink()
        image.save(path.with_name(f"{i:03d}.JPG" if rename == "suffix" else f"image{i}.png"), "PNG")
    scene = read_capture(folder, "images_4")
    red = [int(np.asarray(source.open())[0, 0, 0]) for source in scene.sources]
    assert red == [0, 40, 80, 120] and scene.sizes[0] == (12, 16)
    said = "read in order, image0.png for 000.png" in capsys.readouterr().out
    assert said == (rename == "order" and layout != "llff")  # LLFF has no names


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_smaller_images_are_on_the_disk(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "a")
    (folder / "images").rename(folder / "old")
    with_images(folder, 4, "images_4")
    scene = read_capture(folder)
    assert scene.sizes[0] == (12, 16) and len(scene) == FRAMES
    if layout != "llff":
        np.testing.assert_allclose(scene.fxfycxcy[0], np.array(FXFYCXCY) / 4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_macos_leaves_behind_is_ignored(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "a")
    for path in list((folder / "images").iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert len(read_capture(folder)) == FRAMES


@pytest.mark.parametrize("layout", JSON)
def test_paths_of_windows_and_a_byte_order_mark(layout, tmp_path, monkeypatch):
    folder = LAYOUTS[layout](tmp_path / "a")

    def windows(value):
        for i, frame in enumerate(value["frames"]):
            start = ("", str(folder) + "/")[i % 2]  # some are absolute
            frame["file_path"] = start + frame["file_path"].replace("/", "\\" if not start else "/")

    edited(folder, JSON[layout], windows)
    path = folder / JSON[layout]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(read_capture("a")) == FRAMES


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_masks_are_said_to_be_unused(layout, tmp_path, capsys):
    folder = layout(tmp_path / "a")
    read_capture(folder)
    assert "masks" not in capsys.readouterr().out
    (folder / "masks").mkdir()
    read_capture(folder)
    assert "capture a: its masks are not used" in capsys.readouterr().out


def test_masks_that_a_frame_names(tmp_path, capsys):
    folder = edited(
        nerfstudio(tmp_path / "a"),
        "transforms.json",
        lambda value: value["frames"][1].update(mask_path="m/1.png"),
    )
    read_capture(folder)
    assert "capture a: its masks are not used" in capsys.readouterr().out


def test_what_is_there_names_what_is_found_instead(tmp_path):
    files(tmp_path, "a/0.png", "a/1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "a/2.png").mkdir()
    (tmp_path / "a/3.png").symlink_to(tmp_path / "none")
    cure = "fetch the image or remove the frame from the cameras"
    for path, words in (
        ("a/4.png", f"is missing (a has 3 images, from 0.png to 3.png): {cure}"),
        ("b/2.png", f"is missing (b is empty): {cure}"),
        ("none/2.png", "has a, b): rename a to none, or reconstruct with --images a"),
        ("a/2.png", "is a folder: put the file in its place"),
        ("a/3.png", f"is a link to {tmp_path / 'none'}, which is not there: mount that disk"),
    ):
        assert words in what_is_there(tmp_path / path)
