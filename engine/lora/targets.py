"""Which modules of an SDXL UNet and of its two text encoders get an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from engine.plan import Network, Targets

# The six linears of a CLIP layer. text_projection is left out: older ComfyUI does not load it.
TEXT_ENCODER_LINEARS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


@dataclass(frozen=True)
class Target:
    """One module to adapt; `wide` marks the convolutions that take the plan's conv_rank and conv_alpha.

    As in kohya's files, linears and 1 x 1 convolutions take the plain rank wherever they stand.
    """

    path: str
    module: nn.Module
    wide: bool

    def rank(self, network: Network) -> int:
        return network.conv_rank_value if self.wide else network.rank

    def scale(self, network: Network) -> float:
        return network.scale(conv=self.wide)


def unet_targets(unet: nn.Module, targets: Targets) -> list[Target]:
    """The adapted modules of any UNet of SDXL's classes: 722 of SDXL's ("transformer"), 560 or 788.

    Found by the type of the block that holds them, so other depths and widths work too.
    """
    chosen: dict[str, Target] = {}
    for path, module in unet.named_modules():
        if isinstance(module, Transformer2DModel):
            inner = _leaves(path, module)
            chosen |= {t.path: t for t in inner if targets != "attention" or _is_attention(t.path)}
        elif targets == "locon" and isinstance(module, (ResnetBlock2D, Downsample2D, Upsample2D)):
            chosen |= {t.path: t for t in _leaves(path, module)}
    return list(chosen.values())


def text_encoder_targets(text_encoder: nn.Module) -> list[Target]:
    """The six linears of each CLIP layer: 72 of SDXL's first text encoder, 192 of its second."""
    return [
        Target(path, module, wide=False)
        for path, module in text_encoder.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in f".{path}" and path.endswith(TEXT_ENCODER_LINEARS)
    ]


def adaptable(model: nn.Module) -> list[Target]:
    """Every linear and convolution, for LoRA files that adapt more than this program trains."""
    return list(_leaves("", model))


def _leaves(prefix: str, block: nn.Module) -> Iterator[Target]:
    for name, module in block.named_modules(prefix=prefix):
        if isinstance(module, nn.Linear):
            yield Target(name, module, wide=False)
        elif isinstance(module, nn.Conv2d):
            yield Target(name, module, wide=tuple(module.kernel_size) != (1, 1))


def _is_attention(path: str) -> bool:
    return ".attn1." in path or ".attn2." in path
