"""Demonstration in half a minute: photos to a scene, with the packaged weights."""

import time
from dataclasses import dataclass
from pathlib import Path

from ilrm.data.procedural.samples import example_capture
from ilrm.export.comparison import REFINED
from ilrm.export.scene_folder import Written, check_out, write_scene
from ilrm.reconstruction.inputs import Opened, open_capture
from ilrm.system.files import file_name
from ilrm.system.paths import RUNS
from ilrm.vocabulary import METHODS

WEIGHTS = "ilrm-small"
STEPS = 50  # refinement steps on the input photos
FOLDER = RUNS / "demo"

# descriptions of the columns of comparison.png
MEANINGS = {
    METHODS["nearest_view"]: "a copied photo",
    METHODS["plane_warp"]: "the input photos on one plane: learns nothing",
    METHODS["plane_sweep"]: "the same with a depth for each pixel, from stereo: learns nothing",
    METHODS["model"]: f"{WEIGHTS}, one forward pass",
    REFINED: f"the same after {STEPS} steps on the input photos",
}


@dataclass(frozen=True)
class Demonstration:
    """Photos, the scene reconstructed from them, and its quality on the held-out photos."""

    photos: Path  # the capture
    about: str  # the part of the capture that was reconstructed
    seconds: float  # duration of the reconstruction, with refinement
    folder: Path  # the scene folder
    written: Written

    @property
    def quality(self) -> list[str]:
        """One line per column of comparison.png: title, PSNR and description."""
        compared = self.written.compared
        widest = max(map(len, compared))
        return [f"{t:>{widest}} {v:5.1f} dB  {MEANINGS[t]}" for t, v in compared.items()]

    @property
    def places(self) -> list[str]:
        """One line per file to open, and one about the next step."""
        return [
            f"photos    {self.photos.resolve()}",
            f"viewer    {(self.folder / 'viewer.html').as_uri()} (open it in a browser)",
            f"pictures  {self.folder / 'comparison.png'}",
            f"video     {self.folder / 'flythrough.webm'}",
            "your own photos: ilrm demo --capture FOLDER, a folder of photos with cameras from COLMAP, "
            "nerfstudio, ...; ilrm reconstruct has all options",
        ]


def room(folder: Path) -> Opened:
    """The first held-out procedural room, whose photos are written to `folder` unless it exists."""
    # a room is small: inputs from all of it, chosen by a rule that rounding errors cannot affect
    return open_capture(example_capture(folder), WEIGHTS, choice="even")


def demonstrate(capture: str | Path | None = None, out: str | Path | None = None) -> Demonstration:
    """Reconstruct a capture, by default a procedural room, into the scene folder `out`.

    By default photos and scenes go to FOLDER. Raises whatever reading and reconstructing a capture raises.
    """
    name = file_name(Path(capture).resolve().name) if capture else "room"
    folder = Path(out or FOLDER / name).resolve()
    check_out(folder)
    photos = Path(capture or FOLDER / "photos" / "room")
    opened = open_capture(photos, WEIGHTS) if capture else room(photos)
    started = time.perf_counter()
    reconstruction = opened.reconstruct(STEPS)
    seconds = time.perf_counter() - started
    written = write_scene(reconstruction, opened.weights, folder)
    return Demonstration(photos, opened.about, seconds, folder, written)
