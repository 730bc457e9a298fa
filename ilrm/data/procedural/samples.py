"""To look at before one has photos: a procedural room written as a capture, a few rooms as scenes."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from ilrm.config import DataConfig
from ilrm.data.batches import HeldOutScenes, held_out_scenes
from ilrm.data.framing import Framing
from ilrm.data.procedural.generation import RoomsConfig, ensure_dataset
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.system.files import atomic_folder


def example_scenes(data: DataConfig, count: int) -> HeldOutScenes:
    """The first `count` held-out procedural rooms, with true depth, in the size and with the views of `data`:
    generated in seconds, as training scenes are left out.
    """
    rooms = replace(data, root="", evaluation_index="", procedural_train=1, procedural_test=count)
    return held_out_scenes(rooms)


def example_capture(folder: Path, side: int = 128) -> Path:
    """A held-out room, 24 frames of `side` x `side` pixels, in the opencv_cameras.json layout; a folder that
    is there already is left as it is.
    """
    if folder.exists():
        return folder
    rooms = RoomsConfig(train_scenes=1, test_scenes=1, frames=24, height=side, width=side)
    scenes = ChunkScenes(ensure_dataset(rooms), "test")
    scene = scenes.load(scenes.keys[0])
    images, fxfycxcy = scene.decode(range(len(scene)), Framing(side, side))
    with atomic_folder(folder) as beside:
        (beside / "images").mkdir()
        frames = []
        for i, image in enumerate(images):
            name = f"images/{i:03d}.png"
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(beside / name)
            intrinsics = dict(zip(("fx", "fy", "cx", "cy"), fxfycxcy[i].tolist(), strict=True))
            w2c = torch.linalg.inv(scene.c2w[i].double()).tolist()
            frames.append({"file_path": name, "w2c": w2c, "h": side, "w": side} | intrinsics)
        (beside / "opencv_cameras.json").write_text(
            json.dumps({"frames": frames}), encoding="utf-8"
        )
    return folder
