"""A procedural room as a capture on disk."""

import json
from pathlib import Path
from typing import Any

import torch

from ilrm.data.chunks import ChunkScenes
from ilrm.data.scene import Framing
from ilrm.data.scenes import dataset_root
from ilrm.pictures import to_image
from ilrm.presets import run_config


def procedural_capture(folder: Path, **fields: Any) -> Path:
    """A held-out room of the smoke scale, 24 frames of 32x32, in the opencv_cameras.json layout; `fields` of
    its data replaced."""
    scenes = ChunkScenes(dataset_root(run_config("smoke", **fields).data), "test")
    scene = scenes.load(scenes.keys[0])
    height, width = scene.sizes[0]
    images, fxfycxcy = scene.frames(range(len(scene)), Framing(height, width))
    (folder / "images").mkdir(parents=True)
    frames = []
    for i, image in enumerate(images):
        to_image(image).save(folder / "images" / f"{i:03d}.png")
        intrinsics = dict(zip(("fx", "fy", "cx", "cy"), fxfycxcy[i].tolist(), strict=True))
        w2c = torch.linalg.inv(scene.c2w[i].double()).tolist()
        frames.append(
            {"file_path": f"images/{i:03d}.png", "w2c": w2c, "h": height, "w": width} | intrinsics
        )
    (folder / "opencv_cameras.json").write_text(json.dumps({"frames": frames}))
    return folder
