"""SSCD: a picture as a vector that stays put when the picture is only cropped, recompressed or mirrored."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from engine.errors import LorasmithError, shown
from engine.vision.models import ModelSource
from engine.vision.pixels import in_batches, pressed, unit

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Run = Callable[[Sequence[Image.Image]], np.ndarray]

_SIDE = 320  # both sides, the paper's setting for pictures that are to be seen whole
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BATCH = 8


class Sscd:
    """The encoder of copies (see `engine.vision.encoder.Encoder`), from sscd.onnx or Meta's TorchScript file."""

    size = 512

    def __init__(self, source: ModelSource) -> None:
        self.name = source.name
        self.licence = source.licence
        path = source.file("sscd.onnx", "sscd_disc_mixup.torchscript.pt")
        self._run = _onnx_runner(path) if path.suffix == ".onnx" else _torchscript_runner(path)

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        return unit(in_batches(images, _BATCH, self._run, self.size))


def open_onnx(path: Path) -> InferenceSession:
    """An onnxruntime session, on the GPU where it can; LorasmithError where the file is broken."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)  # 0: as many as there are cores
    options.log_severity_level = 3
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers)
    except Exception as error:  # onnxruntime's own errors share no base class
        raise LorasmithError(f"{shown(path)} is no model that onnxruntime can read; fetch it again.") from error


def _onnx_runner(path: Path) -> Run:
    session = open_onnx(path)
    entry = session.get_inputs()[0]
    if entry.type != "tensor(uint8)" or entry.shape[-1] != 3:
        raise LorasmithError(f"{shown(path)} takes other pictures than SSCD's (bytes, n x h x w x 3); fetch it again.")

    def run(images: Sequence[Image.Image]) -> np.ndarray:
        pixels = np.stack([pressed(image, _SIDE, _SIDE) for image in images])
        return session.run(None, {entry.name: pixels})[0]

    return run


def _torchscript_runner(path: Path) -> Run:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:  # a RuntimeError or anything the unpickler meets
        raise LorasmithError(f"{shown(path)} is no TorchScript file of SSCD; fetch it again.") from error
    mean, deviation = np.float32(_MEAN), np.float32(_DEVIATION)

    @torch.inference_mode()
    def run(images: Sequence[Image.Image]) -> np.ndarray:
        pixels = np.stack([pressed(image, _SIDE, _SIDE) for image in images]) / np.float32(255)
        tensor = torch.from_numpy((pixels - mean) / deviation).permute(0, 3, 1, 2).to(device)
        return network(tensor).float().cpu().numpy()

    return run
