"""Attention of chosen queries equals softmax(QK^T), and explains what the blocks put out."""

import pytest
import torch
from einops import rearrange

from ilrm.config import ModelConfig
from ilrm.errors import MissingPartError, ViewsError
from ilrm.evaluation.attention import cross_attention, self_attention, textured_tokens, top_tokens
from ilrm.model import ILRM
from tests.helpers import some_views

FIELDS = {"layers": 2, "width": 32, "heads": 4, "patch": 4, "init_std": 0.2}


def some_model(**fields) -> ILRM:
    torch.manual_seed(0)
    return ILRM(ModelConfig(**{**FIELDS, **fields})).eval()


def captured(model, views, name):
    """The arguments of every block of a kind in a forward pass, by torch's own tracing of modules."""
    found = []
    hooks = [
        block.register_forward_hook(lambda module, inputs, out: found.append((inputs, out)))
        for block, kind in zip(model.blocks, model.config.block_kinds, strict=True)
        if kind == name
    ]
    with torch.no_grad():
        model.encode(views)
    for hook in hooks:
        hook.remove()
    return found


def test_self_attention_is_the_softmax_of_the_scaled_products():
    """Against a plain reading of Eq. 4 with the whole matrix, from the weights themselves."""
    model, views = some_model(), some_views(batch=1, views=3)
    queries = [0, 5, 17, 47]
    found = self_attention(model, views, queries)
    assert found.shape == (2, 4, 3, 16)
    blocks = [block for block in model.blocks if not hasattr(block, "uplift")]
    for layer, (block, ((x,), _)) in enumerate(
        zip(blocks, captured(model, views, "self"), strict=True)
    ):
        y = torch.nn.functional.layer_norm(x, (32,), block.norm.weight)
        q, k, _ = (y @ block.qkv.weight.T).chunk(3, -1)
        total = torch.zeros(48, 48)
        for head in range(4):
            part = slice(8 * head, 8 * head + 8)
            a, b = (
                w * t[0, :, part] / (t[0, :, part].square().mean(-1, keepdim=True) + 1e-5).sqrt()
                for t, w in ((q, block.q_norm.weight), (k, block.k_norm.weight))
            )
            total += torch.softmax(a @ b.T / 8**0.5, -1) / 4
        torch.testing.assert_close(found[layer].flatten(1), total[queries], atol=1e-5, rtol=1e-4)


def test_cross_attention_times_values_is_what_the_block_adds():
    """One head, an identity projection: the block's output before its MLP is x + weights v."""
    model, views = some_model(heads=1, uplift=1), some_views(batch=1, views=2)
    first = model.blocks[0]
    with torch.no_grad():
        first.proj.weight.copy_(torch.eye(32))
        first.mlp.fc2.weight.zero_()
    ((x, image_tokens), out) = captured(model, views, "cross")[0]
    found = cross_attention(model, views, range(32))[0, :, 0]  # [V * N, M]
    values = image_tokens @ first.v.weight.T  # [V, M, D]
    added = found.view(2, 16, 64) @ values
    torch.testing.assert_close(out - x, added, atol=1e-5, rtol=1e-4)


def test_every_uplifted_query_has_its_own_map():
    model, views = some_model(), some_views(batch=1, views=2)
    found = cross_attention(model, views, [3, 20])
    assert found.shape == (2, 2, 2, 64)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 2, 2))
    assert (found[:, :, 0] - found[:, :, 1]).abs().max() > 1e-3
    # token 20 is token 4 of view 1: it reads that view's image, whatever view 0 shows
    other = some_views(batch=1, views=2)
    other.images[0, 0] = 1 - other.images[0, 0]
    changed = cross_attention(model, other, [3, 20])[0]
    torch.testing.assert_close(changed[1], found[0, 1])
    assert (changed[0] - found[0, 0]).abs().max() > 1e-4


def test_top_tokens_of_every_view():
    attention = torch.tensor([[[0.1, 0.3, 0.05, 0.0], [0.2, 0.01, 0.04, 0.3]]])
    assert top_tokens(attention, 2).tolist() == [[[1, 0], [3, 0]]]


def test_textured_tokens_are_textured_and_spread():
    image = torch.full((3, 64, 64), 0.5)
    generator = torch.Generator().manual_seed(0)
    for row, column in ((1, 1), (1, 2), (6, 6), (6, 1)):  # of tokens of 8 pixels
        image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = torch.rand(
            3, 8, 8, generator=generator
        )
    chosen = textured_tokens(image, 8)
    assert set(chosen) in ({9, 54, 49}, {10, 54, 49})
    assert len(set(textured_tokens(image, 8, 5))) == 5
    assert len(textured_tokens(torch.rand(3, 8, 8), 8)) == 1


def test_what_cannot_be_looked_at_says_so():
    views = some_views(batch=1, views=2)
    with pytest.raises(ViewsError, match="0 to 31"):
        self_attention(some_model(), views, [32])
    with pytest.raises(ViewsError, match="a batch of one scene"):
        self_attention(some_model(), some_views(batch=2), [0])
    with pytest.raises(MissingPartError, match="no self-attention"):
        self_attention(some_model(self_attention=False), views, [0])
    with pytest.raises(MissingPartError, match="minibatch=1"):
        cross_attention(some_model(minibatch=2), views, [0])


def test_nothing_is_left_in_the_model():
    model = some_model().train()
    self_attention(model, some_views(batch=1), [0])
    assert model.training and not any(block._forward_pre_hooks for block in model.blocks)


def test_models_that_read_images_in_the_first_layer_only():
    model = some_model(refinement="first_layer")
    views = some_views(batch=1, views=2)
    assert self_attention(model, views, [0]).shape == (3, 1, 2, 16)
    assert cross_attention(model, views, [0]).shape == (1, 1, 2, 64)
    assert rearrange(self_attention(model, views, [0]), "l q v n -> l q (v n)").sum(
        -1
    ) == pytest.approx(torch.ones(3, 1), abs=1e-5)
