"""Why more views than in training cost quality: `python -m reports.unseen_views` measures and records it.

It takes the trained models of the study `unseen_views` from the run store. Their held-out scenes are rendered
from the Gaussians of the views that are also there with the trained number, and from those of all views.
"""

import argparse
import sys
from collections.abc import Iterator

import pandas as pd

from ablations.arguments import add_scale
from ablations.study import Cell, studies
from ilrm.config import DataConfig
from ilrm.data.batches import held_out_scenes
from ilrm.errors import RunError
from ilrm.evaluation.unseen_views import ALL, SOME, THINNED, psnr_by_gaussians
from ilrm.runs.records import UNSEEN_VIEWS, check_recordable
from ilrm.runs.store import Run, find_run, write_csv
from ilrm.system.cli import Command
from ilrm.system.paths import RUNS
from ilrm.system.progress import progress_bar
from ilrm.system.tables import read_table
from reports.effects import effect_of

STUDY = "unseen_views"
TRAINED, CONTROL = "trained number", "trained number, thinned"  # the other columns have more views

COLUMNS = (TRAINED, ALL, SOME, THINNED, CONTROL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scale."""
    add_scale(parser)


def perform(options: argparse.Namespace) -> int:
    """Measure every trained model with every larger number of views, and record the rows."""
    check_recordable()
    rows = []
    for cell, run in _trained(options.scale):
        for more in _more_views(options.scale, cell.seed):
            measured = measure(run, more)
            rows.append(measured.assign(views=more.context_views, seed=cell.seed))
    path, table = UNSEEN_VIEWS / f"{options.scale}.csv", pd.concat(rows)
    if path.exists():  # seeds that other machines have measured
        old = read_table(path, numbers=COLUMNS)
        table = pd.concat([old[~old.seed.isin(table.seed)], table])
    write_csv(path, table.sort_values(["views", "seed", "scene"]))
    print(f"{table.seed.nunique()} seeds: {path}")
    return 0


def _trained(scale: str) -> Iterator[tuple[Cell, Run]]:
    study = studies()[STUDY]
    cells = [c for c in study.cells(scale) if c.variant == study.reference.name]
    found = [(cell, run) for cell in cells if (run := find_run(cell.config, RUNS)) is not None]
    if not found:
        raise RunError(
            f"{RUNS} has no trained model of this study: run `python -m ablations run {STUDY} "
            f"--scale {scale}` first"
        )
    yield from found


def _more_views(scale: str, seed: int) -> list[DataConfig]:
    study = studies()[STUDY]
    cells = study.cells(scale, [seed])
    return [c.config.evaluation_data for c in cells if c.variant != study.reference.name]


def measure(run: Run, more: DataConfig) -> pd.DataFrame:
    """One row per held-out scene: PSNR with the trained number of views, as predicted and thinned as for more
    views, and with more views.
    """
    model = run.model()
    fewer, scenes = held_out_scenes(run.config.data), held_out_scenes(more)
    rows = []
    for scene in progress_bar(scenes, total=len(scenes.keys), unit="scene", desc="scenes"):
        batch, stored = fewer.load(scene.key).batch, scenes.stored.load(scene.key)
        frames = scenes.selection.frames(stored)[0]
        chosen = [frames.index(frame) for frame in fewer.selection.frames(stored)[0]]
        share = len(chosen) / len(frames)
        trained = psnr_by_gaussians(model, batch, range(len(chosen)), share)
        with_more = psnr_by_gaussians(model, scene.batch, chosen, share)
        row = {"scene": scene.key, TRAINED: trained[ALL], CONTROL: trained[THINNED]}
        rows.append(row | with_more)
    return pd.DataFrame(rows)


def unseen_views_table(scale: str) -> pd.DataFrame | None:
    """One row per number of views: differences from the trained number, over seeds and scenes, in dB."""
    path = UNSEEN_VIEWS / f"{scale}.csv"
    if not path.exists():
        return None
    rows = []
    table = read_table(path, numbers=COLUMNS)
    for views, part in table.groupby("views"):
        row = {"views": str(views)}
        for name in COLUMNS[1:]:
            difference = part.assign(value=part[name] - part[TRAINED])
            crossed = difference.pivot(index="seed", columns="scene", values="value").to_numpy()
            effect = effect_of(crossed)
            row[f"{name} (dB)"] = effect.text(2)
        rows.append(row | {"seeds x scenes": f"{effect.seeds} x {effect.scenes}"})
    return pd.DataFrame(rows)


main = Command("python -m reports.unseen_views", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
