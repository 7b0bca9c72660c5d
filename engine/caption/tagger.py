"""WD v3 taggers: booru tags for pictures, as the anime fine-tunes (Illustrious, NoobAI, Pony) were trained on."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_state
from PIL import Image

from engine.caption.captioner import Captioner
from engine.caption.journal import CaptionError
from engine.errors import shown

# onnxruntime has an exception of its own for every way a model can be wrong, and no class above them.
_ONNX_ERRORS = tuple(one for one in vars(onnx_state).values() if isinstance(one, type) and issubclass(one, Exception))
_GENERAL, _CHARACTER = "0", "4"  # categories of selected_tags.csv; 9 are ratings, which no trainer wants


class Tagger(Captioner):
    """SmilingWolf's wd-*-tagger-v3 from its folder: model.onnx and selected_tags.csv."""

    tags = True

    def __init__(
        self, folder: Path, name: str, *, general: float = 0.35, character: float = 0.85, names: bool = True
    ) -> None:
        """The thresholds are its author's; `names` False leaves out who is seen. CaptionError: damaged files."""
        self.name = name
        self._general, self._character, self._names = general, character, names
        try:
            self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=_providers())
            with (folder / "selected_tags.csv").open(encoding="utf-8", newline="") as file:
                rows = [(row["name"], row["category"]) for row in csv.DictReader(file)]
        except (OSError, KeyError, ValueError, RuntimeError, *_ONNX_ERRORS) as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise CaptionError(
                f"the tagger {shown(name)} cannot be loaded ({shown(said[:200])}): fetch it again."
            ) from error
        entry = self._session.get_inputs()[0]
        outputs = self._session.get_outputs()[0].shape[-1]
        if outputs != len(rows):
            raise CaptionError(
                f"the tagger {shown(name)} gives {outputs} figures for {len(rows)} tags: its two files are of two "
                "versions; fetch both again."
            )
        self._input, self.side = entry.name, int(entry.shape[1])
        self.long_side = self.side * 2
        self._tags = [(_plain(tag), category) for tag, category in rows]
        # A model of a fixed batch takes as many as it says; one of an open batch as many as fit.
        self.batch = entry.shape[0] if isinstance(entry.shape[0], int) else 8

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> np.ndarray:
        """[n, side, side, 3] float32, blue first, 0 to 255."""
        return np.stack([self._pixels(image) for image in images])

    def write(self, prepared: np.ndarray) -> list[str]:
        shares = np.concatenate([
            self._session.run(None, {self._input: prepared[at : at + self.batch]})[0]
            for at in range(0, len(prepared), self.batch)
        ])  # fmt: skip
        return [", ".join(self._chosen(row)) for row in shares]

    def _pixels(self, image: Image.Image) -> np.ndarray:
        """Padded to a square with white, then scaled bicubically: what the tagger was trained with."""
        longest = max(image.size)
        square = Image.new("RGB", (longest, longest), (255, 255, 255))
        square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
        if longest != self.side:
            square = square.resize((self.side, self.side), Image.Resampling.BICUBIC)
        return np.asarray(square, dtype=np.float32)[:, :, ::-1]

    def _chosen(self, shares: np.ndarray) -> list[str]:
        """Characters first, then what is seen, the surest first."""
        chosen: list[str] = []
        for category, threshold in ((_CHARACTER, self._character), (_GENERAL, self._general)):
            if category == _CHARACTER and not self._names:
                continue
            fitting = [
                (float(share), tag)
                for share, (tag, own) in zip(shares, self._tags, strict=True)
                if own == category and share > threshold
            ]
            chosen += [tag for _, tag in sorted(fitting, key=lambda one: -one[0])]
        return chosen


def _plain(tag: str) -> str:
    """Underscores as spaces, but in faces such as ^_^ and o_o, which have no word of two letters."""
    is_face = max((len(run) for run in re.findall(r"[^\W_]+", tag)), default=0) < 2
    return tag if is_face else tag.replace("_", " ")


def _providers() -> list[str]:
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [name for name in wanted if name in onnxruntime.get_available_providers()]
