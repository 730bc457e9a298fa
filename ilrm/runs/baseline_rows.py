"""The baselines' rows of a data set; for procedural scenes, measured once and stored with the data, until its
index is written again.
"""

import pandas as pd

from ilrm.config import DataConfig
from ilrm.data.batches import dataset_root, held_out_scenes, index_path
from ilrm.evaluation.baselines import VERSION
from ilrm.evaluation.scoring import evaluate_baselines, lpips_missing
from ilrm.runs.store import write_csv
from ilrm.system.tables import read_table


def baseline_rows(data: DataConfig) -> pd.DataFrame:
    """One row per scene, target frame and baseline, as `ilrm.evaluation.scoring.Evaluation.per_view`."""
    if data.root:  # nothing is written to the user's folder
        return evaluate_baselines(held_out_scenes(data))
    lpips = "" if lpips_missing() is None else "-without-lpips"
    path = dataset_root(data) / f"baselines_{VERSION}_{data.context_views}v{lpips}.csv"
    index = index_path(data)
    if not path.exists() or path.stat().st_mtime_ns < index.stat().st_mtime_ns:
        write_csv(path, evaluate_baselines(held_out_scenes(data)))
    return read_table(path)
