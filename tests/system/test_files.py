"""Names from data as file names, and which paths lie in a folder."""

import errno

import pytest

from ilrm.system.files import atomic_folder, atomic_path, below, file_name

STRANGE = [
    "../evil", "a/b", "a_b~c14cddc033", "a b", "..", ".", "", ".hidden", "/etc/passwd", "C:\\a", "a\nb",
    "a\0b", "x" * 300, "\N{GREEK SMALL LETTER ALPHA}" * 90, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", ["000", "IMG_0012", "a.b-c", "\N{GREEK SMALL LETTER ALPHA}1"])
def test_plain_names_are_kept(name):
    assert file_name(name) == name


def test_other_names_become_distinct_ones_that_stay_in_a_folder(tmp_path):
    found = [file_name(name) for name in STRANGE]
    assert len({*found, "a_b"}) == len(STRANGE) + 1
    for name in found:
        (tmp_path / f"{name}.json").write_text("")
    assert len(list(tmp_path.iterdir())) == len(STRANGE)
    assert not any(name.startswith(".") for name in found)


def test_what_lies_in_a_folder(tmp_path, monkeypatch):
    root = tmp_path / "capture"
    (root / "nerfstudio").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (root / "images").symlink_to(tmp_path / "photos")
    (tmp_path / "link").symlink_to(root)
    assert below(root, root / "nerfstudio/../images/a.png") == root / "images/a.png"
    assert below(tmp_path / "link", root / "images/a.png") == root / "images/a.png"
    for outside in ("../a.png", "images/../../a.png", "/etc/a.png", ".", "../capture-2/a.png"):
        assert below(root, root / outside) is None, outside
    monkeypatch.chdir(root)
    assert below(root.relative_to(root), root / "images/a.png") == root / "images/a.png"


@pytest.mark.parametrize("writing", [atomic_path, atomic_folder])
def test_a_full_disk_is_named_by_what_was_being_written(writing, tmp_path):
    """Errors of writes have no name of a file of their own."""
    for given, shown in ((None, str(tmp_path / "scene")), ("/other", "/other")):
        with pytest.raises(OSError, match="No space left") as caught, writing(tmp_path / "scene"):
            raise OSError(errno.ENOSPC, "No space left on device", given)
        assert caught.value.filename == shown
    assert not list(tmp_path.iterdir())
