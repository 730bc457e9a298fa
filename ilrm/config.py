"""Configurations: frozen dataclasses, validated when made, hashed to name runs."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from ilrm.errors import ConfigError
from ilrm.fields import check_names, check_types
from ilrm.ranges import check_ranges

SCALE_FACTORS = {"F": 1, "H": 2, "Q": 4}  # full, half and quarter of the image resolution

# fields of DataConfig that decide which views are held out, and in which form a model gets them
_HELD_OUT = (
    "root",
    "evaluation_index",
    "image_height",
    "image_width",
    "resize",
    "image_folder",
    "distortion",
    "context_views",
    "camera_scale",
    "procedural_path",
    "procedural_test",
    "procedural_frames",
    "procedural_seed",
)


@dataclass(frozen=True)
class ModelConfig:
    """One iLRM variant. Every ablation of the paper is one field (defaults: Section 4, base model).

    The designs of Figure 2: (a) full attention is `cross_attention="none", initial_tokens="image",
    viewpoint_scale="F"`; (b) `cross_attention="group", viewpoint_scale="F"`; (c) "group" with
    "H"; (d), iLRM, "view" with "H".
    """

    # update layers, one cross and one self block each (Table 6)
    layers: int = 12
    # D, token width
    width: int = 768
    # attention heads; the head size is width / heads
    heads: int = 12
    # p, side of a patch in pixels, for image and viewpoint tokens alike
    patch: int = 8
    # k, queries per viewpoint token; None: 2 if the viewpoints are coarser than the images, else 1 (Table 7)
    uplift: int | None = None
    # viewpoint resolution: full, half or quarter of the images' (Table 18)
    viewpoint_scale: Literal["F", "H", "Q"] = "H"
    # resolution of the image tokens; "H" beside viewpoints at "H": no resolution decoupling (Table 7)
    image_scale: Literal["F", "H", "Q"] = "F"
    # where the images are read (Table 7)
    refinement: Literal["every_layer", "first_layer"] = "every_layer"
    # r: cross-attention on 1/r of the tokens (Figure 4, Table 8)
    minibatch: Literal[1, 2, 4] = 1
    # which 1/r (Figure 4)
    minibatch_pattern: Literal["strided", "block", "random"] = "strided"
    # viewpoint tokens read their own view, all views, or no image tokens (Table 9, Figure 2)
    cross_attention: Literal["view", "group", "none"] = "view"
    # False: cross blocks in place of self blocks (Table 9)
    self_attention: bool = True
    # V^(0), the viewpoint tokens before the first layer (Table 9)
    initial_tokens: Literal["rays", "random", "image"] = "rays"
    # channels of a pixel's ray: o x d, d; or o, o x d, d (the released wide-coverage models)
    rays: Literal["plucker", "origin_plucker"] = "plucker"
    # side of the learned grid of initial_tokens="random", in tokens
    initial_grid: int = 16

    # distance at sigmoid 0 and 1, in normalised scene units, and how it is interpolated between
    near: float = 0.0
    far: float = 500.0
    distance: Literal["linear", "log"] = "linear"
    # Gaussian scale = exp(min(x + scale_bias, scale_max)), in scene units or in viewpoint pixels at its depth
    scale_unit: Literal["world", "footprint"] = "world"
    scale_bias: float = -6.9
    scale_max: float = -1.2
    # opacity = sigmoid(x + opacity_bias)
    opacity_bias: float = -2.0
    # initial weights: N(0, init_std) in all Linear layers; "local": attention starts where rays meet, except
    # with initial_tokens="random", whose tokens have no rays: such a model starts "normal"
    init: Literal["normal", "local"] = "normal"
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        if self.width % self.heads:
            raise ConfigError(f"width={self.width} is not a multiple of heads={self.heads}")
        if self.uplift is None:
            object.__setattr__(
                self, "uplift", 2 if self.viewpoint_factor > self.image_factor else 1
            )
        if self.viewpoint_factor < self.image_factor:
            raise ConfigError(
                f"viewpoint_scale={self.viewpoint_scale} is finer than image_scale="
                f"{self.image_scale}: viewpoint tokens may not be finer than the images they read"
            )
        if self.refinement == "first_layer" and not self.self_attention:
            raise ConfigError(
                "refinement='first_layer' replaces cross blocks by self blocks: "
                "it needs self_attention=True"
            )
        if self.cross_attention == "none":
            if self.initial_tokens != "image":
                raise ConfigError(
                    "cross_attention='none' never reads the images: set initial_tokens='image'"
                )
            if self.minibatch != 1 or not self.self_attention or self.refinement == "first_layer":
                raise ConfigError(
                    "cross_attention='none' has self blocks only: leave minibatch, self_attention "
                    "and refinement at their defaults"
                )
        if self.cross_attention == "group" and self.minibatch != 1:
            raise ConfigError("minibatch subsets are drawn per view: set cross_attention='view'")
        if self.near >= self.far:
            raise ConfigError(f"near={self.near}, far={self.far}: need near < far")
        if self.distance == "log" and self.near <= 0:
            raise ConfigError("distance='log' needs near > 0")

    @property
    def viewpoint_factor(self) -> int:
        """Image pixels per viewpoint pixel, along one side."""
        return SCALE_FACTORS[self.viewpoint_scale]

    @property
    def image_factor(self) -> int:
        """Image pixels per pixel of the images that become image tokens, along one side."""
        return SCALE_FACTORS[self.image_scale]

    @property
    def queries_per_token(self) -> int:
        """k, the resolved uplift factor."""
        assert self.uplift is not None  # resolved in __post_init__
        return self.uplift

    @property
    def head_channels(self) -> int:
        """Channels per Gaussian: 16, or 14 without the xy offset at full viewpoint resolution."""
        return 14 if self.viewpoint_scale == "F" else 16

    @property
    def ray_channels(self) -> int:
        """Channels of a pixel's ray."""
        return 6 if self.rays == "plucker" else 9

    @property
    def image_channels(self) -> int:
        """Channels of an image token's pixel: RGB, then its ray."""
        return 3 + self.ray_channels

    @property
    def block_kinds(self) -> tuple[str, ...]:
        """The blocks in order, "cross" or "self"; two per layer."""
        if self.cross_attention == "none":
            return ("self",) * (2 * self.layers)
        if self.refinement == "first_layer":
            return ("cross",) + ("self",) * (2 * self.layers - 1)
        if not self.self_attention:
            return ("cross",) * (2 * self.layers)
        return ("cross", "self") * self.layers

    @property
    def size_multiple(self) -> int:
        """Image sides must be multiples of this: patch x viewpoint factor (540 -> 544)."""
        return self.patch * self.viewpoint_factor


@dataclass(frozen=True)
class DataConfig:
    """What is trained and evaluated on: scenes in the RE10K chunk format, views drawn from them."""

    # folder of a data set on disk; "": the procedural scenes described below
    root: str = ""
    # path of its evaluation index (JSON); "": root/evaluation_index_{V}v.json
    evaluation_index: str = ""
    # size of the images in pixels, and how stored frames get it
    image_height: int = 256
    image_width: int = 256
    resize: Literal["cover", "crop", "stretch"] = "cover"
    # image folder of captures; "": the one that their cameras name
    image_folder: str = ""
    # whether images of captures are undistorted
    distortion: Literal["undistort", "ignore"] = "undistort"
    # V, input views
    context_views: int = 4
    # V drawn for each training batch from (min, max); None: context_views
    context_range: tuple[int, int] | None = None
    # how input views are spread over their window
    view_spread: Literal["even", "farthest"] = "even"
    # supervised views per sample
    target_views: int = 4
    # input views that are supervised in addition, in each step
    input_targets: int = 0
    # length of the window in frames (min, max) at step 0, and at step gap_steps and after
    gap_start: tuple[int, int] = (25, 45)
    gap_end: tuple[int, int] = (45, 135)
    gap_steps: int = 30_000
    # mirror half of the samples
    flip: bool = True
    # scale rule of the scene's frame (ilrm.cameras.normalization)
    camera_scale: Literal["recentred", "world"] = "recentred"
    # procedural scenes: camera path, scenes for training and held out, frames per scene, seed
    procedural_path: Literal["re10k", "wide", "mixed", "arc", "varied"] = "re10k"
    procedural_train: int = 2_000
    procedural_test: int = 64
    procedural_frames: int = 32
    procedural_seed: int = 0
    # rays per pixel along one side: fewer are drawn faster
    procedural_supersample: int = 4
    # keep the true depth of procedural training scenes, for depth_weight
    procedural_depths: bool = False

    @property
    def held_out_hash(self) -> str:
        """Ten hex digits that name the evaluation data: the other fields change only the training.

        Like a run's hash, it leaves out a field that was added later if it is at its default.
        """
        values = {name: getattr(self, name) for name in _HELD_OUT}
        if self.procedural_supersample != DataConfig.procedural_supersample:
            values["procedural_supersample"] = self.procedural_supersample
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        check_views("context_views", self.context_views)
        if self.context_range and not 2 <= self.context_range[0] <= self.context_range[1]:
            raise ConfigError(
                f"context_range={self.context_range}: give (min, max), min at least 2"
            )
        if self.target_views < 1:
            raise ConfigError(f"target_views={self.target_views}: supervise at least one view")
        fewest = self.context_range[0] if self.context_range else self.context_views
        if not 0 <= self.input_targets <= fewest:
            raise ConfigError(f"input_targets={self.input_targets}: give 0 to {fewest} input views")
        for name in ("gap_start", "gap_end"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name}={(low, high)}: give (min, max), min at most max")


@dataclass(frozen=True)
class TrainConfig:
    """The training recipe (Section 4 and supplementary of the paper; defaults: RE10K ablations)."""

    # updates of the weights
    steps: int = 100_000
    # scenes per step, over all processes
    batch: int = 16
    # parts of a process's scenes that go through the model one after the other, to save memory
    accumulate: int = 1
    # "muon": orthogonalised updates of the blocks' matrices, AdamW on the rest
    optimizer: Literal["adamw", "muon"] = "adamw"
    # peak learning rate after the warm-up (steps), falling to zero by a cosine; matrix_lr: Muon's, None: lr
    lr: float = 2e-4
    matrix_lr: float | None = None
    warmup: int = 2_500
    # on all weights but those of norms
    weight_decay: float = 0.05
    # second term of the loss and its weight lambda (Eq. 5)
    perceptual: Literal["vgg19", "vgg16", "ssim", "none"] = "vgg19"
    perceptual_weight: float = 0.5
    # weight of the depth loss at step 0, falling linearly to 0; not part of the paper's recipe
    depth_weight: float = 0.0
    # gradients are clipped to clip_norm; a step whose norm is above skip_norm or not finite is skipped
    clip_norm: float = 1.0
    skip_norm: float = 5.0
    # "bf16": autocast on CUDA
    precision: Literal["fp32", "bf16"] = "bf16"
    # recompute each block in the backward pass
    checkpointing: bool = True
    # torch.compile the update blocks
    compile: bool = False
    # of the initial weights, and of the order and choice of training views
    seed: int = 0
    # weights to start from: name of a run in the store, folder, file or hub id
    start: str = ""
    # steps between points of the validation curve
    eval_every: int = 1_000
    # minutes between checkpoints
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        if self.warmup > self.steps:
            raise ConfigError(f"warmup={self.warmup}: give 0 to steps={self.steps}")
        if self.batch % self.accumulate:
            raise ConfigError(
                f"accumulate={self.accumulate}: {self.batch} scenes per step cannot be divided into "
                f"{self.accumulate} equal parts"
            )


@dataclass(frozen=True)
class EvaluationConfig:
    """How a trained model is evaluated where that differs from how it was trained."""

    # V at evaluation; None: context_views (Table 5, unseen numbers of views)
    input_views: int | None = None
    # standard deviation of the noise on the inputs' positions, in pixels at the median depth (Table 14)
    camera_noise: float = 0.0
    # decode the tokens of this layer; None: of the last one (Figure 1)
    decoded_layer: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self)
        if self.input_views is not None:
            check_views("input_views", self.input_views)


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run's result depends on; its hash names the run."""

    scale: Literal["smoke", "tiny", "small", "paper"] = "paper"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check_types(self)
        layer = self.evaluation.decoded_layer
        if layer is not None and layer > self.model.layers:
            raise ConfigError(f"decoded_layer={layer}: give 0 to layers={self.model.layers}")
        if self.train.depth_weight and not (self.data.root or self.data.procedural_depths):
            raise ConfigError(
                f"depth_weight={self.train.depth_weight} needs the true depth of the training scenes: set "
                "procedural_depths=true, or depth_weight=0"
            )
        for name in ("image_height", "image_width"):
            size, multiple = getattr(self.data, name), self.model.size_multiple
            if size % multiple or size < multiple:
                raise ConfigError(
                    f"{name}={size} is not a multiple of patch x viewpoint factor = {multiple}: "
                    f"use {max(multiple, round(size / multiple) * multiple)}"
                )

        rows, columns = (
            side // self.model.size_multiple
            for side in (self.data.image_height, self.data.image_width)
        )
        r = self.model.minibatch
        if self.model.minibatch_pattern == "random":
            divided = rows * columns % r == 0
        else:
            divided = (r == 1 or columns % 2 == 0) and (r != 4 or rows % 2 == 0)
        if not divided:
            raise ConfigError(
                f"minibatch={r} cannot divide {rows}x{columns} viewpoint tokens: use image sides that "
                f"are multiples of {2 * self.model.size_multiple}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dict, as stored in a run's `config.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunConfig":
        """Inverse of `to_dict` (JSON lists become tuples). Raises ConfigError on unknown names, and on values
        that are not a configuration.
        """
        try:
            return cls._from_dict(values)
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"not a run configuration ({error})") from error

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> "RunConfig":
        parts = {name: type(part) for name, part in vars(cls()).items() if name != "scale"}
        check_names(values, [f.name for f in dataclasses.fields(cls)], "run config")
        built: dict[str, Any] = {}
        for name, value in values.items():
            if name in parts:
                check_names(value, [f.name for f in dataclasses.fields(parts[name])], name)
                value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
                value = parts[name](**value)
            built[name] = value
        return cls(**built)

    @property
    def hash(self) -> str:
        """Ten hex digits of the SHA-256 of the fields that differ from the defaults.

        A field that is added later, with a default that changes nothing, does not change the names of
        recorded runs.
        """
        defaults = RunConfig().to_dict()
        parts: dict[str, Any] = {"scale": self.scale}
        for part, values in self.to_dict().items():
            if part != "scale":
                parts[part] = {k: v for k, v in values.items() if v != defaults[part][k]}
        if not parts["evaluation"]:
            del parts["evaluation"]  # the name of a run that is evaluated as it was trained
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def training(self) -> "RunConfig":
        """The run that trains this one's model: the same but for the evaluation."""
        return dataclasses.replace(self, evaluation=EvaluationConfig())

    @property
    def evaluation_data(self) -> DataConfig:
        """The data of the held-out evaluation: with its own number of input views if it has one."""
        views = self.evaluation.input_views or self.data.context_views
        return dataclasses.replace(self.data, context_views=views)

    @property
    def name(self) -> str:
        """Folder name of the run, e.g. `tiny-3x96-4HF-1a2b3c4d5e` (layers x width, views, H, F)."""
        m, d = self.model, self.data
        size = f"{m.layers}x{m.width}-{d.context_views}{m.viewpoint_scale}{m.image_scale}"
        return f"{self.scale}-{size}-{self.hash}"


def check_views(name: str, views: int) -> None:
    """Raise ConfigError on fewer than two input views."""
    if views < 2:
        raise ConfigError(f"{name}={views}: iLRM needs at least 2 input views")
