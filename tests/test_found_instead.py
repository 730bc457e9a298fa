"""Every reader of files says what a download, version control or a moved disk left in place of one."""

import shutil

import pytest

from ilrm.data.frames.evaluation_indices import read_evaluation_index
from ilrm.data.images import decode
from ilrm.data.sources.captures import read_capture
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import IlrmError
from ilrm.export.ply import read_ply
from ilrm.weights.state import PACKAGED, read_weights
from tests.data.layouts import LAYOUTS

INSTEAD = {
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "run git lfs pull",
    ),
    "annex": (b"/annex/objects/SHA256E-s3--a\n", "run git annex get"),
    "page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html></html>", "is a web page: the download failed"),
    "error": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is an XML"),
}


def chunks(folder):
    (folder / "test").mkdir(parents=True)
    (folder / "test/index.json").write_text('{"a": "0.torch"}')
    return folder / "test/0.torch", lambda: ChunkScenes(folder, "test").load("a")


def weights(folder):
    shutil.copytree(PACKAGED / "ilrm-small", folder)
    return folder / "model.safetensors", lambda: read_weights(folder)


def capture(layout):
    def made(folder):
        layout(folder)
        return folder / layout.files[0], lambda: read_capture(folder)

    return made


def alone(name, read):
    return lambda folder: (folder / name, lambda: read(folder / name))


READERS = {
    "image": alone("a.png", decode),
    "index": alone("a.json", read_evaluation_index),
    "released weights": alone("a.ckpt", read_weights),
    "weights": weights,
    "chunk": chunks,
    "PLY": alone("a.ply", read_ply),
    **{name: capture(layout) for name, layout in LAYOUTS.items()},
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", INSTEAD)
def test_what_a_file_is_instead(reader, kind, tmp_path):
    path, read = READERS[reader](tmp_path / "a")
    content, message = INSTEAD[kind]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(IlrmError, match=message) as caught:
        read()
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [name for name in READERS if "weights" not in name])
def test_what_lies_there_instead(reader, tmp_path):
    """A link to a disk that is not mounted."""
    path, read = READERS[reader](tmp_path / "a")
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "disk/file")
    with pytest.raises(IlrmError, match=r"is a link to .*disk/file, which is not there"):
        read()
