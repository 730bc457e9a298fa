"""Attention maps of selected query tokens (Figures 8 and 18), recomputed from the blocks' inputs.

The full matrix of (V N)^2 attention weights is never built. Viewpoint tokens are numbered consecutively over
the views of a scene, row by row: token n of view v has number v N + n.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from ilrm.errors import MissingPartError, ViewsError
from ilrm.model import ILRM, CrossBlock, SelfBlock
from ilrm.views import Views

BORDER = 1  # width, in tokens, of the border of a view in which no queries are chosen


@torch.no_grad()
def self_attention(
    model: ILRM, views: Views, queries: Sequence[int]
) -> Float[Tensor, "layers Q V N"]:
    """Attention from Q viewpoint tokens to all tokens of the scene, in every self-attention layer.

    Weights are averaged over heads and sum to 1 over V and N. Raises ViewsError on more than one scene or an
    invalid query, MissingPartError on a model without self-attention.
    """
    inputs = [x[0] for block, x in _block_inputs(model, views) if isinstance(block, SelfBlock)]
    blocks = [block for block in model.blocks if isinstance(block, SelfBlock)]
    if not blocks:
        raise MissingPartError(
            "self_attention=False: this model has no self-attention to visualise; use another model"
        )
    chosen = _chosen(queries, inputs[0].shape[1], views)
    layers = []
    for block, x in zip(blocks, inputs, strict=True):
        q, k, _ = block.heads_qkv(x)
        layers.append(_weights(q[:, :, chosen], k)[0].mean(0))  # [Q, V * N]
    return rearrange(torch.stack(layers), "l q (v n) -> l q v n", v=views.images.shape[1])


@torch.no_grad()
def cross_attention(
    model: ILRM, views: Views, queries: Sequence[int]
) -> Float[Tensor, "layers Q k M"]:
    """Attention from Q viewpoint tokens to the M image tokens of their own view, in every cross-attention
    layer, for each of the k queries that token uplifting derives from a token.

    Weights are averaged over heads and sum to 1 over M. Raises ViewsError like `self_attention`, and
    MissingPartError on a model whose tokens do not attend to all of their own view in every such layer.
    """
    c = model.config
    if c.cross_attention != "view" or c.minibatch != 1:
        raise MissingPartError(
            f"cross_attention={c.cross_attention}, minibatch={c.minibatch}: cross-attention maps "
            "need cross_attention='view' and minibatch=1"
        )
    layers = []
    for block, inputs in _block_inputs(model, views):
        if not isinstance(block, CrossBlock):
            continue
        x, image_tokens = inputs
        chosen = _chosen(queries, x.shape[0] * x.shape[1], views)
        view = chosen // x.shape[1]
        q = rearrange(block.queries(x), "v h (n k) d -> v n h k d", k=block.uplift)
        q = q.flatten(0, 1)[chosen]  # [Q, H, k, D/H]
        layers.append(_weights(q, block.keys(image_tokens)[view]).mean(1))
    return torch.stack(layers)


def top_tokens(
    attention: Float[Tensor, "*layers V N"], count: int = 3
) -> Int[Tensor, "*layers V count"]:
    """The `count` most attended tokens of each view, as numbers within the view, most attended first."""
    return attention.topk(min(count, attention.shape[-1]), dim=-1).indices


def textured_tokens(image: Float[Tensor, "3 H W"], side: int, count: int = 3) -> list[int]:
    """Select `count` viewpoint tokens of one view that are textured and far apart, as attention queries.

    `side`: pixels per token side (`ModelConfig.size_multiple`). Tokens are chosen greedily by the product of
    texture (standard deviation of the brightness) and distance to the tokens chosen before.
    """
    rows, columns = (length // side for length in image.shape[-2:])
    patches = rearrange(image.mean(0), "(h p) (w q) -> h w (p q)", p=side, q=side)
    texture = patches.std(-1)  # [h, w]
    if min(rows, columns) > 2 * BORDER:
        inner = F.pad(torch.ones(rows - 2 * BORDER, columns - 2 * BORDER), [BORDER] * 4)
        texture = texture * inner.to(texture)
    places = torch.stack(
        torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1
    ).to(texture)  # [h, w, 2]
    taken = [int(texture.argmax())]
    while len(taken) < min(count, rows * columns):
        others = places.flatten(0, 1)[taken]
        distance = torch.cdist(places.flatten(0, 1), others).amin(1).view(rows, columns)
        taken.append(int((texture * distance).argmax()))
    return taken


def _block_inputs(model: ILRM, views: Views) -> list[tuple[torch.nn.Module, tuple[Tensor, ...]]]:
    """Every block with the inputs it receives in a forward pass, in order."""
    if views.images.shape[0] != 1:
        raise ViewsError(
            f"{views.images.shape[0]} scenes: give a batch of one scene to compute attention maps"
        )
    recorded: list[tuple[torch.nn.Module, tuple[Tensor, ...]]] = []
    hooks = [
        block.register_forward_pre_hook(lambda module, inputs: recorded.append((module, inputs)))
        for block in model.blocks
    ]
    was_training = model.training
    try:
        model.eval()
        model.encode(views)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return recorded


def _chosen(queries: Sequence[int], count: int, views: Views) -> Tensor:
    wrong = [query for query in queries if not 0 <= query < count]
    if wrong or not len(queries):
        raise ViewsError(
            f"queries {list(queries)}: give numbers of viewpoint tokens, 0 to {count - 1}"
        )
    return torch.tensor(list(queries), device=views.images.device)


def _weights(q: Float[Tensor, "*b Q d"], k: Float[Tensor, "*b K d"]) -> Float[Tensor, "*b Q K"]:
    return torch.softmax((q.float() @ k.float().mT) / math.sqrt(q.shape[-1]), -1)
