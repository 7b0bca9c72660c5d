"""Making a picture or its latent larger before the high-res pass, by the names A1111 has for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.draw.order import HiresFix
from engine.errors import LorasmithError, shown
from engine.train.memory import fits

LATENT: Mapping[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""Upscalers that enlarge the latent: torch's mode of interpolation, and whether it is antialiased."""
UPSCALERS = ("Lanczos", "Nearest", *LATENT)
"""Every upscaler that needs no model."""
LATENT_NEEDS = 0.5  # denoise below which what a latent upscaler blurs is not drawn anew
_TILE, _OVERLAP = 512, 32  # pixels of the small picture
_MODEL_ENDINGS = (".pth", ".pt", ".ckpt", ".safetensors")


def upscaler_name(said: str) -> str:
    """An upscaler as it is known, whatever its case, or the path of a model; LorasmithError for what is neither."""
    known = {name.casefold(): name for name in UPSCALERS}
    if said.strip().casefold() in known:
        return known[said.strip().casefold()]
    path = Path(said).expanduser()
    if path.suffix.lower() not in _MODEL_ENDINGS:
        raise LorasmithError(
            f"{shown(said)!r} is no upscaler: write one of {', '.join(UPSCALERS)}, or the path of a model "
            f"({', '.join(_MODEL_ENDINGS)})."
        )
    if not path.is_file():
        raise LorasmithError(f"There is no upscaling model at {shown(path)}; check the path.")
    return str(path)


def upscaler_title(fix: HiresFix) -> str:
    """What a PNG says of the upscaler: its name, or its model's file without the ending."""
    return fix.upscaler if fix.upscaler in UPSCALERS else Path(fix.upscaler).stem


def enlarge_latent(latent: Tensor, upscaler: str, size: tuple[int, int]) -> Tensor:
    """A latent (c, h, w) at `size`, (width, height) in latent cells."""
    mode, antialias = LATENT[upscaler]
    width, height = size
    return functional.interpolate(latent[None].float(), (height, width), mode=mode, antialias=antialias)[0]


class PixelUpscaler:
    """Enlarges pictures; a model is loaded once, runs on `device`, and Lanczos brings its picture to the exact size.

    Raises LorasmithError where the model's library (spandrel, which lorasmith does not bring) is missing or the file
    is no upscaling model of a kind it knows.
    """

    def __init__(self, upscaler: str, device: torch.device) -> None:
        self.upscaler, self.device = upscaler, device
        self._model = None if upscaler in UPSCALERS else _model(Path(upscaler), device)

    def enlarge(self, pixels: Any, size: tuple[int, int]) -> Any:
        """One picture, uint8 (h, w, 3), at `size`, (width, height)."""
        import numpy
        from PIL import Image

        if self._model is not None:
            pixels = self._run(pixels)
        method = Image.Resampling.NEAREST if self.upscaler == "Nearest" else Image.Resampling.LANCZOS
        return numpy.asarray(Image.fromarray(pixels).resize(size, method))

    @torch.no_grad()
    def _run(self, pixels: Any) -> Any:
        picture = torch.tensor(pixels, device=self.device).permute(2, 0, 1)[None].float() / 255
        done: list[Tensor] = []
        if not fits(lambda: done.append(self._model(picture))):  # type: ignore[misc]
            done.append(in_tiles(self._model, picture, _TILE, _OVERLAP))  # type: ignore[arg-type]
        return (done[0][0].clamp(0, 1) * 255).round().to("cpu", torch.uint8).permute(1, 2, 0).numpy()


def in_tiles(model: Callable[[Tensor], Tensor], picture: Tensor, tile: int, overlap: int) -> Tensor:
    """A picture (1, 3, h, w) through a model by tiles, each seeing `overlap` pixels beyond what is kept of it."""
    height, width = picture.shape[2:]
    whole: Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            above, before = max(0, top - overlap), max(0, left - overlap)
            bottom, right = min(height, top + tile), min(width, left + tile)
            part = model(picture[:, :, above : min(height, bottom + overlap), before : min(width, right + overlap)])
            scale = part.shape[2] // (min(height, bottom + overlap) - above)
            if whole is None:
                whole = part.new_empty((1, 3, height * scale, width * scale))
            kept = part[:, :, (top - above) * scale :, (left - before) * scale :]
            rows, columns = (bottom - top) * scale, (right - left) * scale
            whole[:, :, top * scale : bottom * scale, left * scale : right * scale] = kept[:, :, :rows, :columns]
    assert whole is not None
    return whole


def _model(path: Path, device: torch.device) -> Any:
    try:
        library = import_module("spandrel")  # by name: no dependency, so no checker of types knows it
    except ImportError:
        raise LorasmithError(
            f"The upscaling model {shown(path.name)} needs the library spandrel: `pip install spandrel` in lorasmith's "
            "environment, or use the upscaler Lanczos."
        ) from None
    try:
        model = library.ModelLoader().load_from_file(path)
    except Exception as error:  # spandrel's own, the unpickler's, safetensors': whatever the file is, it is no model
        raise LorasmithError(
            f"{shown(path)} is no upscaling model that spandrel can read ({shown(str(error).splitlines()[0][:120])}): "
            "choose another, such as one of the ESRGAN family."
        ) from error
    if not isinstance(model, library.ImageModelDescriptor) or model.input_channels != 3 or model.output_channels != 3:
        raise LorasmithError(f"{shown(path)} does not make one picture of another: choose an upscaling model.")
    return model.to(device).eval()
