"""The local start: attention begins at a token's own patch, and colours arrive in the token."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from ilrm.cameras import Cameras
from ilrm.config import ModelConfig
from ilrm.model import ILRM, CrossBlock
from ilrm.training.initialization import local_start
from ilrm.views import Views
from tests.helpers import some_cameras
from tests.test_model import VARIANTS, some_views


def first_block(**fields):
    torch.manual_seed(0)
    model = ILRM(ModelConfig(**{"layers": 2, "width": 96, "heads": 6, "patch": 4, **fields}))
    local_start(model)
    block = model.blocks[0]
    assert isinstance(block, CrossBlock)
    return model, block


@pytest.mark.parametrize(("scale", "f", "patch"), [("H", 2, 4), ("F", 1, 4), ("H", 2, 3)])
def test_queries_attend_to_the_patches_under_their_token(scale, f, patch):
    model, block = first_block(viewpoint_scale=scale, patch=patch)
    views = some_views(batch=1, views=2, height=8 * patch, width=8 * patch)
    x = model.initial_viewpoint_tokens(views).flatten(0, 1)
    s = model.image_tokens(views).flatten(0, 1)
    q, k = block.queries(x), block.keys(s)
    attention = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).mean(1)  # [V, N k, M], mean over heads
    attention = rearrange(attention, "v (n k) m -> v n k m", k=block.uplift).mean(2)
    side = 8 // f
    own = torch.zeros(side * side, 64)
    for n in range(side * side):
        row, column = divmod(n, side)
        for i in range(f):
            own[n, [(row * f + i) * 8 + column * f + j for j in range(f)]] = 1
    mass = (attention * own).sum(-1).mean()
    assert mass > 0.6  # f * f of 64 patches: chance is 0.06 at most


@pytest.mark.parametrize("patch", [4, 3])
def test_colours_of_the_viewpoint_pixels_can_be_read_from_the_token_at_once(patch):
    """A linear readout from 3/4 of the tokens explains the colours of the others."""
    model, block = first_block(patch=patch)
    side = 8 * patch
    views = some_views(batch=8, height=side, width=side)
    smooth = F.avg_pool2d(F.pad(views.images.flatten(0, 1), (2, 2, 2, 2), mode="reflect"), 5, 1)
    views = type(views)(smooth.view_as(views.images), some_cameras(8, height=side, width=side))
    x = model.initial_viewpoint_tokens(views).flatten(0, 1)
    s = model.image_tokens(views).flatten(0, 1)
    out = F.scaled_dot_product_attention(
        block.queries(x),
        block.keys(s),
        rearrange(block.v(s), "b m (h d) -> b h m d", h=block.heads),
    )
    tokens = (x + block.proj(rearrange(out, "b h (n k) d -> b n (h d k)", k=2))).flatten(0, 1)
    pixels = rearrange(
        F.avg_pool2d(smooth, 2), "b c (h p) (w q) -> (b h w) (p q c)", p=patch, q=patch
    )
    tokens = torch.cat([tokens, torch.ones(len(tokens), 1)], 1).detach()
    part = len(tokens) * 3 // 4
    readout = torch.linalg.lstsq(tokens[:part], pixels[:part]).solution
    residual = (tokens[part:] @ readout - pixels[part:]).square().mean()
    assert residual < 0.35 * pixels[part:].var()


def test_heads_of_self_attention_sweep_planes():
    """The token that sees the same point of a fronto-parallel plane is attended to most by its head."""
    fields = {"near": 1.0, "far": 16.0, "distance": "log", "heads": 3, "layers": 1, "minibatch": 1}
    model, _ = first_block(**fields)
    block = model.blocks[1]
    c2w = torch.eye(4).repeat(1, 2, 1, 1)
    c2w[0, :, 0, 3] = torch.tensor([-1.0, 1.0])  # two cameras side by side, axes parallel
    fxfycxcy = torch.tensor([32.0, 32, 32, 32]).expand(1, 2, 4)
    cameras = Cameras.from_fxfycxcy(fxfycxcy, c2w, 64, 64)
    tokens = model.initial_viewpoint_tokens(Views(torch.zeros(1, 2, 3, 64, 64), cameras))
    q, k, _ = block.heads_qkv(tokens.flatten(1, 2))  # 2 views of 8 x 8 tokens, 8 pixels each
    scores = (q @ k.mT)[0, :, :64, 64:].view(3, 8, 8, 8, 8)
    for head, distance in enumerate((2.0, 4.0, 8.0)):
        shift = 32.0 * 2.0 / distance / 8.0  # disparity in tokens
        found = scores[head, 4, 6].flatten().argmax().item()
        assert found // 8 == 4
        assert abs(6 - found % 8 - min(shift, 6)) <= 1


def test_every_depth_starts_as_the_same_function():
    views = some_views(batch=1, views=2, height=32, width=32)
    shallow, deep = (first_block(layers=layers)[0] for layers in (1, 4))
    deep.load_state_dict(shallow.state_dict(), strict=False)  # the seeds' draws differ
    assert torch.equal(shallow.encode(views), deep.encode(views))
    names = dict(deep.named_parameters())
    assert names["blocks.0.proj.weight"].any()
    assert not names["blocks.2.proj.weight"].any()


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_every_variant_can_start_local_and_stays_finite(fields):
    torch.manual_seed(0)
    model = ILRM(ModelConfig(**{"layers": 2, "width": 48, "heads": 3, "patch": 4, **fields}))
    before = {name: p.clone() for name, p in model.named_parameters()}
    local_start(model)
    changed = any(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert changed == (model.config.initial_tokens != "random")
    assert model(some_views()).means.isfinite().all()
