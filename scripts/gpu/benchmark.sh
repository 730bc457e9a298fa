#!/usr/bin/env bash
# C: times and memory at the paper's scale. $1: tables, $2: seconds per measurement. Each row is kept as soon as it is measured.
cd "$(dirname "$0")/../.." && . scripts/gpu/environment.sh
$PYTHON -m ilrm.benchmark --scale paper --tables ${1:-1 3 4 8 17} --seconds "${2:-1}" 2>&1 | tee "$OUT/benchmark.log"
status=$?
tar czf "$OUT/benchmarks.tgz" -C "$ILRM_RUNS" benchmarks
exit $status
