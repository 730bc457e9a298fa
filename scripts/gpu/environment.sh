# Sourced by the other scripts, from the project's root: paths on the machine with the GPU.
# Without a .gpu/ folder (scripts/gpu/prepare.sh) the environment of `make env` is used.
set -o pipefail
export PYTHONUNBUFFERED=1 ILRM_RUNS=${ILRM_RUNS:-$PWD/runs}
OUT=${OUT:-$ILRM_RUNS/gpu}
mkdir -p "$OUT"
PYTHON=python3
[ -x .venv/bin/python ] && PYTHON=.venv/bin/python
if [ -d .gpu ]; then
    export PYTHONPATH=$PWD:$PWD/.gpu/site TORCH_HOME=$PWD/.gpu/torch_home ILRM_OFFLINE=1
    ILRM_COMMIT=$(cat .gpu/commit)
    export ILRM_COMMIT
fi
nvidia-smi --query-gpu=name,memory.used,driver_version --format=csv,noheader
