"""Diagnosis of poor reconstructions: input views without overlap, poses inconsistent with the images, and
captures outside of the training ranges.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ilrm.cameras import Cameras
from ilrm.data.framing import Framing
from ilrm.reconstruction.feature_matching import EVIDENCE, FEWEST, Pair, match
from ilrm.reconstruction.predict import Reconstruction
from ilrm.vocabulary import METRICS
from ilrm.weights.spread import spacing
from ilrm.weights.state import Weights
from ilrm.weights.training_ranges import rotation, vertical_fov

LONGEST = 800  # pixels of the longer side; larger images are downsampled for matching
SMALLEST = 100  # pixels of the longer side; smaller images have too few features to match
MAX_ERROR = 1 / 256  # tolerated epipolar error as a share of the longer side: 1 pixel at 256x256
LOSS = 2.0  # dB that a wider spread may cost on rooms before it is reported as a cause
ENLARGED = 1.1  # upsampling factor above which rounding to whole patches is not the reason
FINEST = 1e-4  # coarsest acceptable coordinate step as a share of the input cameras' extent
# tolerated shares of the training's smallest and largest field of view; the lower one because cropping 60
# degrees to 26 cost 1.3 dB on real clips, the upper one is a choice
FOV_SHARES = 0.4, 1.25
# names of the baselines that learn nothing
IN_WORDS = {
    "mean_colour": "one flat colour",
    "nearest_view": "copying the nearest input view",
    "plane_warp": "a plane warp",
    "plane_sweep": "plane-sweep stereo",
}
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
        "rotation_degrees": round(float(rotation(inputs)), 2),
        "spacing_degrees": round(spacing(inputs), 2),
        "vertical_fov_degrees": round(float(vertical_fov(inputs).median()), 2),
    }
    spread = list(_spread(measured, weights, reconstruction))
    findings = [
        *_far_away(reconstruction),
        *_enlarged(reconstruction),
        *_unlike_training(measured, weights, reconstruction.parts),
        *spread,
    ]
    size = _matched_size(reconstruction)
    if max(size) >= SMALLEST:
        pairs = _match(reconstruction, size, show_progress)
        measured["matched_at"] = f"{size[0]}x{size[1]}"
        measured |= _matched(pairs, max(size))
        findings += _from_matches(reconstruction, weights, pairs, size, bool(spread))
    else:
        measured["matched_at"] = None
    return Diagnosis(measured, [*_verdict(summary, reconstruction.optimised), *findings])


def _verdict(summary: dict[str, dict[str, dict[str, float]]], optimised: bool) -> Iterator[str]:
    """Compare the result with baselines that learn nothing, on the same held-out frames."""
    ours = summary["model"]["psnr"]["mean"]
    rivals = {name: summary[name]["psnr"]["mean"] for name in IN_WORDS if name in summary}
    better = {name: value for name, value in rivals.items() if value >= ours}
    advice = "" if optimised else ": try --splat 30, which optimises the scene itself"
    if "mean_colour" in better:
        yield (
            f"this reconstruction is not usable: {ours:.1f} dB on held-out frames, one flat colour gives "
            f"{better['mean_colour']:.1f} dB{advice}"
        )
    elif better:
        name, value = max(better.items(), key=lambda item: item[1])
        yield (
            f"{IN_WORDS[name]}, which learns nothing, is better: {value:.1f} dB on held-out frames, this "
            f"reconstruction {ours:.1f} dB{advice}"
        )
    elif coarse := [m for m in ("ssim", "lpips") if _is_behind(summary, m)]:
        names = " and ".join(METRICS[name].label for name in coarse)
        yield (
            f"fine detail is missing: {names} stay behind copying the nearest input view, though PSNR does "
            f"not{advice}"
        )


def _is_behind(summary: dict[str, dict[str, dict[str, float]]], metric: str) -> bool:
    """Whether a metric is worse than that of copying the nearest input view."""
    pair = [summary[m].get(metric, {}).get("mean") for m in ("model", "nearest_view")]
    if pair[0] is None or pair[1] is None:
        return False
    return pair[0] < pair[1] if METRICS[metric].higher_is_better else pair[0] > pair[1]


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


def _unlike_training(measured: dict[str, Any], weights: Weights, parts: int) -> Iterator[str]:
    """Properties of the capture outside of the training ranges; for merged parts, only common ones."""
    seen = weights.seen
    if seen is None:
        return
    views, (fewest, most) = measured["views"], seen.views
    if parts == 1 and not fewest <= views <= most:
        trained = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        nearest = min(max(views, fewest), most)
        yield f"{views} input views, but the weights were trained with {trained}: try --views {nearest}"
    fov = measured["vertical_fov_degrees"]
    low, high = (share * limit for share, limit in zip(FOV_SHARES, seen.fov, strict=True))
    if not low <= fov <= high:
        yield (
            f"the vertical field of view is {fov:.0f} degrees, in training {seen.fov[0]:.0f} to "
            f"{seen.fov[1]:.0f}: expect lower quality than with the training's lenses"
        )


def _spread(
    measured: dict[str, Any], weights: Weights, reconstruction: Reconstruction
) -> Iterator[str]:
    """Views so far apart that these weights lost more than LOSS on rooms; nothing if parts were merged."""
    if weights.spread is None or reconstruction.parts > 1:
        return
    views, degrees = measured["views"], measured["spacing_degrees"]
    here, best = weights.spread.at(views, degrees), weights.spread.best(views)
    measured["rooms_psnr"] = round(here.psnr, 1)
    measured["rooms_plane_warp_psnr"] = round(here.plane_warp, 1)
    if best.psnr - here.psnr > LOSS and degrees > best.spacing:
        advice = (
            "reconstruct the part near one frame (--around FRAME), or everything in parts (--all)"
        )
        if len(reconstruction.frames) < len(reconstruction.scene):  # near one frame already
            advice = "reconstruct a smaller part (--frames A:B)"
        yield (
            f"each input view looks {degrees:.0f} degrees away from the nearest other one: on rooms with "
            f"such views these weights reach {here.psnr:.1f} dB (a plane warp {here.plane_warp:.1f}), with "
            f"{best.spacing:.0f} degrees {best.psnr:.1f} dB; {advice}"
        )


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
        "depth_in_input_extents": [_rounded(v) for v in np.percentile(depths, [5, 50, 95])]
        if len(depths)
        else None,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _all_depths(pairs: Sequence[Pair], longest: int) -> np.ndarray:
    """Depths, in normalised units, from the pairs whose cameras agree with the images."""
    parts = [pair.depths for pair in pairs if np.median(pair.errors) < MAX_ERROR * longest]
    depths = np.concatenate(parts) if parts else np.zeros(0)
    return depths[depths > 0]


def _from_matches(
    reconstruction: Reconstruction,
    weights: Weights,
    pairs: Sequence[Pair],
    size: tuple[int, int],
    apart: bool,
) -> Iterator[str]:
    """Findings from matches; `apart`: another finding already says that the views are too far apart."""
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
            "texture; reconstruct the part near another frame (--around FRAME)"
        )
    groups = _groups(pairs, names)
    if len(groups) > 1 and reconstruction.parts == 1:
        yield (
            f"the input views fall into {len(groups)} groups that share no points "
            f"({'; '.join(_listed(group) for group in groups)}): reconstruct the part near a frame of one of "
            "them (--around FRAME)"
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
    yield from _from_depths(_all_depths(pairs, max(size)), weights, apart)


def _groups(pairs: Sequence[Pair], names: Sequence[str]) -> list[list[str]]:
    """Names of the views that matches connect, group by group; views without matches are left out."""
    first, second = np.array([pair.views for pair in pairs], dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(len(names), len(names)))
    number, group_of = connected_components(graph, directed=False)
    groups = [
        [n for n, own in zip(names, group_of, strict=True) if own == g] for g in range(number)
    ]
    return [group for group in groups if len(group) > 1]


def _pose_error(pairs: Sequence[Pair]) -> float:
    """Median error over all matches of a view, or 0 for a single pair with few matches, which may connect
    different but similar objects.
    """
    errors = np.concatenate([pair.errors for pair in pairs]) if pairs else np.zeros(0)
    return float(np.median(errors)) if len(pairs) > 1 or len(errors) >= EVIDENCE else 0.0


def _from_depths(depths: np.ndarray, weights: Weights, apart: bool) -> Iterator[str]:
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
            "reconstruct fewer frames (--frames A:B)"
        )
    elif high > far and not apart:  # otherwise the findings would contradict each other
        yield (
            f"a quarter of the scene is more than {high:.2g} {unit}: the input views are too close "
            "together; spread them further (--choice even)"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
