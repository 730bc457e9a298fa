"""Released weights: the mapping against an independent reading of the released design, and every refusal."""

import math
import os

import pytest
import torch
import torch.nn.functional as F

from ilrm import convert, cost
from ilrm.config import ModelConfig
from ilrm.errors import WeightsError
from ilrm.weights.released import from_released, load_released
from ilrm.weights.state import read_weights
from tests.helpers import some_views

WIDTH, HEADS, LAYERS, PATCH = 64, 2, 2, 4
WIDE = {
    "image": ("image_tokenizer.1", "image_tokenizer.2"),
    "viewpoint": ("viewpoint_tokenizer.1", "viewpoint_tokenizer.2"),
    "head": ("viewpoint_token_decoder.0", "viewpoint_token_decoder.1"),
}
TWO_VIEW = {
    "image": ("support_tokenizer", "support_layernorm"),
    "viewpoint": ("input_tokenizer", "input_layernorm"),
    "head": ("token_decoder.0", "token_decoder.1"),
}


def released(family: str, k: int = 2, channels: int = 16, **sizes) -> dict[str, torch.Tensor]:
    """Random weights under the released names, less the two-view file's prefix."""
    d, layers = sizes.get("width", WIDTH), sizes.get("layers", LAYERS)
    p, head = sizes.get("patch", PATCH), sizes.get("head", d // HEADS)
    g = torch.Generator().manual_seed(0)
    rays, pixels, names = (9, 12, WIDE) if family == "wide" else (6, 9, TWO_VIEW)
    state = {}

    def linear(name, inputs, outputs):
        state[f"{name}.weight"] = torch.randn(outputs, inputs, generator=g) / math.sqrt(inputs)

    def norm(name, size):
        state[f"{name}.weight"] = 1 + 0.2 * torch.randn(size, generator=g)

    for kind, count in (("image", pixels), ("viewpoint", rays)):
        linear(names[kind][0], count * p * p, d)
        norm(names[kind][1], d)
    for i in range(2 * layers):
        block = f"processor.blocks.{i}"
        attention, ff = ("read_cross", "read_ff") if i % 2 == 0 else ("attn", "mlp")
        norm(f"{block}.{attention}.norm", d)
        norm(f"{block}.{attention}.q_norm", head)
        norm(f"{block}.{attention}.k_norm", head)
        if i % 2 == 0:
            linear(f"{block}.read_cross.q", d, k * d)
            linear(f"{block}.read_cross.k", d, d)
            linear(f"{block}.read_cross.v", d, d)
            linear(f"{block}.read_cross.proj", k * d, d)
        else:
            linear(f"{block}.attn.qkv", d, 3 * d)
            linear(f"{block}.attn.proj", d, d)
        norm(f"{block}.{ff}.norm", d)
        linear(f"{block}.{ff}.fc1", d, 4 * d)
        linear(f"{block}.{ff}.fc2", 4 * d, d)
    norm(names["head"][0], d)
    linear(names["head"][1], d, p * p * channels)
    return state


class Reading:
    """The released design in plain torch, from its description alone: no code of the package."""

    def __init__(self, state, family, k, channels):
        self.w = {name.removesuffix(".weight"): value for name, value in state.items()}
        self.wide, self.k, self.channels = family == "wide", k, channels
        self.names = WIDE if self.wide else TWO_VIEW

    def layer_norm(self, x, name):
        mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / torch.sqrt(var + 1e-5) * self.w[name]

    def rms(self, x, name):
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.w[name]

    def rays(self, views, factor):
        """[V, H, W, 6 or 9] in the released order."""
        c = views.cameras
        height, width = c.height // factor, c.width // factor
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        fx, fy, cx, cy = (c.fxfycxcy[0] / factor).unbind(-1)  # [V]
        local = torch.stack(
            [
                (x - cx[:, None, None]) / fx[:, None, None],
                (y - cy[:, None, None]) / fy[:, None, None],
                torch.ones(len(fx), height, width),
            ],
            -1,
        )
        local = local / local.norm(dim=-1, keepdim=True)
        d = torch.einsum("vij,vhwj->vhwi", c.c2w[0, :, :3, :3], local)
        o = c.c2w[0, :, None, None, :3, 3].expand_as(d)
        m = torch.linalg.cross(o, d)
        return torch.cat([o, d, m] if self.wide else [m, d], -1)

    def tokens(self, pixels, kind):
        """Patches flattened as (row, column, channel), one by one."""
        v, height, width, _ = pixels.shape
        patches = [
            pixels[:, r : r + PATCH, c : c + PATCH].reshape(v, -1)
            for r in range(0, height, PATCH)
            for c in range(0, width, PATCH)
        ]
        linear, norm = self.names[kind]
        return self.layer_norm(torch.stack(patches, 1) @ self.w[linear].T, norm)

    def attend(self, q, k, v):
        return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1) @ v

    def mlp(self, x, name):
        h = self.layer_norm(x, f"{name}.norm") @ self.w[f"{name}.fc1"].T
        return x + F.gelu(h) @ self.w[f"{name}.fc2"].T

    def cross(self, x, s, name):
        v, n, d = x.shape
        size = d // HEADS
        heads = [(a.reshape(v, -1, HEADS, size).transpose(1, 2)) for a in (
            s @ self.w[f"{name}.k"].T, s @ self.w[f"{name}.v"].T)]  # fmt: skip
        q = (self.layer_norm(x, f"{name}.norm") @ self.w[f"{name}.q"].T).view(
            v, n, HEADS, size, self.k
        )
        outs = [  # the k-th queries of all tokens, k the fastest axis
            self.attend(
                self.rms(q[..., i].transpose(1, 2), f"{name}.q_norm"),
                self.rms(heads[0], f"{name}.k_norm"),
                heads[1],
            ).transpose(1, 2)  # [V, N, H, size]
            for i in range(self.k)
        ]
        return x + torch.stack(outs, -1).reshape(v, n, -1) @ self.w[f"{name}.proj"].T

    def self_attention(self, x, name):
        v, n, d = x.shape
        flat = self.layer_norm(x, f"{name}.norm").reshape(v * n, d)
        q, k, u = (
            part.view(v * n, HEADS, d // HEADS).transpose(0, 1)
            for part in (flat @ self.w[f"{name}.qkv"].T).chunk(3, -1)
        )
        out = self.attend(self.rms(q, f"{name}.q_norm"), self.rms(k, f"{name}.k_norm"), u)
        return x + (out.transpose(0, 1).reshape(v, n, d) @ self.w[f"{name}.proj"].T)

    def run(self, views):
        """Tokens [V, N, D] and head outputs [V, h, w, C]."""
        factor = 2 if self.channels == 16 else 1
        rgb = views.images[0].permute(0, 2, 3, 1) * 2 - 1
        rays = self.rays(views, 1)
        s = self.tokens(torch.cat([rays, rgb] if self.wide else [rgb, rays], -1), "image")
        x = self.tokens(self.rays(views, factor), "viewpoint")
        for i in range(2 * LAYERS):
            block = f"processor.blocks.{i}"
            if i % 2 == 0:
                x = self.mlp(self.cross(x, s, f"{block}.read_cross"), f"{block}.read_ff")
            else:
                x = self.mlp(self.self_attention(x, f"{block}.attn"), f"{block}.mlp")
        norm, linear = self.names["head"]
        raw = self.layer_norm(x, norm) @ self.w[linear].T  # [V, N, p * p * C]
        rows = views.cameras.height // factor // PATCH
        raw = raw.view(len(x), rows, -1, PATCH, PATCH, self.channels)
        return x, raw.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)


@pytest.mark.parametrize(
    ("family", "k", "channels"), [("wide", 2, 16), ("two_view", 1, 14), ("wide", 3, 16)]
)
def test_forward_is_the_released_design_s(family, k, channels):
    state = released(family, k, channels)
    model, views = from_released(state), some_views(batch=1, views=3, height=32, width=48)
    tokens, raw = Reading(state, family, k, channels).run(views)
    with torch.no_grad():
        ours = model.encode(views)
        head = model.head(ours)
        gaussians = model.decode(ours, views)
    torch.testing.assert_close(ours[0], tokens, atol=2e-4, rtol=1e-3)
    patches = head[0].view(3, -1, PATCH, PATCH, channels)
    torch.testing.assert_close(patches[:, 0], raw[:, :PATCH, :PATCH], atol=5e-4, rtol=1e-3)
    opacity = torch.sigmoid(raw[..., -1] - 2).flatten()
    torch.testing.assert_close(gaussians.opacities[0], opacity, atol=1e-4, rtol=1e-3)
    at = 2 if channels == 16 else 0
    distance = 500 * torch.sigmoid(raw[..., at : at + 3].mean(-1)).flatten()
    centres = views.cameras.c2w[0, :, :3, 3].repeat_interleave(raw[0, ..., 0].numel(), 0)
    found = (gaussians.means[0] - centres).norm(dim=-1)
    torch.testing.assert_close(found, distance, atol=1e-2, rtol=1e-3)


def test_shapes_tell_the_configuration():
    config = from_released(released("wide")).config
    assert config == ModelConfig(
        layers=2, width=64, heads=2, patch=4, uplift=2, rays="origin_plucker"
    )
    prefixed = {f"encoder.scaler.{n}": v for n, v in released("two_view", 1, 14).items()}
    config = from_released(prefixed, heads=2).config
    assert (config.viewpoint_scale, config.uplift, config.rays) == ("F", 1, "plucker")


def test_parameters_of_the_wide_model_at_its_own_size():
    """185,591,040 with 6 and 9 channels; three more channels in both tokenisers."""
    wide = cost.parameters(ModelConfig(rays="origin_plucker"))
    assert wide == 185_591_040 + 2 * 3 * 64 * 768


def test_weights_that_do_not_fit_are_named():
    state = released("wide")

    def refused(match, change, **options):
        with pytest.raises(WeightsError, match=match):
            from_released({**state, **change}, **options)

    refused("heads=4, but q_norm has 32 values per head: for width 64, give heads=2", {}, heads=4)
    refused("unexpected keys extra.weight", {"extra.weight": torch.ones(1)})
    name = "processor.blocks.1.attn.proj.weight"
    refused(rf"{name} has shape \[3, 3\], expected \[64, 64\]", {name: torch.ones(3, 3)})
    refused(
        f"{name} contains values that are not finite floats",
        {name: torch.full((64, 64), torch.nan)},
    )
    refused(f"{name} contains values that are not", {name: torch.ones(64, 64, dtype=torch.int64)})
    q_norm = "processor.blocks.0.read_cross.q_norm.weight"
    refused("not the shapes of an iLRM model", {q_norm: torch.ones(0)})
    refused("exist with and without", {f"encoder.scaler.{name}": state[name]})
    with pytest.raises(WeightsError, match=f"missing keys {name}"):
        from_released({n: v for n, v in state.items() if n != name})
    with pytest.raises(WeightsError, match="neither a wide-coverage nor a two-view"):
        from_released({"a.weight": torch.ones(2)})
    with pytest.raises(WeightsError, match="not the shapes of an iLRM model"):
        from_released(released("wide", channels=15))


def test_command_line_writes_ours(tmp_path, capsys):
    file = tmp_path / "ilrm_undistort_dl3dv_16view.pt"
    torch.save({"model": released("wide"), "step": 3}, file)
    assert convert.main([str(file), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "2 layers, width 64, 2 heads, patch 4, uplift 2" in printed[0]
    ours, direct = read_weights(printed[1]), read_weights(file)
    assert (ours.config.data.context_views, ours.config.data.image_height) == (16, 544)
    assert ours.config == direct.config
    views = some_views(batch=1, views=2)
    with torch.no_grad():
        assert torch.equal(ours.model.encode(views), direct.model.encode(views))
    assert "16v" in printed[1] and "544x960" in printed[1] and "dl3dv" in printed[1]


def test_the_two_view_file_keeps_its_scale_rule(tmp_path):
    state = {f"encoder.scaler.{n}": v for n, v in released("two_view", 1, 14).items()}
    torch.save({"state_dict": state}, tmp_path / "re10k_2view.ckpt")
    data = load_released(tmp_path / "re10k_2view.ckpt").config.data
    assert (data.camera_scale, data.context_views, data.image_width) == ("world", 2, 256)


class Code:
    def __reduce__(self):
        return os.system, ("touch was_run",)


def test_files_that_are_no_weights_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bad.ckpt"

    def error() -> str:
        assert convert.main([str(file), "--out", str(tmp_path)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    assert "does not exist: check the path" in error()
    torch.save({"state_dict": released("wide"), "callbacks": Code()}, file)
    assert "not loaded: if you trust the file" in error()
    assert not (tmp_path / "was_run").exists()
    torch.save({"model": released("wide")}, file)
    file.write_bytes(file.read_bytes()[:5000])
    assert "truncated or not a torch file" in error()
    (tmp_path / "taken").write_text("")
    torch.save({"model": released("wide")}, file)
    assert convert.main([str(file), "--out", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err
    torch.save([1, 2], file)
    assert "does not contain a dict of tensors" in error()
