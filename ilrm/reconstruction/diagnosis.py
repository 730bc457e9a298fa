"""Diagnosis of poor reconstructions: input views without overlap, poses inconsistent with the images, and
captures outside of the training ranges.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ilrm.cameras import Cameras
from ilrm.data.framing import Framing
from ilrm.reconstruction.feature_matching import EVIDENCE, FEWEST, Pair, match
from ilrm.reconstruction.predict import Reconstruction
from ilrm.weights.state import Weights
from ilrm.weights.training_ranges import Range, rotation, vertical_fov

LONGEST = 800  # pixels of the longer side; larger images are downsampled for matching
SMALLEST = 100  # pixels of the longer side; smaller images have too few features to match
MAX_ERROR = 1 / 256  # tolerated epipolar error as a share of the longer side: 1 pixel at 256x256
MARGIN = 0.25  # tolerated deviation from a training range, as a share of its length
ENLARGED = 1.1  # upsampling factor that rounding to whole patches does not explain
FINEST = 1e-4  # coarsest acceptable coordinate step as a share of the input cameras' extent
DEPTH_SHARE = 0.25  # tolerated share of triangulated points on either side of the training range


@dataclass(frozen=True)
class Diagnosis:
    """Measurements, and one line for each likely cause of poor quality."""

    measured: dict[str, Any]
    findings: list[str]


def diagnose(
    reconstruction: Reconstruction,
    weights: Weights,
    summary: dict[str, dict[str, dict[str, float]]],
    show_progress: bool = True,
) -> Diagnosis:
    """Diagnose a reconstruction, given its held-out metrics (`summarize`).

    Images are matched at their own size, or at 800 pixels if they are larger. If they are smaller than 100
    pixels, poses, overlap and depth are not checked.
    """
    inputs = reconstruction.batch.inputs.cameras[0]
    measured: dict[str, Any] = {
        "views": len(reconstruction.inputs),
        "rotation": round(float(rotation(inputs)), 2),
        "fov": round(float(vertical_fov(inputs).median()), 2),
    }
    findings = [
        *_far_away(reconstruction),
        *_enlarged(reconstruction),
        *_unlike_training(measured, weights),
    ]
    size = _matched_size(reconstruction)
    if max(size) >= SMALLEST:
        pairs = _match(reconstruction, size, show_progress)
        measured["matched_at"] = f"{size[0]}x{size[1]}"
        measured |= _matched(pairs, max(size))
        findings += _from_matches(reconstruction, weights, pairs, size)
    else:
        measured["matched_at"] = None
    return Diagnosis(measured, [*_poor(summary, weights, bool(findings)), *findings])


def _poor(
    summary: dict[str, dict[str, dict[str, float]]], weights: Weights, explained: bool
) -> Iterator[str]:
    ours, copied = (summary[method]["psnr"]["mean"] for method in ("model", "nearest_view"))
    if ours > copied:
        return
    line = f"held-out frames: {ours:.1f} dB, copying the nearest input view gives {copied:.1f} dB"
    if not explained:
        data = weights.config.data
        line += (
            f", and no check explains why: the weights, trained at {data.image_height}x{data.image_width}, "
            "may be too weak for this scene; try more --views or --refine 20"
        )
    yield line


def _far_away(reconstruction: Reconstruction) -> Iterator[str]:
    places = reconstruction.scene.c2w[list(reconstruction.inputs), :3, 3].double()
    extent, distance = float(torch.pdist(places).max()), float(places.abs().max())
    step = distance * torch.finfo(torch.float32).eps
    if step > FINEST * extent > 0:
        yield (
            f"the cameras are {distance:.3g} from the world origin but only {extent:.3g} apart: 32-bit "
            f"coordinates in scene.ply have a resolution of {step:.2g}; recentre the capture"
        )


def _enlarged(reconstruction: Reconstruction) -> Iterator[str]:
    stored = min(reconstruction.scene.sizes[i] for i in reconstruction.inputs)
    used = reconstruction.batch.inputs.images.shape[-2:]
    if max(a / b for a, b in zip(used, stored, strict=True)) > ENLARGED:
        yield (
            f"frames of {stored[0]}x{stored[1]} were enlarged to {used[0]}x{used[1]}, which adds no detail: "
            "choose a smaller --size"
        )


def _unlike_training(measured: dict[str, Any], weights: Weights) -> Iterator[str]:
    if weights.seen is None:
        return
    views, (fewest, most) = measured["views"], weights.seen.views
    if not fewest <= views <= most:
        trained = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        nearest = min(max(views, fewest), most)
        yield f"{views} input views, but the weights were trained with {trained}: try --views {nearest}"
    if _outside(measured["rotation"], weights.seen.rotation):
        low, high = weights.seen.rotation
        yield (
            f"the input views rotate by {measured['rotation']:.0f} degrees, in training by {low:.0f} to "
            f"{high:.0f}: reconstruct a part of the capture"
        )
    if _outside(measured["fov"], weights.seen.fov):
        low, high = weights.seen.fov
        advice = "use weights trained on longer lenses"
        if measured["fov"] > high:
            advice = "crop the frames (--size)"
        yield (
            f"the vertical field of view is {measured['fov']:.0f} degrees, in training {low:.0f} to "
            f"{high:.0f}: {advice}"
        )


def _outside(value: float, trained: Range) -> bool:
    slack = MARGIN * max(trained[1] - trained[0], 0.1 * trained[1])
    return not trained[0] - slack <= value <= trained[1] + slack


def _matched_size(reconstruction: Reconstruction) -> tuple[int, int]:
    """Height and width of the first input frame, downsampled to at most 800 pixels."""
    height, width = reconstruction.scene.sizes[reconstruction.inputs[0]]
    factor = min(1.0, LONGEST / max(height, width))
    return round(height * factor), round(width * factor)


def _match(
    reconstruction: Reconstruction, size: tuple[int, int], show_progress: bool
) -> list[Pair]:
    images, fxfycxcy = reconstruction.scene.frames(reconstruction.inputs, Framing(*size))
    c2w = reconstruction.batch.inputs.cameras.c2w[0].cpu()
    return match(images, Cameras.from_fxfycxcy(fxfycxcy, c2w, *size), show_progress)


def _matched(pairs: Sequence[Pair], longest: int) -> dict[str, Any]:
    depths = _all_depths(pairs, longest)
    return {
        "matched_pairs": len(pairs),
        "epipolar_error_pixels": _rounded(np.median(np.concatenate([p.errors for p in pairs])))
        if pairs
        else None,
        "depth": [_rounded(v) for v in np.percentile(depths, [5, 50, 95])] if len(depths) else None,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _all_depths(pairs: Sequence[Pair], longest: int) -> np.ndarray:
    """Depths, in normalised units, from the pairs whose cameras agree with the images."""
    parts = [pair.depths for pair in pairs if np.median(pair.errors) < MAX_ERROR * longest]
    depths = np.concatenate(parts) if parts else np.zeros(0)
    return depths[depths > 0]


def _from_matches(
    reconstruction: Reconstruction, weights: Weights, pairs: Sequence[Pair], size: tuple[int, int]
) -> Iterator[str]:
    names = [reconstruction.scene.names[i] for i in reconstruction.inputs]
    places = reconstruction.batch.inputs.cameras.c2w[0, :, :3, 3]
    if float((places - places[0]).abs().max()) < 1e-6:
        yield (
            "all input cameras have the same position: without a baseline, depth cannot be estimated; "
            "check the poses"
        )
        return
    of_view = {name: [p for p in pairs if i in p.views] for i, name in enumerate(names)}
    if alone := [name for name, mine in of_view.items() if not mine]:
        yield (
            f"fewer than {FEWEST} points of {_listed(alone)} match another input view: no overlap or no "
            "texture; use more --views, or a part of the capture"
        )
    limit = MAX_ERROR * max(size)
    wrong = {name: error for name, mine in of_view.items() if (error := _pose_error(mine)) > limit}
    if wrong:
        yield (
            f"the poses contradict the images: matches of {_listed(list(wrong))} are "
            f"{max(wrong.values()):.1f} pixels (median, at {size[0]}x{size[1]}) off their epipolar lines, "
            f"more than the tolerated {limit:.1f}: estimate the poses again, unless the scene is repetitive "
            "(wallpaper, tiles)"
        )
    yield from _from_depths(_all_depths(pairs, max(size)), weights)


def _pose_error(pairs: Sequence[Pair]) -> float:
    """Median error over all matches of a view, or 0 for a single pair with few matches, which may be wrong
    matches between similar objects.
    """
    errors = np.concatenate([pair.errors for pair in pairs]) if pairs else np.zeros(0)
    return float(np.median(errors)) if len(pairs) > 1 or len(errors) >= EVIDENCE else 0.0


def _from_depths(depths: np.ndarray, weights: Weights) -> Iterator[str]:
    """Findings from the depths relative to the cameras' extent, i.e. from the baseline."""
    if len(depths) < FEWEST:
        return
    model = weights.config.model
    near, far = weights.seen.depth if weights.seen else (model.near, model.far)
    low, high = np.percentile(depths, [100 * DEPTH_SHARE, 100 - 100 * DEPTH_SHARE])
    unit = f"times the input cameras' extent away (in training {near:.2g} to {far:.2g})"
    if low < near:
        yield (
            f"a quarter of the scene is less than {low:.2g} {unit}: the input views are too far apart; "
            "use a part of the capture"
        )
    elif high > far:
        yield (
            f"a quarter of the scene is more than {high:.2g} {unit}: the input views are too close "
            "together; use views that are further apart"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
