"""Choice of context and target frames of a clip, as pure functions of frame count, step and generator."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ilrm.data.frames.view_selection import farthest_views
from ilrm.errors import ConfigError, DataError, TooFewFramesError


@dataclass(frozen=True)
class WindowSchedule:
    """Range of the gap, in frames, between the first and last context view, which grows linearly.

    The defaults are those of RE10K.
    """

    first: tuple[int, int] = (25, 45)  # smallest and largest gap at step 0
    last: tuple[int, int] = (45, 135)  # smallest and largest gap from step `steps` on
    steps: int = 30_000

    def gap(self, step: int) -> tuple[int, int]:
        """Smallest and largest gap, in frames, at a step."""
        share = min(step / self.steps, 1.0) if self.steps else 1.0
        low, high = (round(a + share * (b - a)) for a, b in zip(self.first, self.last, strict=True))
        return low, high


def spread(first: int, last: int, n: int) -> list[int]:
    """n >= 2 frames spread evenly from first to last, both included."""
    return [first + round(k * (last - first) / (n - 1)) for k in range(n)]


def training_window(
    frames: int,
    step: int,
    rng: np.random.Generator,
    schedule: WindowSchedule,
    context_views: int,
    target_views: int,
    input_targets: int = 0,
    c2w: Tensor | None = None,
) -> tuple[list[int], list[int]]:
    """Context and target frame numbers of one training sample from a clip of `frames` frames.

    The context views are the two ends of a window, whose gap is uniform in schedule.gap(step), and frames
    spread evenly between them. Given the clip's cameras `c2w` [frames, 4, 4], they are chosen within the
    window by farthest-point sampling instead (DL3DV). The target views are drawn without replacement from the
    other frames of the window, followed by `input_targets` of the context views as additional targets. Gaps
    are limited to the clip's length and enlarged to fit all views. Raises TooFewFramesError, ConfigError.
    """
    if context_views < 2 or target_views < 0 or not 0 <= input_targets <= context_views:
        raise ConfigError(
            f"context_views = {context_views}, target_views = {target_views}, "
            f"input_targets = {input_targets}: give at least 2, at least 0, and 0 to context_views"
        )
    needed = context_views + target_views
    if frames < needed:
        raise TooFewFramesError(
            f"{frames} frames are too few for {context_views} context and {target_views} target views: "
            "use longer clips or fewer views"
        )
    low, high = schedule.gap(step)
    high = max(min(high, frames - 1), needed - 1)
    low = min(max(low, needed - 1), high)
    gap = int(rng.integers(low, high + 1))
    start = int(rng.integers(frames - gap))
    context = spread(start, start + gap, context_views)
    if c2w is not None:
        window = list(range(start, start + gap + 1))
        context = farthest_views(c2w, context_views, rng, window)
    between = [f for f in range(start + 1, start + gap) if f not in context]
    target = rng.choice(between, target_views, replace=False).tolist() if target_views else []
    if input_targets:
        target += rng.choice(context, input_targets, replace=False).tolist()
    return context, target


def evaluation_context(context: list[int], target: list[int], views: int) -> list[int]:
    """Extend an index entry's context to `views` frames, spread evenly between its first and last frame.

    Each added view is the unused frame closest to its evenly spaced position. Targets are not used, unless
    the entry's own contexts are targets already, as in DL3DV's indices. Raises DataError, TooFewFramesError.
    """
    if views == len(context):
        return sorted(context)
    if views < len(context):
        raise DataError(
            f"{views} views requested from an index entry with {len(context)} contexts: "
            f"use an index for {views} views"
        )
    first, last = min(context), max(context)
    free = set(range(first + 1, last))
    if not set(context) <= set(target):
        free -= set(target)
    if len(free) < views - 2:
        raise TooFewFramesError(
            f"only {len(free)} frames between {first} and {last} are not targets, too few for {views} views: "
            "use fewer views"
        )
    chosen = [first, last]
    for k in range(1, views - 1):
        place = first + k * (last - first) / (views - 1)
        frame = min(free, key=lambda f, place=place: (abs(f - place), f))  # type: ignore[misc]
        free.remove(frame)
        chosen.append(frame)
    return sorted(chosen)


def mirror(views: dict[str, Tensor]) -> dict[str, Tensor]:
    """Views of the world mirrored in x: images [..., 3, H, W] and depths [..., H, W], if any, are flipped
    horizontally, and fxfycxcy [..., 4] (pixels) and c2w [..., 4, 4] (OpenCV) are adapted.
    """
    fxfycxcy, c2w = views["fxfycxcy"].clone(), views["c2w"]
    fxfycxcy[..., 2] = views["images"].shape[-1] - fxfycxcy[..., 2]
    sign = torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=c2w.dtype, device=c2w.device)
    flipped = {name: views[name].flip(-1) for name in ("images", "depths") if name in views}
    return flipped | {"fxfycxcy": fxfycxcy, "c2w": c2w * sign[:, None] * sign}
