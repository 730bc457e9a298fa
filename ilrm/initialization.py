"""The local start: weights with which cross-attention reads a token's own patch from the first step.

The paper starts all weights from N(0, 0.02) and trains for days; at the scale of minutes most of a run
would go into cross-attention finding its own patch. Here the same architecture starts from weights that
already do so. Rays and colours lie in orthogonal directions of a token; queries and keys compare
ray directions; the first cross block brings the colours under each viewpoint pixel into the token.
Everything is trained from there on.

Letters: D width, p patch, f image tokens a viewpoint token along one side, k uplift factor.
"""

import math

import torch
from einops import rearrange
from torch import Tensor

from ilrm.config import ModelConfig
from ilrm.model import ILRM, CrossBlock

SHARPNESS = (
    300.0  # logit of a query on its own patch; that of a patch at angle t is cos(t) times it
)
RAY_GAIN = 2.0  # of the rays against the colours in a token


@torch.no_grad()
def local_start(model: ILRM) -> None:
    """Overwrite tokenisers, cross blocks and head by the local start; the rest keeps its values.

    For initial tokens that hold no rays (`initial_tokens="random"`), and for designs without cross
    blocks, there is nothing that could start local and the model is left as it is.
    """
    c = model.config
    if c.cross_attention == "none" or c.initial_tokens == "random":
        return
    f = c.viewpoint_factor // c.image_factor
    fine = c.patch // f  # viewpoint pixels under an image patch, along one side
    generator = torch.Generator().manual_seed(0)
    basis = _orthonormal(
        c.width, generator
    )  # [D, D - 1], each column orthogonal to the ones vector
    rays, rest = basis[:, : 6 * f * f], basis[:, 6 * f * f :]
    colors = rest[:, : 3 * c.patch**2]  # where a viewpoint token keeps its pixels' colours
    image_rays, image_rgb = basis[:, :6], basis[:, 6 : 6 + 3 * c.patch**2]

    _set_tokenizers(model, rays, image_rays, image_rgb, f)
    cross = [block for block in model.blocks if isinstance(block, CrossBlock)]
    for block in cross:
        _set_queries_and_keys(block, rays, image_rays, f, generator)
    for block in cross[: c.minibatch]:
        _set_values(block, image_rgb, colors, f, fine, c)


def _orthonormal(width: int, generator: torch.Generator) -> Tensor:
    """Random orthonormal columns [D, D - 1] orthogonal to the ones vector, which LayerNorm removes."""
    start = torch.randn(width, width, generator=generator)
    start[:, 0] = 1.0
    return torch.linalg.qr(start).Q[:, 1:]


def _set_tokenizers(
    model: ILRM, rays: Tensor, image_rays: Tensor, image_rgb: Tensor, f: int
) -> None:
    """Viewpoint tokens: mean rays of the f x f parts. Image tokens: mean ray, and the RGB values."""
    c = model.config
    p, fine = c.patch, c.patch // f
    part = torch.zeros(f * f, 6, p, p, 6)  # part, channel, row, column, channel of the patch
    for index in range(f * f):
        i, j = divmod(index, f)
        rows, columns = slice(i * fine, (i + 1) * fine), slice(j * fine, (j + 1) * fine)
        for channel in range(6):
            part[index, channel, rows, columns, channel] = 1 / fine**2
    viewpoint = RAY_GAIN * rays @ part.reshape(6 * f * f, -1)  # [D, p p 6]
    if c.initial_tokens == "image":
        viewpoint = rearrange(viewpoint, "d (p q c) -> d p q c", p=p, q=p)
        zeros = torch.zeros(c.width, p, p, 3)
        viewpoint = torch.cat([zeros, viewpoint], -1).flatten(1)
    model.viewpoint_tokenizer.linear.weight.add_(viewpoint)

    image = torch.zeros(c.width, p, p, 9)
    image[..., 3:] = RAY_GAIN * image_rays[:, None, None, :] / p**2
    rgb = image_rgb.shape[1] // (p * p * 3) and rearrange(
        image_rgb, "d (p q c) -> d p q c", p=p, q=p
    )
    if torch.is_tensor(rgb):
        image[..., :3] = rgb
    else:  # a token narrower than its patch: a random projection of the RGB values
        image[..., :3] = model.image_tokenizer.linear.weight.view(c.width, p, p, 9)[..., :3] * 5
    model.image_tokenizer.linear.weight.copy_(image.flatten(1))


def _set_queries_and_keys(
    block: CrossBlock, rays: Tensor, image_rays: Tensor, f: int, generator: torch.Generator
) -> None:
    """Query (head, j) looks along the mean ray of one of the f x f parts; keys are the patches' rays."""
    width, heads, k = block.norm.weight.numel(), block.heads, block.uplift
    size = width // heads
    q = block.q.weight.view(heads, size, k, width)
    key = block.k.weight.view(heads, size, width)
    for head in range(heads):
        lift = torch.linalg.qr(torch.randn(size, 6, generator=generator)).Q  # [d, 6]
        key[head] = lift @ image_rays.T
        for j in range(k):
            part = (head * k + j) % (f * f)
            q[head, :, j] = lift @ rays[:, 6 * part : 6 * part + 6].T
    block.q_norm.weight.fill_((SHARPNESS / math.sqrt(size)) ** 0.5)
    block.k_norm.weight.fill_((SHARPNESS / math.sqrt(size)) ** 0.5)


def _set_values(
    block: CrossBlock, image_rgb: Tensor, colors: Tensor, f: int, fine: int, config: ModelConfig
) -> None:
    """Values: the patch's RGB at viewpoint resolution; output: each part's colours to its own place."""
    width, heads, k, p = config.width, block.heads, block.uplift, config.patch
    size, per_part = width // heads, 3 * fine**2
    if colors.shape[1] < 3 * p * p or image_rgb.shape[1] < 3 * p * p:
        return
    pooled = rearrange(image_rgb, "d (i f j g c) -> d f g i j c", i=fine, f=f, j=fine, g=f, c=3)
    pooled = pooled.mean((1, 2)).flatten(
        1
    )  # [D, per_part], what a patch says of each viewpoint pixel
    places = rearrange(colors, "d (a i b j c) -> d (a b) (i j c)", a=f, i=fine, b=f, j=fine, c=3)
    v = block.v.weight.view(heads, size, width)
    proj = block.proj.weight.view(width, heads, size, k)
    blocks = math.ceil(per_part / size)  # heads that it takes to carry one part
    rounds = max(1, heads * k // (f * f * blocks))  # how often each part is read
    for head in range(heads):
        chunk = (head * k // (f * f)) % blocks
        low, high = chunk * size, min((chunk + 1) * size, per_part)
        v[head, : high - low] = pooled[:, low:high].T * f * f
        for j in range(k):
            part = (head * k + j) % (f * f)
            proj[:, head, : high - low, j] += places[:, part, low:high] / rounds
