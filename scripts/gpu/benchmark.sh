#!/usr/bin/env bash
# C: times and memory at the paper's scale. $1: tables, $2: seconds a measurement. Rows are kept as they come.
cd "$(dirname "$0")/../.." && . scripts/gpu/environment.sh
$PYTHON -m ilrm.benchmark --scale paper --tables ${1:-1 3 4 8 17} --seconds "${2:-1}" 2>&1 | tee "$OUT/benchmark.log"
status=$?
tar czf "$OUT/benchmarks.tgz" -C "$ILRM_RUNS" benchmarks
exit $status
