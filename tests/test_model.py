"""The model: published parameter counts, the meaning of each block and option."""

import weakref

import pytest
import torch

from ilrm.config import ModelConfig
from ilrm.errors import ViewsError
from ilrm.model import ILRM, CrossBlock, SelfBlock
from ilrm.presets import model_config
from ilrm.views import Views
from tests.helpers import some_views

TINY = {"layers": 2, "width": 48, "heads": 3, "patch": 4}


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"layers": 12}, 185_591_040),
        ({"layers": 9}, 139_574_784),
        ({"layers": 6}, 93_558_528),
        ({"layers": 3}, 47_542_272),
        ({"viewpoint_scale": "F"}, 171_336_960),
        ({"uplift": 1}, 171_435_264),
        ({"refinement": "first_layer"}, 172_614_912),
        ({"self_attention": False}, 199_746_816),
    ],
)
def test_published_parameter_counts(fields, count):
    with torch.device("meta"):
        model = ILRM(ModelConfig(**fields))
    assert sum(p.numel() for p in model.parameters()) == count


VARIANTS: list[dict] = [
    {},
    {"minibatch": 2},
    {"minibatch": 4},
    {"minibatch": 4, "minibatch_pattern": "block"},
    {"minibatch": 2, "minibatch_pattern": "random"},
    {"cross_attention": "group"},
    {"rays": "origin_plucker"},
    {"cross_attention": "none", "initial_tokens": "image", "viewpoint_scale": "F"},
    {"cross_attention": "none", "initial_tokens": "image"},
    {"initial_tokens": "random"},
    {"initial_tokens": "image"},
    {"self_attention": False},
    {"refinement": "first_layer"},
    {"image_scale": "H"},
    {"viewpoint_scale": "F"},
    {"viewpoint_scale": "Q"},
    {"uplift": 4},
]


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_every_variant_gives_a_gaussian_a_viewpoint_pixel_and_gradients_everywhere(fields):
    config = ModelConfig(**{**TINY, **fields})
    torch.manual_seed(0)
    model = ILRM(config)
    gaussians = model(some_views(height=32, width=48))
    count = 4 * 32 * 48 // config.viewpoint_factor**2
    assert gaussians.means.shape == (2, count, 3)
    assert gaussians.quats.shape == (2, count, 4)
    assert gaussians.opacities.shape == (2, count)
    assert gaussians.colors.shape == gaussians.scales.shape == (2, count, 3)
    weights = torch.randn(2, count, 14)
    fields_ = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities[..., None])
    (torch.cat([*fields_, gaussians.colors], -1) * weights).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_sizes_and_view_counts_are_free():
    model = ILRM(ModelConfig(**TINY))
    for views, height, width in ((2, 16, 16), (5, 24, 40)):
        gaussians = model(some_views(1, views, height, width))
        assert len(gaussians) == views * height * width // 4
    with pytest.raises(ViewsError, match="20x16 .* multiples .* = 8"):
        model(some_views(1, 2, 20, 16))


def test_views_do_not_mix_in_cross_attention_and_mix_in_self_attention():
    """A change in view 1 reaches view 0's tokens only where there is self- or group attention."""
    views = some_views(batch=1)
    changed = views.images.clone()
    changed[:, 1] = 1 - changed[:, 1]
    other = Views(changed, views.cameras)
    reached = {}
    for name, fields in {
        "cross": {"self_attention": False},
        "group": {"self_attention": False, "cross_attention": "group"},
        "self": {},
    }.items():
        torch.manual_seed(0)
        model = ILRM(ModelConfig(**{**TINY, **fields})).eval()
        difference = (model.encode(views) - model.encode(other)).abs().amax((0, 2, 3))
        assert difference[1] > 1e-4
        reached[name] = bool(difference[0] > 1e-6)
    assert reached == {"cross": False, "group": True, "self": True}


def test_the_order_of_views_does_not_matter():
    views, order = some_views(batch=1), torch.tensor([2, 0, 3, 1])
    permuted = Views(views.images[:, order], views.cameras[:, order])
    model = ILRM(ModelConfig(**TINY)).eval()
    torch.testing.assert_close(model.encode(views)[:, order], model.encode(permuted))


def test_minibatch_layers_leave_the_other_tokens_unchanged():
    """With one layer and cross blocks only, 1/r of the tokens change in the first block."""
    views = some_views(batch=1)
    for r in (2, 4):
        torch.manual_seed(0)
        model = ILRM(ModelConfig(**{**TINY, "layers": 1, "minibatch": r}))
        model.blocks[1] = torch.nn.Identity()
        before, after = model.encode_layers(views)
        changed = (before != after).any(-1).float().mean()
        assert changed == 1 / r


def test_cross_block_is_the_attention_written_out():
    """Uplifting against loops: query j of a token, heads in blocks, k fastest (supplementary)."""
    torch.manual_seed(0)
    block, x, s = CrossBlock(16, heads=2, uplift=2), torch.randn(1, 3, 16), torch.randn(1, 5, 16)
    for linear in (block.q, block.k, block.v, block.proj):
        torch.nn.init.normal_(linear.weight)
    block.q_norm.weight.data.uniform_(0.5, 2)
    block.k_norm.weight.data.uniform_(0.5, 2)

    def rms(v, gain):
        return v / (v.square().mean() + 1e-5).sqrt() * gain

    q = block.q(torch.nn.functional.layer_norm(x, (16,), block.norm.weight))[0]
    keys, values = block.k(s)[0], block.v(s)[0]
    out = torch.zeros(3, 32)
    for n in range(3):
        for h in range(2):
            for j in range(2):
                channels = torch.arange(8) * 2 + j + 16 * h  # (heads, head size, k), k fastest
                query = rms(q[n, channels], block.q_norm.weight)
                scores = torch.stack(
                    [rms(k[8 * h : 8 * h + 8], block.k_norm.weight) @ query for k in keys]
                )
                weights = (scores / 8**0.5).softmax(0)
                out[n, channels] = weights @ values[:, 8 * h : 8 * h + 8]
    attended = x + block.proj(out)[None]
    torch.testing.assert_close(block(x, s), block.mlp(attended))


def test_self_block_is_the_attention_written_out():
    torch.manual_seed(0)
    block, x = SelfBlock(16, heads=2), torch.randn(1, 4, 16)
    q, k, v = block.heads_qkv(x)
    weights = (q @ k.mT / 8**0.5).softmax(-1)
    out = (weights @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(block(x), block.mlp(x + block.proj(out)))


def test_image_channels_come_before_rays_and_patches_flatten_row_column_channel():
    model, views = ILRM(ModelConfig(**TINY)), some_views(batch=1)
    linear = model.image_tokenizer.linear.weight
    rays = views.cameras.plucker()[0, 1]
    image = views.images[0, 1].permute(1, 2, 0) * 2 - 1
    patch = torch.cat([image, rays], -1)[4:8, 8:12].flatten()  # token (1, 2) of 8 x 8
    expected = torch.nn.functional.layer_norm(linear @ patch, (48,))
    torch.testing.assert_close(model.image_tokens(views)[0, 1, 10], expected)


def test_random_subsets_differ_in_training_and_repeat_at_inference():
    config = ModelConfig(**{**TINY, "minibatch": 4, "minibatch_pattern": "random"})
    model, views = ILRM(config), some_views(batch=1)
    assert torch.equal(model.eval().encode(views), model.encode(views))
    assert not torch.equal(model.train().encode(views), model.encode(views))


def test_checkpointing_changes_no_gradient():
    views, gradients = some_views(batch=1), []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = ILRM(ModelConfig(**TINY), checkpointing=checkpointing)
        model(views).means.sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_bf16_autocast_changes_little_and_leaves_gaussians_in_fp32():
    torch.manual_seed(0)
    model, views = ILRM(ModelConfig(**TINY)), some_views(1, 2, 16, 16)
    exact = model(views)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(views)
    assert rounded.means.dtype == rounded.scales.dtype == torch.float32
    torch.testing.assert_close(rounded.means, exact.means, rtol=0.02, atol=0.02)
    torch.testing.assert_close(rounded.opacities, exact.opacities, rtol=0.02, atol=0.02)


def test_presets_build_models_of_their_size():
    with torch.device("meta"):
        for scale in ("smoke", "tiny", "small"):
            config = model_config(scale)
            model = ILRM(config)
            assert len(model.blocks) == 2 * config.layers


@torch.no_grad()
def test_encoding_keeps_the_tokens_of_one_layer_only():
    """At 256 views those of each layer take more than a gigabyte."""
    model = ILRM(ModelConfig(layers=6, width=32, heads=2, patch=4))
    alive: list[weakref.ref] = []
    most = []

    def note(block, inputs, output):
        alive.append(weakref.ref(output))
        most.append(sum(reference() is not None for reference in alive))

    for block in model.blocks:
        block.register_forward_hook(note)
    views = some_views(batch=1)
    tokens = model.encode(views)
    assert len(most) == 12 and max(most) <= 3
    most.clear()
    assert torch.equal(tokens, model.encode_layers(views)[-1])
    assert max(most) > 6
