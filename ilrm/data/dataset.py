"""Training batches and evaluation examples from scenes, as plain tensors, determined by (seed, step).

Poses are returned as stored; ilrm/cameras.py normalises them.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ilrm.data.frames.training_windows import WindowSchedule, mirror, training_window
from ilrm.data.framing import Framing
from ilrm.data.scene import Scene, Scenes
from ilrm.errors import CameraError, ConfigError, DataError, EmptyDatasetError, IlrmError
from ilrm.system.progress import progress_bar

MEMORY_SHARE = 0.25  # share of a GPU's free memory that decoded frames may occupy
# {context, target}_{images, fxfycxcy, c2w}, and depths if the scenes have them; see example()
Example = dict[str, Tensor]


def _split(parts: Example, views: int) -> Example:
    """Split {images, fxfycxcy, c2w, depths} [B, V + T, ...] into context (the first `views`) and target."""
    context = {f"context_{name}": value[:, :views] for name, value in parts.items()}
    return context | {f"target_{name}": value[:, views:] for name, value in parts.items()}


def example(scene: Scene, context: list[int], target: list[int], framing: Framing) -> Example:
    """One scene's views as a batch of size 1.

    Contains context_images [1, V, 3, H, W] in [0, 1], context_fxfycxcy [1, V, 4] in pixels, context_c2w
    [1, V, 4, 4], context_depths [1, V, H, W] (ground-truth z in world units, if known at that size), and the
    same for target_. Raises DataError on frame numbers beyond the end of the scene.
    """
    frames = context + target
    if max(frames) >= len(scene):
        raise DataError(
            f"scene {scene.key} has {len(scene)} frames, the index asks for frame {max(frames)}: "
            "use the index that belongs to this version of the data"
        )
    images, fxfycxcy = scene.frames(frames, framing)
    parts = {"images": images, "fxfycxcy": fxfycxcy, "c2w": scene.c2w[frames]}
    if (depths := scene.framed_depths(frames, framing)) is not None:
        parts["depths"] = depths
    return _split({name: value[None] for name, value in parts.items()}, len(context))


class ViewsDataset(Dataset[Example | IlrmError]):
    """Training batches by step, determined by (seed, step) and by whether the frames fit in memory.

    Scenes are reshuffled every epoch. Decoded frames (uint8, H x W) are kept in memory if they fit the memory
    budget. Otherwise frames are decoded on demand, scenes are shuffled within groups of chunks, and `loader`
    can use worker processes. Scenes that published loaders skip, or that have too few frames, are counted and
    printed. Raises EmptyDatasetError, and whatever Scenes.load raises.
    """

    def __init__(
        self,
        scenes: Scenes,
        framing: Framing,
        batch_size: int,  # samples per step, over all processes
        context_views: int,
        target_views: int,
        input_targets: int = 0,  # context views that are also targets
        context_range: tuple[int, int]
        | None = None,  # range of the number of context views per step
        view_spread: Literal["even", "farthest"] = "even",
        schedule: WindowSchedule = WindowSchedule(),  # noqa: B008 (frozen)
        flip: bool = True,  # mirror half of the samples
        seed: int = 0,
        depths: bool = False,  # with ground-truth depth
        memory_budget: int = 2 << 30,  # bytes of decoded frames
    ) -> None:
        self.scenes, self.framing, self.batch_size = scenes, framing, batch_size
        self.schedule, self.flip, self.seed = schedule, flip, seed
        self.context_range = context_range or (context_views, context_views)
        self.targets = target_views, input_targets
        self.farthest, self.depths = view_spread == "farthest", depths
        self.keys = scenes.keys
        self._order: tuple[int, list[int]] = (-1, [])  # last used epoch and its order of scenes
        with self._needed(self.keys[0]):
            first = scenes.load(self.keys[0])
        self.in_memory = (
            3 * framing.height * framing.width * len(first) * len(scenes) <= memory_budget
        )
        if self.in_memory:
            self._decode_all()

    def _usable(self, scene: Scene) -> bool:
        """Whether a scene can be used; skipped scenes are counted and printed."""
        reason, needed = self.scenes.skip_reason(scene), self.context_range[1] + self.targets[0]
        if reason is None and len(scene) < needed:
            reason = f"{len(scene)} frames, but {needed} are needed"
        if reason is not None:
            self.scenes.skip(scene.key, reason)
        return reason is None

    @contextmanager
    def _needed(self, key: str) -> Iterator[None]:
        """Make a data error in the block say that training stops at this scene, and what to do."""
        try:
            yield
        except (DataError, CameraError) as error:
            raise type(error)(
                f"{error}; training stops at scene {key}: fix it, or remove it from {self.scenes.folder}"
            ) from error

    def _decode(self, scene: Scene, frames: Sequence[int]) -> Example:
        """Decode frames of a scene: images uint8 [n, 3, H, W], fxfycxcy, c2w, and depths if `self.depths`."""
        images, fxfycxcy = scene.decode(frames, self.framing)
        parts = {"images": images, "fxfycxcy": fxfycxcy, "c2w": scene.c2w[list(frames)]}
        if self.depths:
            depths = scene.framed_depths(frames, self.framing)
            if depths is None:
                raise ConfigError(
                    f"scene {scene.key} of {self.scenes.folder} has no ground-truth depth at "
                    f"{self.framing.height}x{self.framing.width}: set depth_weight=0"
                )
            parts["depths"] = depths
        return parts

    def _decode_all(self) -> None:
        keys, decoded = [], []
        for key in progress_bar(self.keys, desc="decoding", unit="scene", leave=False):
            with self._needed(key):
                scene = self.scenes.load(key)
                if self._usable(scene):
                    decoded.append(self._decode(scene, scene.sequence))
                    keys.append(key)
        if not keys:
            raise self._all_skipped()
        self.keys = keys
        self.starts = np.cumsum([0, *(len(parts["images"]) for parts in decoded)]).tolist()
        # the frames of all scenes: images uint8 [F, 3, H, W] etc.
        self.frames = {name: torch.cat([parts[name] for parts in decoded]) for name in decoded[0]}

    def again(self, batch_size: int, seed: int) -> "ViewsDataset":
        """A dataset of the same scenes with another batch size and seed that shares the decoded frames."""
        other = copy.copy(self)
        other.batch_size, other.seed, other._order = batch_size, seed, (-1, [])
        return other

    def keep_on(self, device: torch.device) -> None:
        """Move decoded frames to a GPU and build batches there, if they fit `MEMORY_SHARE` of its memory."""
        if not self.in_memory or self.frames["images"].device == device:
            return
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
        pixels = {name: self.frames[name] for name in ("images", "depths") if name in self.frames}
        if sum(value.nbytes for value in pixels.values()) <= MEMORY_SHARE * free:
            self.frames |= {name: value.to(device) for name, value in pixels.items()}

    def _all_skipped(self) -> EmptyDatasetError:
        return EmptyDatasetError(
            f"{self.scenes.folder}: all {len(self.scenes)} scenes were skipped (see the reasons above)"
        )

    def _scene_number(self, sample: int) -> int:
        """The number of the scene that a sample is drawn from."""
        epoch, k = divmod(sample, len(self.keys))
        if self._order[0] != epoch:
            self._order = epoch, self._shuffle(epoch)
        return self._order[1][k]

    def _shuffle(self, epoch: int) -> list[int]:
        """Scene numbers in the order of an epoch. When decoding on demand, scenes are shuffled within groups
        of four chunks, so that only a few chunks are open at a time.
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
        """Number of context views of the samples of a step."""
        low, high = self.context_range
        return int(np.random.default_rng([self.seed, 2, step]).integers(low, high + 1))

    def _window(self, c2w: Tensor, step: int, sample: int) -> tuple[list[int], bool]:
        """Frame numbers of a sample (contexts first), and whether it is mirrored, from a scene's cameras."""
        rng = np.random.default_rng([self.seed, 1, sample])
        views = self.context_views(step)
        cameras = c2w if self.farthest else None
        context, target = training_window(
            len(c2w), step, rng, self.schedule, views, *self.targets, cameras
        )
        return context + target, self.flip and bool(rng.random() < 0.5)

    def _from_memory(self, step: int, samples: range) -> tuple[Example, list[bool]]:
        """Views [B, V + T, ...] gathered from the decoded frames, and which samples to mirror."""
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
        """Like `_from_memory`, but decodes the frames now. A skipped scene is replaced by the next usable
        scene in the order.
        """
        decoded, flips = [], []
        for sample in samples:
            for tried in range(sample, sample + 2 * len(self.keys)):  # contains a whole epoch
                key = self.keys[self._scene_number(tried)]
                with self._needed(key):
                    scene = self.scenes.load(key)
                if self._usable(scene):
                    break
            else:
                raise self._all_skipped()
            scene = scene.part(scene.sequence)
            frames, flipped = self._window(scene.c2w, step, sample)
            with self._needed(key):
                decoded.append(self._decode(scene, frames))
            flips.append(flipped)
        return {name: torch.stack([parts[name] for parts in decoded]) for name in decoded[0]}, flips

    def batch(self, step: int, rank: int = 0, count: int = 1) -> Example:
        """The part of a step's batch that belongs to process `rank` of `count`: context_images [B, V, 3, H,
        W] etc., see `example`. The samples of a step do not depend on `count`.
        """
        if self.batch_size % count:
            raise ConfigError(
                f"a batch of {self.batch_size} samples cannot be shared by {count} processes: "
                f"choose a multiple of {count}"
            )
        part = self.batch_size // count
        first = step * self.batch_size + rank * part
        gather = self._from_memory if self.in_memory else self._on_demand
        views, flips = gather(step, range(first, first + part))
        views["images"] = views["images"].float() / 255
        if any(flips):
            chosen = torch.tensor(flips).nonzero()[:, 0]
            mirrored = mirror({name: v[chosen.to(v.device)] for name, v in views.items()})
            for name, value in mirrored.items():
                views[name][chosen.to(value.device)] = value
        return _split(views, self.context_views(step))

    def __getitem__(self, item: tuple[int, int, int]) -> Example | IlrmError:
        """The batch of (step, rank, count), or the error that prevents it: raised in a worker process, it
        would arrive with that process's traceback in its message.
        """
        try:
            return self.batch(*item)
        except IlrmError as error:
            return error

    def loader(
        self, steps: range, rank: int = 0, count: int = 1, workers: int = 0
    ) -> Iterator[Example]:
        """The batches of `steps`, in order. If frames are decoded on demand, worker processes prefetch them,
        into pinned memory with CUDA; otherwise no workers are started. Raises what `batch` raises.
        """
        items = [(step, rank, count) for step in steps]
        workers = 0 if self.in_memory else workers
        # a separate generator, so that the global one has the same state after resuming
        generator = torch.Generator().manual_seed(self.seed)
        loaded = DataLoader(
            self,
            batch_size=None,
            sampler=items,
            num_workers=workers,
            generator=generator,
            pin_memory=torch.cuda.is_available() and not self.in_memory,
        )
        for item in loaded:
            if isinstance(item, IlrmError):
                raise item
            yield item
