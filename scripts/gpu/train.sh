#!/usr/bin/env bash
# D: the recipe of ilrm-small, longer. Arguments: config fields to replace. The same command resumes from a checkpoint.
cd "$(dirname "$0")/../.." && . scripts/gpu/environment.sh
[ $# -gt 0 ] || set -- steps=9000 batch=64 precision=bf16
$PYTHON -m ilrm.train --recipe ilrm-small "$@" 2>&1 | tee "$OUT/train.log"
status=$?
tar czf "$OUT/train.tgz" -C "$ILRM_RUNS" --exclude='checkpoint-*' --exclude=claims --exclude=gpu .
exit $status
