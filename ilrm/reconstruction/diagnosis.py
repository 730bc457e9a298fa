"""Why a reconstruction is poor: inputs that share nothing, poses that the images contradict, a capture unlike
what the weights saw.
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

LONGEST = 800  # pixels: larger images are matched at this size
SMALLEST = 100  # pixels, the longer side: smaller images hold too few points to match
MAX_ERROR = 1 / 256  # of the longer side: a pixel of a 256x256 input
MARGIN = 0.25  # of a range that weights saw, beyond which a capture is unlike it
ENLARGED = 1.1  # more than whole patches ask for
FINEST = 1e-4  # of the inputs' extent: steps between coordinates that still draw a scene
DEPTH_SHARE = 0.25  # of the triangulated points may lie on either side of what weights saw


@dataclass(frozen=True)
class Diagnosis:
    """What was measured, and a line for each likely cause."""

    measured: dict[str, Any]
    findings: list[str]


def diagnose(
    found: Reconstruction,
    weights: Weights,
    summary: dict[str, dict[str, dict[str, float]]],
    show_progress: bool = True,
) -> Diagnosis:
    """Of a reconstruction with its held-out metrics (`summarize`). Images are matched at their own size, at
    most 800 pixels; where they are smaller than 100, poses, overlap and depth are not checked.
    """
    inputs = found.batch.inputs.cameras[0]
    measured: dict[str, Any] = {
        "views": len(found.inputs),
        "rotation": round(float(rotation(inputs)), 2),
        "fov": round(float(vertical_fov(inputs).median()), 2),
    }
    findings = [*_far_away(found), *_enlarged(found), *_unlike_training(measured, weights)]
    size = _matched_size(found)
    if max(size) >= SMALLEST:
        pairs = _match(found, size, show_progress)
        measured["matched_at"] = f"{size[0]}x{size[1]}"
        measured |= _matched(pairs, max(size))
        findings += _from_matches(found, weights, pairs, size)
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
            f", and no check explains it: the weights, trained at {data.image_height}x{data.image_width}, "
            "may be too weak for this scene; try more --views, --refine 20"
        )
    yield line


def _far_away(found: Reconstruction) -> Iterator[str]:
    places = found.scene.c2w[list(found.inputs), :3, 3].double()
    extent, distance = float(torch.pdist(places).max()), float(places.abs().max())
    step = distance * torch.finfo(torch.float32).eps
    if step > FINEST * extent > 0:
        yield (
            f"the capture stands {distance:.3g} from its world's origin, its inputs {extent:.3g} apart: "
            f"coordinates in scene.ply have 32 bits, and come in steps of {step:.2g}; recentre the capture"
        )


def _enlarged(found: Reconstruction) -> Iterator[str]:
    stored = min(found.scene.sizes[i] for i in found.inputs)
    seen = found.batch.inputs.images.shape[-2:]
    if max(a / b for a, b in zip(seen, stored, strict=True)) > ENLARGED:
        yield (
            f"frames of {stored[0]}x{stored[1]} were enlarged to {seen[0]}x{seen[1]}, which adds nothing: "
            "choose a smaller --size"
        )


def _unlike_training(measured: dict[str, Any], weights: Weights) -> Iterator[str]:
    if weights.seen is None:
        return
    views, (fewest, most) = measured["views"], weights.seen.views
    if not fewest <= views <= most:
        trained = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        nearest = min(max(views, fewest), most)
        yield f"{views} input views, the weights were trained with {trained}: try --views {nearest}"
    if _outside(measured["rotation"], weights.seen.rotation):
        low, high = weights.seen.rotation
        yield (
            f"the inputs turn by {measured['rotation']:.0f} degrees, in training they turned by {low:.0f} to "
            f"{high:.0f}: reconstruct a part of the capture"
        )
    if _outside(measured["fov"], weights.seen.fov):
        low, high = weights.seen.fov
        advice = "weights for longer lenses are needed"
        if measured["fov"] > high:
            advice = "crop the frames (--size)"
        yield (
            f"a vertical field of view of {measured['fov']:.0f} degrees, in training {low:.0f} to "
            f"{high:.0f}: {advice}"
        )


def _outside(value: float, seen: Range) -> bool:
    slack = MARGIN * max(seen[1] - seen[0], 0.1 * seen[1])
    return not seen[0] - slack <= value <= seen[1] + slack


def _matched_size(found: Reconstruction) -> tuple[int, int]:
    """Height and width of the first input's frame, made smaller where it is longer than 800 pixels."""
    height, width = found.scene.sizes[found.inputs[0]]
    factor = min(1.0, LONGEST / max(height, width))
    return round(height * factor), round(width * factor)


def _match(found: Reconstruction, size: tuple[int, int], show_progress: bool) -> list[Pair]:
    images, fxfycxcy = found.scene.frames(found.inputs, Framing(*size))
    c2w = found.batch.inputs.cameras.c2w[0].cpu()
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
    """Depths in normalised units, of the pairs whose cameras agree with the images."""
    parts = [pair.depths for pair in pairs if np.median(pair.errors) < MAX_ERROR * longest]
    depths = np.concatenate(parts) if parts else np.zeros(0)
    return depths[depths > 0]


def _from_matches(
    found: Reconstruction, weights: Weights, pairs: Sequence[Pair], size: tuple[int, int]
) -> Iterator[str]:
    names = [found.scene.names[i] for i in found.inputs]
    places = found.batch.inputs.cameras.c2w[0, :, :3, 3]
    if float((places - places[0]).abs().max()) < 1e-6:
        yield "all inputs stand in one place: without a baseline there is no depth; check the poses"
        return
    of_view = {name: [p for p in pairs if i in p.views] for i, name in enumerate(names)}
    if alone := [name for name, mine in of_view.items() if not mine]:
        yield (
            f"no {FEWEST} points of {_listed(alone)} are seen in another input: no overlap, or no texture; "
            "choose more --views, or a part of the capture"
        )
    limit = MAX_ERROR * max(size)
    wrong = {name: error for name, mine in of_view.items() if (error := _pose_error(mine)) > limit}
    if wrong:
        yield (
            f"the poses contradict the images: matches of {_listed(list(wrong))} lie "
            f"{max(wrong.values()):.1f} pixels (median, at {size[0]}x{size[1]}) off their epipolar lines, "
            f"{limit:.1f} are tolerable: estimate the poses again, unless the scene repeats itself "
            "(wallpaper, tiles)"
        )
    yield from _from_depths(_all_depths(pairs, max(size)), weights)


def _pose_error(pairs: Sequence[Pair]) -> float:
    """Median over all matches of a view; 0 where a single pair is too little evidence: what it matches may
    be things that look the same.
    """
    errors = np.concatenate([pair.errors for pair in pairs]) if pairs else np.zeros(0)
    return float(np.median(errors)) if len(pairs) > 1 or len(errors) >= EVIDENCE else 0.0


def _from_depths(depths: np.ndarray, weights: Weights) -> Iterator[str]:
    """Depth over the cameras' extent: the baseline, seen from the scene."""
    if len(depths) < FEWEST:
        return
    model = weights.config.model
    near, far = weights.seen.depth if weights.seen else (model.near, model.far)
    low, high = np.percentile(depths, [100 * DEPTH_SHARE, 100 - 100 * DEPTH_SHARE])
    unit = f"times the inputs' extent away (weights saw {near:.2g} to {far:.2g})"
    if low < near:
        yield (
            f"a quarter of the scene is less than {low:.2g} {unit}: the inputs are too far apart; "
            "choose a part of the capture"
        )
    elif high > far:
        yield (
            f"a quarter of the scene is more than {high:.2g} {unit}: the inputs are too close together; "
            "choose views further apart"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
