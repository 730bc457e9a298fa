#!/usr/bin/env bash
# Run on a machine with a network: makes .gpu/, to be copied with the project to a machine that has a GPU, torch
# and nvcc but no network. gsplat compiles its kernels there.
set -euo pipefail
cd "$(dirname "$0")/../.."
rm -rf .gpu
mkdir .gpu
.venv/bin/python -m pip install -q --no-deps --no-compile --target .gpu/site \
    gsplat==1.5.3 lpips==0.1.4 fvcore==0.1.5.post20221221 iopath yacs termcolor jaxtyping wadler-lindig
rm -rf .gpu/site/gsplat/cuda/csrc/third_party/glm/{doc,test,util,cmake}   # not needed to compile
git describe --always --abbrev=12 --dirty=+ --exclude='*' > .gpu/commit
# LPIPS's VGG16 where torch.hub looks for it, in half precision to halve its size
.venv/bin/python - <<'P'
from pathlib import Path

import torch

from ilrm.perceptual import HUB_FILES, trunk_weights

layers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
state = {}
for layer, (weight, bias) in zip(layers, trunk_weights("vgg16"), strict=True):
    state[f"features.{layer}.weight"] = weight.half()
    state[f"features.{layer}.bias"] = bias.half()
folder = Path(".gpu/torch_home/hub/checkpoints")
folder.mkdir(parents=True)
torch.save(state, folder / HUB_FILES["vgg16"])
P
du -sh .gpu
echo "tracked files: $(git ls-files -z | xargs -0 du -cb | tail -n 1 | cut -f1) bytes"
