# The environment of `make env` with the project in it; runs are kept in the volume /runs.
#
#   docker build -t ilrm .
#   docker run --rm -v "$PWD/runs:/runs" ilrm papermill notebooks/ablation.ipynb -p layers 6
#
# With a GPU (the CUDA toolkit is needed, as gsplat compiles its kernels at their first use):
#
#   docker build -t ilrm:cuda --build-arg BASE=nvidia/cuda:12.8.1-devel-ubuntu24.04 .
#   docker run --rm --gpus all -v "$PWD/runs:/runs" ilrm:cuda ilrm benchmark
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ git make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /ilrm
# the environment's inputs are copied first, so that a change of the code alone does not rebuild it
COPY Makefile pyproject.toml requirements.lock requirements-data.txt setup.py README.md LICENSE ./
COPY ilrm/__init__.py ilrm/__init__.py
COPY ablations/__init__.py ablations/__init__.py
COPY reports/__init__.py reports/__init__.py
RUN make env
COPY . .
ENV PATH=/ilrm/.venv/bin:$PATH ILRM_RUNS=/runs OMP_WAIT_POLICY=PASSIVE
VOLUME /runs
CMD ["ilrm", "--help"]
