"""What the package does, in half a minute: photos to a scene with the weights that come with it."""

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
STEPS = 50  # of refinement on the input photos
FOLDER = RUNS / "demo"

# what the columns of comparison.png are, in words
MEANINGS = {
    METHODS["nearest_view"]: "a copied photo",
    METHODS["plane_warp"]: "the input photos on one plane: learns nothing",
    METHODS["model"]: f"{WEIGHTS}, one forward pass",
    REFINED: f"the same after {STEPS} steps on the input photos",
}


@dataclass(frozen=True)
class Demonstration:
    """Photos, the scene that was made of them, and how well it draws the photos that were held out."""

    photos: Path  # the capture
    about: str  # what part of it was reconstructed
    seconds: float  # that the reconstruction took, refinement included
    folder: Path  # of the scene
    written: Written

    @property
    def quality(self) -> list[str]:
        """A line for each column of comparison.png: its PSNR, and what it is."""
        compared = self.written.compared
        widest = max(map(len, compared))
        return [f"{t:>{widest}} {v:5.1f} dB  {MEANINGS[t]}" for t, v in compared.items()]

    @property
    def places(self) -> list[str]:
        """A line for each thing to open, and one for what to do next."""
        return [
            f"photos    {self.photos.resolve()}",
            f"viewer    {(self.folder / 'viewer.html').as_uri()} (open it in a browser)",
            f"pictures  {self.folder / 'comparison.png'}",
            f"video     {self.folder / 'flythrough.webm'}",
            "your own photos: ilrm demo --capture FOLDER, a folder of photos with cameras from COLMAP, "
            "nerfstudio, ...; ilrm reconstruct has all options",
        ]


def room(folder: Path) -> Opened:
    """The first held-out procedural room, whose photos are written to a folder unless it is there."""
    # a small place: input photos from all over it, chosen in a way that rounding cannot change
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
