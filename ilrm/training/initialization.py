"""The local initialisation: weights with which attention looks in the right places from the first step.

The paper draws all weights from N(0, 0.02) and trains for days; in runs of minutes, attention would spend
most of the run finding its targets. Here the same architecture starts from weights with which attention
already finds them. Rays and colours occupy orthogonal directions of a token. In cross-attention, queries and
keys compare rays, so that a token reads the patches under it, and the first cross block brings their colours
into the token. In self-attention, head h compares the points that two tokens' rays reach at distance z_h: a
plane sweep, one plane per head. All other output weights start at zero, so a model of any depth starts as the
same function, and depths can be compared with one recipe. All weights are trained from there.

Letters: D width, H heads, p patch, f image tokens per viewpoint token along one side, k uplift factor.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ilrm.config import ModelConfig
from ilrm.gaussians import distance_at
from ilrm.model import ILRM, CrossBlock, SelfBlock

RAY_CHANNELS = 6  # o x d and d, the last channels; an origin before them is not used
CROSS_SHARPNESS = 300.0  # logit at angle 0; at angle t it is cos(t) times as much
SELF_SHARPNESS = 60.0  # the same in self-attention, where tokens of other views are further apart
SELF_STD = 0.1  # standard deviation of the value weights of self-attention
RAY_GAIN = 2.0  # scale of the rays relative to the colours in a token


@torch.no_grad()
def local_start(model: ILRM) -> None:
    """Overwrite tokenisers, queries, keys, first values and outputs by the local initialisation; keep the
    rest.

    Random initial tokens hold no rays, so a model with them is left unchanged.
    """
    c = model.config
    if c.initial_tokens == "random":
        return
    f = c.viewpoint_factor // c.image_factor
    generator = torch.Generator().manual_seed(0)
    rgb_channels, ray_channels = 3 * c.patch**2, RAY_CHANNELS * f * f
    basis = _directions(c.width, ray_channels + rgb_channels, generator)
    basis = basis - basis.mean(0)  # LayerNorm removes the mean
    rays, colors = basis.split([ray_channels, rgb_channels], 1)  # directions of a viewpoint token

    _set_viewpoint_tokenizer(model, rays, colors, f)
    cross = [block for block in model.blocks if isinstance(block, CrossBlock)]
    if cross:
        parts = [RAY_CHANNELS, rgb_channels]
        image_rays, rgb = basis[:, : sum(parts)].split(parts, 1)
        _set_image_tokenizer(model, image_rays, rgb)
        for reader in cross:
            _set_cross_attention(reader, rays, image_rays, f, generator)
    for block in model.blocks:
        assert isinstance(block, CrossBlock | SelfBlock)
        block.proj.weight.zero_()
        block.mlp.fc2.weight.zero_()
    for reader in cross[: c.minibatch]:
        _set_values(reader, rgb, colors, f, c)
    for block in model.blocks:
        if isinstance(block, SelfBlock):
            _set_self_attention(block, rays, c, generator)


def _directions(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Unit columns [size, count], orthogonal as long as they fit (count <= size), else random."""
    start = torch.randn(size, count, generator=generator)
    return torch.linalg.qr(start).Q if count <= size else F.normalize(start, dim=0)


def _set_viewpoint_tokenizer(model: ILRM, rays: Tensor, colors: Tensor, f: int) -> None:
    """Let tokens hold the mean rays of their f x f parts, which are the rays of the image patches there.

    Initial tokens made from images also hold their RGB values, in the directions that cross-attention writes
    to.
    """
    p = model.config.patch
    share = _overlap(p, f).sum(-1) / p  # [part, viewpoint pixel], along one side
    one = torch.eye(RAY_CHANNELS)
    means = torch.einsum("ir,jc,nm->ijnrcm", share, share, one)  # part, channel, place in the patch
    weight = RAY_GAIN * rays @ means.reshape(rays.shape[1], -1)  # [D, p p 6]
    target = model.viewpoint_tokenizer.linear.weight
    by_pixel = target.view(len(target), p**2, -1)
    by_pixel[..., -RAY_CHANNELS:] += weight.view(-1, p**2, RAY_CHANNELS)
    if model.config.initial_tokens == "image":
        by_pixel[..., :3] = rearrange(colors, "d (n c) -> d n c", c=3)


def _overlap(p: int, f: int) -> Tensor:
    """[f, p, p], along one side of a token: 1 where row c of part (patch) a lies in viewpoint pixel b."""
    rows = torch.arange(f * p).view(f, 1, p)
    return (rows // f == torch.arange(p)[:, None]).float()


def _set_image_tokenizer(model: ILRM, image_rays: Tensor, rgb: Tensor) -> None:
    """Let tokens hold the patch's mean ray and all its RGB values, in orthogonal directions."""
    weight, p = model.image_tokenizer.linear.weight, model.config.patch
    by_pixel = weight.view(len(weight), p**2, -1)
    by_pixel[..., :3] = rearrange(rgb, "d (n c) -> d n c", c=3)
    by_pixel[..., -RAY_CHANNELS:] = RAY_GAIN * image_rays[:, None] / p**2


def _set_cross_attention(
    block: CrossBlock, rays: Tensor, image_rays: Tensor, f: int, generator: torch.Generator
) -> None:
    """Let query (head, j) hold the mean ray of one of the f x f parts, and keys the rays of the patches."""
    heads, k, width = block.heads, block.uplift, len(rays)
    size = width // heads
    q, key = block.q.weight.view(heads, size, k, width), block.k.weight.view(heads, size, width)
    for head in range(heads):
        lift = _directions(size, RAY_CHANNELS, generator)
        key[head] = lift @ image_rays.T
        for j in range(k):
            part = (head * k + j) % (f * f)
            q[head, :, j] = lift @ rays[:, RAY_CHANNELS * part : RAY_CHANNELS * (part + 1)].T
    _set_sharpness(block, CROSS_SHARPNESS, size)


def _set_sharpness(block: CrossBlock | SelfBlock, sharpness: float, size: int) -> None:
    """Set the gains of the two RMSNorms so that equal queries and keys have the logit `sharpness`."""
    gain = math.sqrt(sharpness / math.sqrt(size))
    block.q_norm.weight.fill_(gain)
    block.k_norm.weight.fill_(gain)


def _set_values(
    block: CrossBlock, rgb: Tensor, colors: Tensor, f: int, config: ModelConfig
) -> None:
    """Set the values to a patch's RGB, at viewpoint resolution if that divides it, and let the output write
    each part's colours to their place in the token.
    """
    heads, k, width = block.heads, block.uplift, config.width
    size, p = width // heads, config.patch
    if p % f == 0:  # a viewpoint pixel lies in one patch: its colour is a value
        fine = p // f
        pooled = rearrange(rgb, "d (i a j b c) -> d a b i j c", i=fine, a=f, j=fine, b=f)
        pooled = pooled.sum((1, 2)).flatten(1)  # [D, n]
        places = rearrange(colors, "d (a i b j c) -> d (a b) (i j c)", a=f, i=fine, b=f, j=fine)
    else:  # it may lie in several patches, so the values are their pixels
        pooled, own = rgb, _overlap(p, f)
        by_pixel = rearrange(colors, "d (i j c) -> d i j c", i=p, j=p)
        places = torch.einsum("dijc,air,bjs->dabrsc", by_pixel, own, own)
        places = rearrange(places, "d a b r s c -> d (a b) (r s c)")  # [D, f f, n]
    v = block.v.weight.view(heads, size, width)
    proj = block.proj.weight.view(width, heads, size, k)
    values = pooled.shape[1]
    carriers = math.ceil(values / size)  # number of heads needed for the values of one part
    rounds = max(1, heads * k // (f * f * carriers))  # how often each part is read
    for head in range(heads):
        low = (head * k // (f * f)) % carriers * size
        high = min(low + size, values)
        v[head, : high - low] = pooled[:, low:high].T
        for j in range(k):
            part = (head * k + j) % (f * f)
            proj[:, head, : high - low, j] += places[:, part, low:high] / rounds


def _set_self_attention(
    block: SelfBlock, rays: Tensor, config: ModelConfig, generator: torch.Generator
) -> None:
    """Set queries and keys of head h to the direction of the point o + z_h d, seen from the mean camera.

    A token holds d and the moment o x d. If rays run roughly along the mean view axis e, then, except for its
    component along e, the origin is o = e x (o x d), which is linear in the token.
    """
    width, size = config.width, config.width // config.heads
    # mean over the parts, [D, 3] each
    moment, direction = rays.view(width, -1, 2, 3).mean(1).unbind(1)
    axis_cross = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # e x, e = z
    weight = block.qkv.weight.view(3, config.heads, size, width)
    for head in range(config.heads):
        fraction = torch.tensor((head + 1) / (config.heads + 1))
        point = axis_cross @ moment.T + distance_at(fraction, config) * direction.T  # [3, D]
        weight[:2, head] = _directions(size, 3, generator) @ point
    torch.nn.init.normal_(weight[2], std=SELF_STD, generator=generator)
    _set_sharpness(block, SELF_SHARPNESS, size)
