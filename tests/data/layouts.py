"""One small capture in every layout, written as others would write it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

HEIGHT, WIDTH, FRAMES = 48, 64, 4

FXFYCXCY = [60.0, 61.0, 33.0, 23.0]


def poses() -> np.ndarray:
    """OpenCV camera-to-world matrices [4, 4, 4]."""
    turns = Rotation.from_rotvec([[0.0, 0.1 * i, 0.05] for i in range(FRAMES)]).as_matrix()
    c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
    c2w[:, :3, :3] = turns
    c2w[:, :3, 3] = np.random.default_rng(0).normal(size=(FRAMES, 3))
    return c2w


def with_images(folder, factor=1, name="images"):
    (folder / name).mkdir(parents=True)
    for i in range(FRAMES):
        image = Image.new("RGB", (WIDTH // factor, HEIGHT // factor), (40 * i, 100, 200))
        image.save(folder / name / f"{i:03d}.png")
    return folder


def opencv(folder):
    with_images(folder)
    intrinsics = dict(zip(("fx", "fy", "cx", "cy"), FXFYCXCY, strict=True))
    frames = [
        {
            "file_path": f"images/{i:03d}.png",
            "w2c": np.linalg.inv(p).tolist(),
            "w": WIDTH,
            "h": HEIGHT,
        }
        | intrinsics
        for i, p in enumerate(poses())
    ]
    (folder / "opencv_cameras.json").write_text(json.dumps({"frames": frames}))
    return folder


def nerfstudio(folder, **shared):
    with_images(folder)
    opengl = poses() @ np.diag([1, -1, -1, 1])
    frames = [
        {"file_path": f"images/{i:03d}.png", "transform_matrix": p.tolist()}
        for i, p in enumerate(opengl)
    ]
    names = ("fl_x", "fl_y", "cx", "cy")
    value = dict(zip(names, FXFYCXCY, strict=True)) | {"w": WIDTH, "h": HEIGHT, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(value | shared))
    return folder


def colmap(folder, binary=True, model="PINHOLE", parameters=FXFYCXCY):
    """Written by pycolmap, read by us."""
    import pycolmap

    with_images(folder)
    scene = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model=model, width=WIDTH, height=HEIGHT, params=parameters, camera_id=1
    )
    scene.add_camera_with_trivial_rig(camera)
    for i, pose in enumerate(poses()):
        image = pycolmap.Image(name=f"{i:03d}.png", camera_id=1, image_id=i + 1)
        scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.linalg.inv(pose)[:3]))
    for i in range(5):
        scene.add_point3D(
            np.array([i, 1.0, 2.0]), pycolmap.Track(), np.array([255, 0, 51], np.uint8)
        )
    (folder / "sparse/0").mkdir(parents=True)
    write = scene.write_binary if binary else scene.write_text
    write(str(folder / "sparse/0"))
    return folder


def llff(folder):
    with_images(folder)
    rows = []
    for pose in poses():
        right, down, forward, position = pose[:3].T
        five = np.stack([down, right, -forward, position, [HEIGHT, WIDTH, 60.0]], 1)
        rows.append([*five.ravel(), 0.1, 10.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


@dataclass(frozen=True)
class Layout:
    """Writes the small capture in a layout."""

    write: Callable[..., Path]
    files: tuple[str, ...]  # what it is read from, the file that names the images first
    image: str = ""  # the first image, as that file names it; "": it names none

    def __call__(self, folder: Path) -> Path:
        return self.write(folder)


PARTS = ("images", "cameras", "points3D")
LAYOUTS = {
    "opencv": Layout(opencv, ("opencv_cameras.json",), "images/000.png"),
    "nerfstudio": Layout(nerfstudio, ("transforms.json",), "images/000.png"),
    "colmap-binary": Layout(colmap, tuple(f"sparse/0/{part}.bin" for part in PARTS), "000.png"),
    "colmap-text": Layout(
        partial(colmap, binary=False), tuple(f"sparse/0/{part}.txt" for part in PARTS), "000.png"
    ),
    "llff": Layout(llff, ("poses_bounds.npy",)),
}
NAMED = [name for name, layout in LAYOUTS.items() if layout.image]


def edited(folder, file, change):
    value = json.loads((folder / file).read_text())
    change(value)
    (folder / file).write_text(json.dumps(value))
    return folder
