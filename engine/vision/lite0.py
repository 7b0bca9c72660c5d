"""EfficientNet-Lite0: a small network that says what a picture shows, quick even without a GPU.

The network as in Google's `efficientnet/lite` (tensorflow/tpu): EfficientNet-B0 without squeeze-and-excitation, with
ReLU6. The names of its weights are those of the package efficientnet_lite_pytorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.errors import LorasmithError, shown
from engine.vision.pixels import in_batches, stacked

SIDE = 224
FEATURES = 1280
CLASSES = 1000
_EPSILON = 1e-3  # of the batch norms
# repeats, kernel, stride, expansion, channels in, channels out
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_BATCH = 16


class Convolution(nn.Module):
    """A convolution padded as TensorFlow's "same" is (the odd pixel goes right and below), then ReLU6 or nothing."""

    def __init__(self, fused: nn.Conv2d, size: int, bent: bool) -> None:
        super().__init__()
        kernel, stride = fused.kernel_size[0], fused.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        self.edges = (total // 2, total - total // 2) * 2
        if self.edges[0] == self.edges[1]:
            fused.padding = (self.edges[0], self.edges[0])
            self.edges = (0, 0, 0, 0)
        self.fused = fused
        self.bent = bent

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if any(self.edges):
            pixels = F.pad(pixels, self.edges)
        out = self.fused(pixels)
        return F.relu6(out, inplace=True) if self.bent else out


class Block(nn.Module):
    """An inverted bottleneck: wide, each channel by itself, narrow; added to its input where the shape allows."""

    def __init__(self, layers: Sequence[Convolution], added: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.added = added

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out = self.layers(pixels)
        return pixels + out if self.added else out


class Lite0(nn.Module):
    """Pictures [n, 3, 224, 224]; `features` gives [n, 1280], `forward` the logits of ImageNet's classes [n, 1000]."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.stem = _convolution(weights, "_conv_stem", "_bn0", SIDE, stride=2)
        size, blocks, number = SIDE // 2, [], 0
        for repeats, kernel, stride, expansion, before, after in _STAGES:
            for turn in range(repeats):
                step = stride if turn == 0 else 1
                block = _block(weights, f"_blocks.{number}.", size, step, expansion, kernel)
                blocks.append(Block(block, added=step == 1 and (turn > 0 or before == after)))
                size, number = -(-size // step), number + 1
        self.blocks = nn.Sequential(*blocks)
        self.head = _convolution(weights, "_conv_head", "_bn1", size)
        self.classes = nn.Linear(FEATURES, CLASSES)
        self.classes.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(pixels))).mean(dim=(2, 3))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.classes(self.features(pixels))


def load_lite0(path: Path) -> Lite0:
    """The network from its .pth file, read as data only; LorasmithError where it is something else or broken."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network = Lite0(weights).eval()
    except Exception as error:  # torch raises anything from KeyError to UnpicklingError on a file that is not its own
        raise LorasmithError(f"{shown(path)} is no EfficientNet-Lite0 of its package; fetch it again.") from error
    return network.to(_device(), memory_format=torch.channels_last)


def run_lite0(network: Lite0, images: Sequence[Image.Image], logits: bool) -> np.ndarray:
    """Features [n, 1280] or logits [n, 1000] of pictures of any size; each is seen whole, pressed to a square."""

    @torch.inference_mode()
    def batch(some: Sequence[Image.Image]) -> np.ndarray:
        # Google's lite models were trained on (value - 127) / 128, not on ImageNet's mean and deviation.
        pixels = stacked(some, SIDE).sub_(127).div_(128).to(network.classes.weight.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return (network(pixels) if logits else network.features(pixels)).float().cpu().numpy()

    return in_batches(images, _BATCH, batch, CLASSES if logits else FEATURES)


def _block(
    weights: Mapping[str, torch.Tensor], at: str, size: int, stride: int, expansion: int, kernel: int
) -> list[Convolution]:
    layers = []
    if expansion != 1:
        layers.append(_convolution(weights, at + "_expand_conv", at + "_bn0", size))
    layers.append(_convolution(weights, at + "_depthwise_conv", at + "_bn1", size, stride, each_alone=True))
    layers.append(_convolution(weights, at + "_project_conv", at + "_bn2", -(-size // stride), bent=False))
    return layers


def _convolution(
    weights: Mapping[str, torch.Tensor],
    name: str,
    norm_name: str,
    size: int,
    stride: int = 1,
    each_alone: bool = False,
    bent: bool = True,
) -> Convolution:
    """A convolution and its batch norm in one."""
    kernel = weights[f"{name}.weight"]
    out, into = kernel.shape[0], kernel.shape[0] if each_alone else kernel.shape[1]
    plain = nn.Conv2d(into, out, kernel.shape[2], stride, groups=out if each_alone else 1, bias=False)
    norm = nn.BatchNorm2d(out, eps=_EPSILON)
    plain.load_state_dict({"weight": kernel})
    norm.load_state_dict({key: weights[f"{norm_name}.{key}"] for key in norm.state_dict()})
    return Convolution(fuse_conv_bn_eval(plain.eval(), norm.eval()), size, bent)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
