"""The iLRM model, Section 3.2 of the paper.

Dimensions: B batch size, V views, N viewpoint tokens per view, M image tokens per view, D width, H heads (in
shapes of images: height), k uplift factor, p patch size, C channels per Gaussian.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ilrm.config import ModelConfig
from ilrm.errors import ViewsError
from ilrm.gaussians import Gaussians, activate
from ilrm.minibatch import image_tokens_under, random_subset, token_subset
from ilrm.views import Views


class Tokenizer(nn.Module):
    """Project non-overlapping patches, flattened as (row, column, channel), to tokens (Eq. 2)."""

    def __init__(self, channels: int, patch: int, width: int):
        super().__init__()
        self.patch = patch
        self.linear = nn.Linear(channels * patch * patch, width, bias=False)
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, x: Float[Tensor, "B V H W channels"]) -> Float[Tensor, "B V N D"]:
        p = self.patch
        return self.norm(
            self.linear(rearrange(x, "b v (h p) (w q) c -> b v (h w) (p q c)", p=p, q=p))
        )


class MLP(nn.Module):
    """Pre-norm residual feed-forward: D -> 4D, GELU, -> D."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.fc1 = nn.Linear(width, 4 * width, bias=False)
        self.fc2 = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Float[Tensor, "*b D"]) -> Float[Tensor, "*b D"]:
        return x + self.fc2(F.gelu(self.fc1(self.norm(x))))


class QKNorm(nn.RMSNorm):
    """RMSNorm over the head dimension, in the precision of its input: one fused kernel on CUDA.

    Autocast would cast inputs and outputs to fp32, although the kernel accumulates in fp32 anyway.
    """

    def __init__(self, size: int):
        super().__init__(size, eps=1e-5)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        weight = self.weight.to(x.dtype)
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.normalized_shape, weight, self.eps)
        with torch.autocast(x.device.type, enabled=False):
            return F.rms_norm(x, self.normalized_shape, weight, self.eps)


class CrossBlock(nn.Module):
    """Cross-attention from viewpoint to image tokens (Eq. 3), with k queries per token (token uplifting)."""

    def __init__(self, width: int, heads: int, uplift: int):
        super().__init__()
        self.heads, self.uplift = heads, uplift
        self.norm = nn.LayerNorm(width, bias=False)
        self.q = nn.Linear(width, uplift * width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.q_norm = QKNorm(width // heads)
        self.k_norm = QKNorm(width // heads)
        self.proj = nn.Linear(uplift * width, width, bias=False)
        self.mlp = MLP(width)

    def queries(self, x: Float[Tensor, "b N D"]) -> Float[Tensor, "b H N*k D/H"]:
        q = rearrange(
            self.q(self.norm(x)), "b n (h d k) -> b h (n k) d", h=self.heads, k=self.uplift
        )
        return self.q_norm(q)

    def keys(self, image_tokens: Float[Tensor, "b M D"]) -> Float[Tensor, "b H M D/H"]:
        return self.k_norm(rearrange(self.k(image_tokens), "b m (h d) -> b h m d", h=self.heads))

    def forward(
        self, x: Float[Tensor, "b N D"], image_tokens: Float[Tensor, "b M D"]
    ) -> Float[Tensor, "b N D"]:
        v = rearrange(self.v(image_tokens), "b m (h d) -> b h m d", h=self.heads)
        out = F.scaled_dot_product_attention(self.queries(x), self.keys(image_tokens), v)
        x = x + self.proj(rearrange(out, "b h (n k) d -> b n (h d k)", k=self.uplift))
        return self.mlp(x)


class SelfBlock(nn.Module):
    """Self-attention among all viewpoint tokens of a scene (Eq. 4)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm = QKNorm(width // heads)
        self.k_norm = QKNorm(width // heads)
        self.proj = nn.Linear(width, width, bias=False)
        self.mlp = MLP(width)

    def heads_qkv(self, x: Float[Tensor, "b n D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised queries and keys, and values, each [b, H, n, D/H]."""
        q, k, v = rearrange(self.qkv(self.norm(x)), "b n (s h d) -> s b h n d", s=3, h=self.heads)
        return self.q_norm(q), self.k_norm(k), v

    def forward(self, x: Float[Tensor, "b n D"]) -> Float[Tensor, "b n D"]:
        out = F.scaled_dot_product_attention(*self.heads_qkv(x))
        return self.mlp(x + self.proj(rearrange(out, "b h n d -> b n (h d)")))


class ILRM(nn.Module):
    """Predict 3D Gaussians from posed images in one forward pass (Eq. 1).

    `ILRM(config)(views) -> Gaussians` gives one Gaussian per viewpoint pixel, in the coordinates of the
    cameras, which must be normalised (`ilrm.cameras.normalize_cameras`). Any number of views and any image
    size work, as long as height and width are multiples of `config.size_multiple`.
    """

    def __init__(self, config: ModelConfig, checkpointing: bool = False):
        """`checkpointing`: recompute each block's activations in the backward pass, to save memory."""
        super().__init__()
        self.config, self.checkpointing = config, checkpointing
        c = config
        if c.cross_attention != "none":
            self.image_tokenizer = Tokenizer(c.image_channels, c.patch, c.width)
        if c.initial_tokens == "random":
            self.initial = nn.Parameter(0.02 * torch.randn(c.width, c.initial_grid, c.initial_grid))
        else:
            channels = c.ray_channels if c.initial_tokens == "rays" else c.image_channels
            self.viewpoint_tokenizer = Tokenizer(channels, c.patch, c.width)
        self.blocks = nn.ModuleList(
            CrossBlock(c.width, c.heads, c.queries_per_token)
            if kind == "cross"
            else SelfBlock(c.width, c.heads)
            for kind in c.block_kinds
        )
        self.head = nn.Sequential(
            nn.LayerNorm(c.width, bias=False),
            nn.Linear(c.width, c.patch**2 * c.head_channels, bias=False),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=c.init_std)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "ILRM":
        """Load a trained model, in eval mode, from a weights or run folder, a released file or a hub id.

        Raises WeightsError. `ilrm.weights.state.read_weights` also returns what the model was trained on.
        """
        from ilrm.weights.state import read_weights  # imported here because it imports this module

        return read_weights(source).model

    def forward(self, views: Views) -> Gaussians:
        """Gaussians decoded from the final layer. Raises ViewsError on sizes that are not whole patches."""
        return self.decode(self.encode(views), views)

    def encode(self, views: Views) -> Float[Tensor, "B V N D"]:
        """Viewpoint tokens V^(L) after the final layer."""
        for layer in self._layers(views):
            tokens = layer  # tokens of earlier layers are not kept
        return tokens

    def encode_layers(self, views: Views) -> list[Float[Tensor, "B V N D"]]:
        """Viewpoint tokens V^(0) ... V^(L): the initial tokens, then the tokens after each layer."""
        return list(self._layers(views))

    def _layers(self, views: Views) -> Iterator[Float[Tensor, "B V N D"]]:
        self._check_size(views)
        batch = views.images.shape[0]
        tokens = self.initial_viewpoint_tokens(views)  # [B, V, N, D]
        image_tokens = self.image_tokens(views)  # [B, V, M, D]
        generator = self._subset_generator()
        yield tokens
        for index, block in enumerate(self.blocks):
            layer = index // 2
            if isinstance(block, CrossBlock):
                assert image_tokens is not None
                tokens = self._cross(block, tokens, image_tokens, views, layer, generator)
            else:
                tokens = rearrange(tokens, "b v n d -> b (v n) d")
                tokens = rearrange(
                    self._run(block, tokens),
                    "b (v n) d -> b v n d",
                    b=batch,
                    v=views.images.shape[1],
                )
            if index % 2:
                yield tokens

    def decode(self, tokens: Float[Tensor, "B V N D"], views: Views) -> Gaussians:
        """Decode the viewpoint tokens of any layer into Gaussians (Section 3.2, Figure 1)."""
        c = self.config
        cameras = views.cameras.downscaled(c.viewpoint_factor)
        raw = rearrange(
            self.head(tokens),
            "b v (h w) (p q c) -> b v (h p) (w q) c",
            h=cameras.height // c.patch,
            p=c.patch,
            q=c.patch,
        )
        return activate(raw, cameras, c)

    def image_tokens(self, views: Views) -> Float[Tensor, "B V M D"] | None:
        """Image tokens S, computed once per forward pass (Eq. 2); None for the full-attention design."""
        if self.config.cross_attention == "none":
            return None
        tokens = self.image_tokenizer(_rgb_and_rays(views, self.config.image_factor, self.config))
        device = tokens.device.type
        if device != "meta" and torch.is_autocast_enabled(device):
            tokens = tokens.to(torch.get_autocast_dtype(device))  # cast once, not in every layer
        return tokens

    def initial_viewpoint_tokens(self, views: Views) -> Float[Tensor, "B V N D"]:
        """Initial tokens V^(0): from viewpoint rays, from low-resolution images, or learned (Table 9)."""
        c = self.config
        if c.initial_tokens == "rays":
            cameras = views.cameras.downscaled(c.viewpoint_factor)
            return self.viewpoint_tokenizer(cameras.plucker(c.rays == "origin_plucker"))
        if c.initial_tokens == "image":
            return self.viewpoint_tokenizer(_rgb_and_rays(views, c.viewpoint_factor, c))
        grid = [side // c.size_multiple for side in views.images.shape[-2:]]
        tokens = self.initial[None]
        if list(tokens.shape[-2:]) != grid:
            tokens = F.interpolate(tokens, size=grid, mode="bilinear", align_corners=False)
        return rearrange(tokens, "1 d h w -> 1 1 (h w) d").expand(*views.images.shape[:2], -1, -1)

    def _cross(
        self,
        block: CrossBlock,
        tokens: Float[Tensor, "B V N D"],
        image_tokens: Float[Tensor, "B V M D"],
        views: Views,
        layer: int,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "B V N D"]:
        c, shape = self.config, tokens.shape
        folded = "b v n d -> b (v n) d" if c.cross_attention == "group" else "b v n d -> (b v) n d"
        x, s = rearrange(tokens, folded), rearrange(image_tokens, folded)
        if c.minibatch == 1:
            return self._run(block, x, s).view(shape)
        rows, columns = (side // c.size_multiple for side in views.images.shape[-2:])
        factor = c.viewpoint_factor // c.image_factor
        if generator is not None:
            chosen = random_subset(rows, columns, c.minibatch, generator).to(x.device)
        else:
            split = (c.minibatch, c.minibatch_pattern, layer, x.device)
            chosen = token_subset(rows, columns, *split)
        under = image_tokens_under(chosen, rows, columns, factor)
        updated = self._run(block, x[:, chosen], s[:, under])
        return x.index_copy(1, chosen, updated.to(x.dtype)).view(shape)

    def _run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    def _subset_generator(self) -> torch.Generator | None:
        """Generator of random token subsets: new ones in each training step, always the same at inference."""
        if self.config.minibatch == 1 or self.config.minibatch_pattern != "random":
            return None
        seed = int(torch.randint(2**31, ())) if self.training else 0
        return torch.Generator().manual_seed(seed)

    def _check_size(self, views: Views) -> None:
        height, width = views.images.shape[-2:]
        multiple = self.config.size_multiple
        if height % multiple or width % multiple:
            raise ViewsError(
                f"images of {height}x{width} cannot be divided into whole patches: crop or resize them to "
                f"multiples of patch x viewpoint factor = {multiple}"
            )


def _rgb_and_rays(
    views: Views, factor: int, config: ModelConfig
) -> Float[Tensor, "B V H W channels"]:
    """Images scaled to [-1, 1] and ray coordinates, both at 1 / factor of the image resolution."""
    images = views.images.flatten(0, 1)
    if factor > 1:
        images = F.avg_pool2d(images, factor)
    rgb = rearrange(images, "(b v) c h w -> b v h w c", b=views.images.shape[0])
    rays = views.cameras.downscaled(factor).plucker(config.rays == "origin_plucker")
    return torch.cat([rgb * 2 - 1, rays.to(rgb.dtype)], -1)
