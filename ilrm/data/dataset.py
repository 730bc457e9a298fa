"""Training batches and evaluation examples from scenes: tensors in, tensors out, the same for the
same (seed, step).

Poses stay as stored; normalisation belongs to ilrm/cameras.py.
"""

import copy
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ilrm.data.frames.training_windows import WindowSchedule, mirror, training_window
from ilrm.data.framing import Framing
from ilrm.data.scene import Scene, Scenes
from ilrm.errors import ConfigError, DataError, EmptyDatasetError
from ilrm.system.progress import progress_bar

MEMORY_SHARE = 0.25  # of a GPU's free memory that decoded frames may take
# {context, target}_{images, fxfycxcy, c2w}, and depths where the scenes have them; see example()
Example = dict[str, Tensor]


def _split(parts: Example, views: int) -> Example:
    """Views {images, fxfycxcy, c2w, depths} [B, V + T, ...]: the first `views` are context."""
    context = {f"context_{name}": value[:, :views] for name, value in parts.items()}
    return context | {f"target_{name}": value[:, views:] for name, value in parts.items()}


def example(scene: Scene, context: list[int], target: list[int], framing: Framing) -> Example:
    """One scene's views as a batch of one: context_images [1, V, 3, H, W] in [0, 1],
    context_fxfycxcy [1, V, 4] in pixels, context_c2w [1, V, 4, 4], context_depths [1, V, H, W] (true z
    in the world's unit, where it is known at that size), and the same for target_. Raises DataError
    for frames that the scene lacks.
    """
    frames = context + target
    if max(frames) >= len(scene):
        raise DataError(
            f"scene {scene.key} has {len(scene)} frames, the index asks for frame {max(frames)}: "
            "the index belongs to another version of the data"
        )
    images, fxfycxcy = scene.frames(frames, framing)
    parts = {"images": images, "fxfycxcy": fxfycxcy, "c2w": scene.c2w[frames]}
    if (depths := scene.framed_depths(frames, framing)) is not None:
        parts["depths"] = depths
    return _split({name: value[None] for name, value in parts.items()}, len(context))


class ViewsDataset(Dataset[Example]):
    """Training batches by step, a function of (seed, step) alone (and of whether memory suffices).

    Every pass over the scenes is a new shuffle. Decoded frames (uint8, H x W) are kept in memory
    when they fit the budget, so that nothing is decoded twice; else frames are decoded on demand,
    scenes of neighbouring chunks come near to each other, and `loader` can use worker processes.
    Scenes that published loaders skip, and those too short for the views, are counted and printed.
    Raises EmptyDatasetError and what Scenes.load raises.
    """

    def __init__(
        self,
        scenes: Scenes,
        framing: Framing,
        batch_size: int,  # samples a step, over all processes
        context_views: int,
        target_views: int,
        input_targets: int = 0,  # context views that are targets too
        context_range: tuple[int, int] | None = None,  # context views drawn for each step
        view_spread: Literal["even", "farthest"] = "even",
        schedule: WindowSchedule = WindowSchedule(),  # noqa: B008 (frozen)
        flip: bool = True,  # mirror half of the samples
        seed: int = 0,
        depths: bool = False,  # with true depth
        memory_budget: int = 2 << 30,  # bytes of decoded frames
    ) -> None:
        self.scenes, self.framing, self.batch_size = scenes, framing, batch_size
        self.schedule, self.flip, self.seed = schedule, flip, seed
        self.context_range = context_range or (context_views, context_views)
        self.targets = target_views, input_targets
        self.farthest, self.depths = view_spread == "farthest", depths
        self.keys = scenes.keys
        self._order: tuple[int, list[int]] = (-1, [])  # of the last pass asked for
        first = scenes.load(self.keys[0])
        self.in_memory = (
            3 * framing.height * framing.width * len(first) * len(scenes) <= memory_budget
        )
        if self.in_memory:
            self._decode_all()

    def _usable(self, scene: Scene) -> bool:
        """False, said and counted, for a scene that is left out."""
        reason, needed = self.scenes.skip_reason(scene), self.context_range[1] + self.targets[0]
        if reason is None and len(scene) < needed:
            reason = f"{len(scene)} frames, {needed} are needed"
        if reason is not None:
            self.scenes.skip(scene.key, reason)
        return reason is None

    def _decode(self, scene: Scene, frames: Sequence[int]) -> Example:
        """Frames of a scene: images uint8 [n, 3, H, W], fxfycxcy, c2w, and depths if asked for."""
        images, fxfycxcy = scene.decode(frames, self.framing)
        parts = {"images": images, "fxfycxcy": fxfycxcy, "c2w": scene.c2w[list(frames)]}
        if self.depths:
            depths = scene.framed_depths(frames, self.framing)
            if depths is None:
                raise ConfigError(
                    f"scene {scene.key} of {self.scenes.folder} has no true depth at "
                    f"{self.framing.height}x{self.framing.width}: set depth_weight=0"
                )
            parts["depths"] = depths
        return parts

    def _decode_all(self) -> None:
        keys, decoded = [], []
        for key in progress_bar(self.keys, desc="decoding", unit="scene", leave=False):
            scene = self.scenes.load(key)
            if self._usable(scene):
                keys.append(key)
                decoded.append(self._decode(scene, range(len(scene))))
        if not keys:
            raise self._nothing_left()
        self.keys = keys
        self.starts = np.cumsum([0, *(len(parts["images"]) for parts in decoded)]).tolist()
        # all scenes' frames: images uint8 [F, 3, H, W] and so on
        self.frames = {name: torch.cat([parts[name] for parts in decoded]) for name in decoded[0]}

    def again(self, batch_size: int, seed: int) -> "ViewsDataset":
        """Other batches of the same scenes, whose decoded frames are shared."""
        other = copy.copy(self)
        other.batch_size, other.seed, other._order = batch_size, seed, (-1, [])
        return other

    def keep_on(self, device: torch.device) -> None:
        """Keep decoded frames on a GPU and gather batches there, where they take little of its memory."""
        if not self.in_memory or self.frames["images"].device == device:
            return
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
        pixels = {name: self.frames[name] for name in ("images", "depths") if name in self.frames}
        if sum(value.nbytes for value in pixels.values()) <= MEMORY_SHARE * free:
            self.frames |= {name: value.to(device) for name, value in pixels.items()}

    def _nothing_left(self) -> EmptyDatasetError:
        return EmptyDatasetError(
            f"{self.scenes.folder}: all {len(self.scenes)} scenes were skipped (reasons above)"
        )

    def _scene_number(self, sample: int) -> int:
        """Which scene a sample is drawn from."""
        epoch, k = divmod(sample, len(self.keys))
        if self._order[0] != epoch:
            self._order = epoch, self._shuffle(epoch)
        return self._order[1][k]

    def _shuffle(self, epoch: int) -> list[int]:
        """Scene numbers in the order of a pass; on demand, four chunks at a time, so that few are
        open.
        """
        rng = np.random.default_rng([self.seed, 0, epoch])
        if self.in_memory:
            return rng.permutation(len(self.keys)).tolist()
        chunks: dict[str, list[int]] = {}
        for i, key in enumerate(self.keys):
            chunks.setdefault(self.scenes.file(key), []).append(i)
        names = rng.permutation(sorted(chunks)).tolist()
        order = []
        for k in range(0, len(names), 4):
            group = [i for name in names[k : k + 4] for i in chunks[name]]
            order += rng.permutation(group).tolist()
        return order

    def context_views(self, step: int) -> int:
        """Context views of all samples of a step."""
        low, high = self.context_range
        return int(np.random.default_rng([self.seed, 2, step]).integers(low, high + 1))

    def _window(self, c2w: Tensor, step: int, sample: int) -> tuple[list[int], bool]:
        """Frames (contexts first) and mirroring of a sample of a scene with these cameras."""
        rng = np.random.default_rng([self.seed, 1, sample])
        views = self.context_views(step)
        cameras = c2w if self.farthest else None
        context, target = training_window(
            len(c2w), step, rng, self.schedule, views, *self.targets, cameras
        )
        return context + target, self.flip and bool(rng.random() < 0.5)

    def _from_memory(self, step: int, samples: range) -> tuple[Example, list[bool]]:
        """Views [B, V + T, ...] and which are to be mirrored, gathered from the decoded frames."""
        numbers, flips = [], []
        for sample in samples:
            scene = self._scene_number(sample)
            first, after = self.starts[scene : scene + 2]
            frames, flipped = self._window(self.frames["c2w"][first:after], step, sample)
            numbers.append([first + f for f in frames])
            flips.append(flipped)
        index = torch.tensor(numbers)  # [B, V + T]
        return {name: v[index.to(v.device)] for name, v in self.frames.items()}, flips

    def _on_demand(self, step: int, samples: range) -> tuple[Example, list[bool]]:
        """The same, decoded now; a skipped scene's place is taken by the next usable one in the
        order.
        """
        decoded, flips = [], []
        for sample in samples:
            for tried in range(sample, sample + 2 * len(self.keys)):  # holds a whole pass
                scene = self.scenes.load(self.keys[self._scene_number(tried)])
                if self._usable(scene):
                    break
            else:
                raise self._nothing_left()
            frames, flipped = self._window(scene.c2w, step, sample)
            decoded.append(self._decode(scene, frames))
            flips.append(flipped)
        return {name: torch.stack([parts[name] for parts in decoded]) for name in decoded[0]}, flips

    def batch(self, step: int, rank: int = 0, count: int = 1) -> Example:
        """Process `rank` of `count`'s part of a step's batch: context_images [B, V, 3, H, W] and so
        on, see `example`. The samples of a step do not depend on `count`.
        """
        if self.batch_size % count:
            raise ConfigError(
                f"a batch of {self.batch_size} samples cannot be shared by {count} processes: "
                "choose a multiple"
            )
        part = self.batch_size // count
        first = step * self.batch_size + rank * part
        gather = self._from_memory if self.in_memory else self._on_demand
        views, flips = gather(step, range(first, first + part))
        views["images"] = views["images"].float() / 255
        if any(flips):
            chosen = torch.tensor(flips)
            mirrored = mirror({name: v[chosen.to(v.device)] for name, v in views.items()})
            for name, value in mirrored.items():
                views[name][chosen.to(value.device)] = value
        return _split(views, self.context_views(step))

    def __getitem__(self, item: tuple[int, int, int]) -> Example:
        """The batch of (step, rank, count)."""
        return self.batch(*item)

    def loader(
        self, steps: range, rank: int = 0, count: int = 1, workers: int = 0
    ) -> DataLoader[Example]:
        """A DataLoader over the batches of `steps`, in order; worker processes decode ahead (none
        are started where all frames are in memory). With CUDA what they decode is in pinned memory.
        """
        items = [(step, rank, count) for step in steps]
        workers = 0 if self.in_memory else workers
        # a generator of its own: the global one has to be the same after resuming
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            self,
            batch_size=None,
            sampler=items,
            num_workers=workers,
            generator=generator,
            pin_memory=torch.cuda.is_available() and not self.in_memory,
        )
