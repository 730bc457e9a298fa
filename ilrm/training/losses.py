"""The training objective (Section 3.3, Eq. 5): MSE + lambda * perceptual."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ilrm.cameras import Cameras
from ilrm.config import TrainConfig
from ilrm.gaussians import Gaussians
from ilrm.metrics import ssim
from ilrm.perceptual import vgg_features

Images = Float[Tensor, "B 3 H W"]

# (layer, weight) in torchvision's VGG order: relu1_2, relu2_2, relu3_2, relu4_2, relu5_2
VGG_TERMS = {
    "vgg19": ((3, 1 / 2.6), (8, 1 / 4.8), (13, 1 / 3.7), (22, 1 / 5.6), (31, 10 / 1.5)),
    "vgg16": ((3, 1 / 2.6), (8, 1 / 4.8), (13, 1 / 3.7), (20, 1 / 5.6), (27, 10 / 1.5)),
}


class VGGLoss(nn.Module):
    """L1 distance of pixels and of five VGG layers with average pooling (supplementary).

    The published module feeds 255 x - mean to weights trained on that range; torchvision's weights,
    used here, were trained on inputs divided by 255 std. Features are therefore computed in
    torchvision's range and multiplied by 255 std, so that the published layer weights keep their meaning.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: str):
        super().__init__()
        self.terms = dict(VGG_TERMS[net])
        self.features = vgg_features(net, nn.AvgPool2d)[: max(self.terms) + 1]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, pred: Images, target: Images) -> Tensor:
        """Scalar, mean over the images."""
        total = (pred - target).abs().mean()
        scale = self.std.mean()
        x, y = (pred - self.mean) / self.std, (target - self.mean) / self.std
        for index, layer in enumerate(self.features.children()):
            x, y = layer(x), layer(y)
            if index in self.terms:
                total = total + self.terms[index] * scale * (x - y).abs().mean()
        return total


class SSIMLoss(nn.Module):
    """1 - SSIM, the perceptual term "ssim", which needs no pretrained weights."""

    def forward(self, pred: Images, target: Images) -> Tensor:
        """Scalar, mean over the images."""
        return 1 - ssim(pred, target).mean()


def depth_loss(
    gaussians: Gaussians, cameras: Cameras, depths: Float[Tensor, "B V H W"], factor: int
) -> Tensor:
    """L1 distance, a scalar, between the log depth of each Gaussian in the input view that it was predicted
    from and the true one, averaged in log over the factor x factor image pixels of the Gaussian's viewpoint
    pixel.

    It is not part of the paper, and shortens the time until a small model finds geometry. `cameras` [B, V]
    are those of the inputs, `depths` true z in scene units.
    """
    batch, views = depths.shape[:2]
    means = gaussians.means.float().view(batch, views, -1, 3)  # [B, V, h w, 3]
    forward, origins = cameras.c2w[..., None, :3, 2], cameras.c2w[..., None, :3, 3]  # [B, V, 1, 3]
    z = ((means - origins) * forward).sum(-1)  # [B, V, h w]
    true = F.avg_pool2d(depths.log(), factor).flatten(2)  # [B, V, h w]
    return (z.clamp(min=1e-3).log() - true).abs().mean()


class Loss(nn.Module):
    """MSE + lambda * perceptual, with the perceptual term named by `config.perceptual`."""

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.weight = config.perceptual_weight
        self.perceptual: nn.Module | None = None
        if config.perceptual == "ssim":
            self.perceptual = SSIMLoss()
        elif config.perceptual != "none":
            self.perceptual = VGGLoss(config.perceptual)

    def forward(self, pred: Images, target: Images) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and its parts (`mse`, `perceptual`), each a scalar mean over the images."""
        parts = {"mse": F.mse_loss(pred, target)}
        total = parts["mse"]
        if self.perceptual is not None:
            parts["perceptual"] = self.perceptual(pred, target)
            total = total + self.weight * parts["perceptual"]
        return total, {name: part.detach() for name, part in parts.items()}
