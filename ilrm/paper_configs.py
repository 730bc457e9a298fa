"""The configurations and image sizes for which the paper reports costs, at any scale."""

from dataclasses import dataclass, field, replace
from typing import Any

from ilrm.config import ModelConfig
from ilrm.presets import run_config

PAPER_SIDE = 256  # pixels: image size relative to which a preset's image size scales
FULL_ATTENTION: dict[str, Any] = {
    "cross_attention": "none",
    "initial_tokens": "image",
    "viewpoint_scale": "F",
}


@dataclass(frozen=True)
class Case:
    """A model and its input size."""

    tables: tuple[str, ...]  # tables of the paper
    views: int
    height: int  # pixels
    width: int
    fields: dict[str, Any] = field(default_factory=dict)  # changes to the paper's ModelConfig
    batch: int = 1  # scenes per training step
    scale: str = "paper"

    @property
    def config(self) -> ModelConfig:
        return run_config(self.scale, **self.fields).model

    @property
    def size(self) -> tuple[int, int, int]:
        """(views, height, width), the size arguments of the functions in `ilrm.cost`."""
        return self.views, self.height, self.width

    @property
    def name(self) -> str:
        """Name such as "(8,H,F) 256x256, minibatch=4"."""
        c = self.config
        full = c.cross_attention == "none"
        design = "full attention" if full else f"{c.viewpoint_scale},{c.image_scale}"
        named = {"viewpoint_scale", "image_scale", *(FULL_ATTENTION if full else ())}
        rest = [f"{name}={value}" for name, value in self.fields.items() if name not in named]
        return ", ".join([f"({self.views},{design}) {self.height}x{self.width}", *rest])

    def at(self, scale: str) -> "Case":
        """The same case at another scale, with its image size scaled like the preset's relative to 256."""
        run = run_config(scale, **self.fields)
        multiple = 2 * run.model.size_multiple  # so that mini-batches divide the tokens
        share = run.data.image_height / PAPER_SIDE
        height, width = (
            max(multiple, round(side * share / multiple) * multiple)
            for side in (self.height, self.width)
        )
        batch = self.batch if scale == "paper" or self.batch == 1 else run.train.batch
        return replace(self, scale=scale, height=height, width=width, batch=batch)

    def baseline(self) -> "Case":
        """Full attention over all image tokens, one Gaussian per pixel (Figure 2 (a)), at the same size."""
        kept = {k: v for k, v in self.fields.items() if k in ("layers", "width", "heads", "patch")}
        return replace(self, fields={**kept, **FULL_ATTENTION})


CASES: tuple[Case, ...] = (
    Case(("1",), 2, 256, 256, {"viewpoint_scale": "F"}),
    Case(("1", "6", "17", "18"), 4, 256, 256),
    Case(("1",), 4, 256, 256, {"minibatch": 4}),
    Case(("1", "8", "18"), 8, 256, 256, batch=16),
    Case(("8",), 8, 256, 256, {"minibatch": 2}, batch=16),
    Case(("1", "8"), 8, 256, 256, {"minibatch": 4}, batch=16),
    Case(("18",), 4, 256, 256, {"viewpoint_scale": "Q"}),
    Case(("18",), 8, 256, 256, {"viewpoint_scale": "Q"}),
    Case(("3",), 6, 256, 448),
    Case(("3",), 11, 256, 448),
    Case(("3",), 24, 256, 448),
    Case(("4",), 12, 512, 960),
    Case(("5", "10", "15"), 16, 544, 960),
    Case(("5", "10", "13", "15"), 32, 544, 960),
    Case(("5", "10"), 40, 544, 960),
    Case(("5", "10"), 48, 544, 960),
    Case(("15",), 64, 544, 960),
    Case(("15",), 96, 544, 960),
    Case(("15",), 128, 544, 960),
    Case(("15",), 256, 544, 960),
    Case(("6",), 4, 256, 256, {"layers": 9}),
    Case(("6",), 4, 256, 256, {"layers": 6}),
    Case(("6",), 4, 256, 256, {"layers": 3}),
    Case(("7",), 4, 256, 256, {"refinement": "first_layer"}),
    Case(("7",), 4, 256, 256, {"image_scale": "H"}),
    Case(("7",), 4, 256, 256, {"uplift": 1}),
    Case(("9",), 4, 256, 256, {"self_attention": False}),
    Case(("9",), 4, 256, 256, {"cross_attention": "group"}),
    Case(("9",), 4, 256, 256, {"initial_tokens": "random"}),
    Case(("9",), 4, 256, 256, {"initial_tokens": "image"}),
)

TABLES = tuple(sorted({table for case in CASES for table in case.tables}, key=int))
TIMED = ("1", "3", "4", "5", "8", "15", "17")  # tables that report times or memory


def cases(tables: tuple[str, ...] = TIMED, scale: str = "paper") -> list[Case]:
    """The cases of the given tables at a scale, without those that rounding makes identical."""
    chosen = [case.at(scale) for case in CASES if set(case.tables) & set(tables)]
    return list({(case.size, case.config): case for case in chosen}.values())
