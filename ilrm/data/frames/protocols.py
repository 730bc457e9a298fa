"""The evaluation protocols of the paper's Tables 1 to 5, 10, 13 and 16, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ilrm.data.framing import Distortion, Framing
from ilrm.errors import DataError

if TYPE_CHECKING:
    from ilrm.data.frames.view_selection import Selection

RE10K = Framing(256, 256)
WIDE = Framing(544, 960, "stretch")  # height 540, rounded up to whole patches


@dataclass(frozen=True)
class Published:
    """Location of a protocol's published numbers in reports/published."""

    table: str
    dataset: str
    protocol: str  # prefix of the `protocol` column
    scenes: int | None = None  # number of scenes averaged over; None if not stated


@dataclass(frozen=True)
class Protocol:
    """Evaluation protocol of a dataset: which views, at what size, from which images."""

    name: str
    framing: Framing
    views: int  # default number of input views
    index: str  # description of the index file; "": K-means input views, every 8th frame a target
    image_folder: str = ""  # image folder of raw DL3DV scenes
    distortion: Distortion = "undistort"
    published: Published | None = None
    near: bool = False  # input views near each other instead of spread over a capture

    def selection(self, index: Path | None, views: int) -> Selection:
        """The evaluated scenes and their views; prints the counts of an index. Raises DataError."""
        from ilrm.data.frames.evaluation_indices import read_evaluation_index, read_wide_index
        from ilrm.data.frames.neighbourhood import LocalCoverage
        from ilrm.data.frames.view_selection import FullCoverage

        if self.index and index is None:
            raise DataError(
                f"protocol {self.name} needs an index: give --index, the path of your copy of {self.index}"
            )
        if self.near:
            return LocalCoverage(views)
        if self.wide:
            return FullCoverage(views) if index is None else read_wide_index(index, views)
        assert index is not None
        return read_evaluation_index(index, views)

    @property
    def wide(self) -> bool:
        """Whether this is a wide-coverage protocol, in which every 8th frame is a target."""
        return not self.index


_NOPOSPLAT = "NoPoSplat's evaluation_index_re10k.json, the scenes of this overlap"


def _wide(name: str, views: int, table: str, dataset: str, scenes: int | None = None) -> Protocol:
    return Protocol(name, WIDE, views, "", published=Published(table, dataset, "", scenes))


_ALL = (
    Protocol(
        "re10k",
        RE10K,
        2,
        "pixelSplat's evaluation_index_re10k.json",
        published=Published("1", "re10k", "pixelSplat index", 6_474),
    ),
    *(
        Protocol(
            f"re10k-{overlap}",
            RE10K,
            2,
            _NOPOSPLAT,
            published=Published("16", "re10k", f"overlap: {overlap}"),
        )
        for overlap in ("small", "medium", "large")
    ),
    Protocol(
        "acid",
        RE10K,
        2,
        "pixelSplat's evaluation_index_acid.json",
        published=Published("2", "acid", "trained on re10k", 1_595),
    ),
    Protocol(
        "dl3dv-12",
        RE10K,
        2,
        "an index of DL3DV windows of 12 frames",
        published=Published("2", "dl3dv", "trained on re10k"),
    ),
    # crops of 270x480 and 540x960 images, whose lens distortion the published numbers ignore
    Protocol(
        "dl3dv-50",
        Framing(256, 448, "crop"),
        6,
        "DepthSplat's dl3dv_start_0_distance_50_ctx_6v_video_0_50.json",
        "images_8",
        "ignore",
        Published("3", "dl3dv", "50-frame", 140),
    ),
    Protocol(
        "dl3dv-100",
        Framing(512, 960, "crop"),
        12,
        "DepthSplat's dl3dv_start_0_distance_100_ctx_12v_video.json",
        "images_4",
        "ignore",
        Published("4", "dl3dv", "100-frame", 140),
    ),
    *(_wide(f"dl3dv-wide-{v}", v, "5", "dl3dv-undistorted", 140) for v in (16, 32, 40, 48)),
    *(
        _wide(f"dl3dv-eval-wide-{v}", v, "10", "dl3dv-undistorted-eval", 51)
        for v in (16, 32, 40, 48)
    ),
    _wide("tanks-and-temples-wide-32", 32, "13", "tanks-and-temples"),
    _wide("mipnerf360-wide-32", 32, "13", "mipnerf360"),
    # for your own captures, not protocols of the paper: wide coverage, and a neighbourhood of frames;
    # photos of any aspect are cropped, not stretched
    Protocol("captures", Framing(544, 960), 8, ""),
    Protocol("captures-near", Framing(544, 960), 8, "", near=True),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
