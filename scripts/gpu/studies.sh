#!/usr/bin/env bash
# B: cells of the studies at `small`, the most valuable first. $1: minutes, $2: processes. The same command resumes.
cd "$(dirname "$0")/../.." && . scripts/gpu/environment.sh
[ -f .gpu/studies.tgz ] && mkdir -p "$ILRM_RUNS" && tar xzf .gpu/studies.tgz -C "$ILRM_RUNS"
$PYTHON -m ablations.side_by_side --scale small --minutes "${1:-9}" --workers "${2:-3}"
status=$?
cat "$ILRM_RUNS/workers.log"
# the inputs of records, small enough to be copied back, and into .gpu/ to resume on a new machine
tar czf "$OUT/studies.tgz" -C "$ILRM_RUNS" --exclude='*.safetensors' --exclude='checkpoint-*' \
    --exclude=claims --exclude=gpu --exclude=benchmarks .
exit $status
