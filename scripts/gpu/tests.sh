#!/usr/bin/env bash
# A: does everything run, and what does a training step cost? Draws the scenes of `small` meanwhile.
cd "$(dirname "$0")/../.." && . scripts/gpu/environment.sh
$PYTHON -c "
from ilrm.data.batches import dataset_root
from ilrm.presets import run_config
print(dataset_root(run_config('small').data))" > "$OUT/scenes.log" 2>&1 &
scenes=$!
time $PYTHON -c "from gsplat.cuda._backend import _C; assert _C is not None"   # compiles at first use
$PYTHON -m pytest -q -m gpu -p no:cacheprovider 2>&1 | tee "$OUT/tests.log"
wait $scenes || cat "$OUT/scenes.log"
for precision in bf16 fp32; do
    $PYTHON -m ilrm.train --scale small steps=200 precision=$precision 2>&1 | tee "$OUT/small-$precision.log"
done
