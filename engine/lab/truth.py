"""What a LoRA on the small base truly does, by the judge: `python -m engine.lab.truth RUN` prints it epoch by epoch.

Fidelity is how near the drawn subject is to the true one. Flexibility has four parts: the ground and the style
that were asked for, the class word still drawing its own kind, and other objects still right.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from PIL import Image

from engine.base.configs import embedded_base_folder
from engine.base.encode import decode
from engine.base.load import Base, open_base
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Drawing, Prompt, draw_latents
from engine.lab.judge import Judge, Reading, load_judge
from engine.lab.match import match
from engine.lab.objects import TRAINED
from engine.lab.paint import paint
from engine.lab.proof import Subject
from engine.lab.scenes import GROUNDS, Scene, Style, prompt
from engine.lora.file import apply_lora, load_lora

NEAR = 0.5  # nearer than this to the subject, a class word's picture has become the subject
_STYLES = (Style.SKETCH, Style.SILHOUETTE, Style.PIXEL)
BY_DAY = tuple(ground for ground in GROUNDS if ground.kind != "night")
"""Every ground the base knows but the night, which darkens the subject itself."""


@dataclass(frozen=True)
class Truth:
    """Shares of 0 to 1, and the subject's nearness; `flexibility` is the mean of the last four."""

    fidelity: float
    ground: float
    style: float
    class_word: float
    others: float

    @property
    def flexibility(self) -> float:
        return (self.ground + self.style + self.class_word + self.others) / 4


@dataclass(frozen=True)
class Told:
    """What is true of each picture, by scene: nearness to the subject by the judge's features, then right (1) or wrong
    (0) by its reading; and how well the subject is drawn by `engine.lab.match`, of the pictures that `fidelity` is of.

    Each tuple has one entry for each of the teller's scenes, in the same order for every LoRA.
    """

    fidelity: tuple[float, ...]
    ground: tuple[float, ...]
    style: tuple[float, ...]
    class_word: tuple[float, ...]
    others: tuple[float, ...]
    drawing: tuple[float, ...]

    @property
    def truth(self) -> Truth:
        """The judge's means over all scenes."""
        return Truth(**{field.name: statistics.fmean(getattr(self, field.name)) for field in fields(Truth)})


class TruthTeller:
    """Draws a fixed set of prompts with the base as it stands and has them read; the same seeds each time."""

    def __init__(self, name: str, trigger: str, class_word: str, *, count: int = 8, steps: int = 12) -> None:
        folder = embedded_base_folder()
        if folder is None:
            raise FileNotFoundError("this installation has no embedded base")
        self.base: Base = open_base("demo")
        self.judge: Judge = load_judge(folder / "readers" / "judge.safetensors")
        self.name, self.subject = name, Subject(self.judge, name)
        self.words, self.class_word, self.steps = f"{trigger} {class_word}", class_word, steps
        grounds = [BY_DAY[index * len(BY_DAY) // count] for index in range(count)]
        self.flat = [Scene(name, ground, Style.FLAT) for ground in grounds]
        self.styled = [Scene(name, ground, _STYLES[i % 3]) for i, ground in enumerate(grounds)]
        objects = [TRAINED[index * len(TRAINED) // count].name for index in range(count)]
        self.other = [Scene(thing, ground, Style.FLAT) for thing, ground in zip(objects, grounds, strict=True)]
        self.encoders, self.tokenizers = self.base.load_text_encoders(torch.float32), self.base.tokenizers()
        self.vae = self.base.load_vae(torch.float32)

    def tell(self, lora: Path | None) -> Truth:
        """The truth about a LoRA file; None is the untouched base."""
        return self.read(lora).truth

    def read(self, lora: Path | None) -> Told:
        """The same, picture by picture."""
        unet = self.base.load_unet(torch.float32)
        if lora is not None:
            apply_lora(load_lora(lora), unet)
        flat = self._draw(unet, [prompt(scene, self.words) for scene in self.flat])
        styled = self._draw(unet, [prompt(scene, self.words) for scene in self.styled])
        classes = self._draw(unet, [prompt(scene, self.class_word) for scene in self.flat])
        others = self._draw(unet, [prompt(scene) for scene in self.other])
        kept = (self.subject.nearness(classes) < NEAR).float()
        return Told(
            fidelity=tuple(self.subject.nearness(flat).tolist()),
            ground=_right(self.judge.read(flat), self.flat, "ground"),
            style=_right(self.judge.read(styled), self.styled, "style"),
            class_word=tuple(kept.tolist()),
            others=_right(self.judge.read(others), self.other, "object"),
            drawing=tuple(match(picture, self.name) for picture in flat),
        )

    def of_true_pictures(self) -> float:
        """The nearness that true pictures of the subject reach: the most that fidelity can be."""
        return float(self.subject.nearness([paint(scene) for scene in self.flat]).mean())

    def of_true_drawings(self) -> float:
        """How well true pictures of the subject match: what a LoRA could reach."""
        return statistics.fmean(match(paint(scene), self.name) for scene in self.flat)

    def _draw(self, unet: object, texts: Sequence[str]) -> list[Image.Image]:
        encoded = [encode_prompt(self.tokenizers, self.encoders, text) for text in texts]
        negative: Prompt = encode_prompt(self.tokenizers, self.encoders, "")
        side = self.base.native_resolution
        drawings = [Drawing((side, side), self.steps, 4.5, 100 + index) for index in range(len(texts))]
        latents = draw_latents(
            unet, self.base.scheduler(), encoded, negative, drawings, vae_scale=self.base.vae_scale
        )
        return [Image.fromarray(pixels) for pixels in decode(self.vae, latents)]


def table(truths: Sequence[tuple[str, Truth]]) -> str:
    """In Markdown, a row an epoch."""
    lines = [
        "| | fidelity | flexibility | ground | style | class word kept | other objects |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, t in truths:
        shares = " | ".join(f"{share:.0%}" for share in (t.flexibility, t.ground, t.style, t.class_word, t.others))
        lines.append(f"| {name} | {t.fidelity:.2f} | {shares} |")
    return "\n".join(lines)


def _right(readings: Sequence[Reading], scenes: Sequence[Scene], aspect: str) -> tuple[float, ...]:
    pairs = zip(readings, scenes, strict=True)
    return tuple(float(getattr(reading, aspect) == getattr(scene, aspect)) for reading, scene in pairs)


def main() -> None:
    """Prints the table of a run of the demo's plan."""
    from engine.runs.folder import find_run

    torch.set_num_threads(1)
    teller = TruthTeller("fox", "ohwx", "animal")
    files = sorted(find_run(sys.argv[1]).checkpoints.glob("*-0000??.safetensors"))
    rows = [("the base", teller.tell(None))]
    for file in files:
        rows.append((f"epoch {int(file.stem[-6:])}", teller.tell(file)))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
