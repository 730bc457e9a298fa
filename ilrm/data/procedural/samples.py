"""Example data for users without photos: a procedural room as a capture, and a few rooms as scenes."""

import io
import json
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ilrm.config import DataConfig
from ilrm.data.batches import HeldOutScenes, held_out_scenes
from ilrm.data.procedural.generation import RoomsConfig, render_scene
from ilrm.system.files import atomic_folder


def example_scenes(data: DataConfig, count: int) -> HeldOutScenes:
    """The first `count` held-out procedural rooms with true depth, with the image size and views of `data`.

    They are generated in seconds, as training scenes are left out.
    """
    rooms = replace(data, root="", evaluation_index="", procedural_train=1, procedural_test=count)
    return held_out_scenes(rooms)


def example_capture(folder: Path, side: int = 128) -> Path:
    """Write the first held-out room, 24 frames of `side` x `side` pixels, in the opencv_cameras.json layout.

    An existing folder is left unchanged. Returns the folder.
    """
    if folder.exists():
        return folder
    scene = render_scene(RoomsConfig(frames=24, height=side, width=side), "test", 0)
    with atomic_folder(folder) as beside:
        (beside / "images").mkdir()
        frames = []
        for i, (jpeg, camera) in enumerate(zip(scene["images"], scene["cameras"], strict=True)):
            name = f"images/{i:03d}.png"
            Image.open(io.BytesIO(jpeg.numpy().tobytes())).save(beside / name)
            intrinsics = dict(
                zip(("fx", "fy", "cx", "cy"), (side * camera[:4]).tolist(), strict=True)
            )
            w2c = [*camera[6:].view(3, 4).tolist(), [0, 0, 0, 1]]
            frames.append({"file_path": name, "w2c": w2c, "h": side, "w": side} | intrinsics)
        (beside / "opencv_cameras.json").write_text(
            json.dumps({"frames": frames}), encoding="utf-8"
        )
    return folder
