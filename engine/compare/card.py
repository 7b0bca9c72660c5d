"""The README card beside an exported LoRA, and what A1111 and Forge read beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from engine import __version__
from engine.compare.choice import Choice
from engine.compare.pictures import Sample
from engine.compare.report import PointRow, Report
from engine.errors import shown
from engine.select.families import PARTS

NOTICE = "Pictures made with this LoRA are AI-generated: say so wherever you show them."
_PERSON = "It draws a real or invented person: use it only as that person agreed to."
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~])")
_TRAINING = {
    "ss_network_dim": "rank",
    "ss_network_alpha": "alpha",
    "ss_epoch": "epoch",
    "ss_num_epochs": "epochs planned",
    "ss_steps": "steps",
    "ss_num_train_images": "pictures x repeats",
    "ss_num_reg_images": "class pictures",
    "ss_total_batch_size": "batch",
    "ss_resolution": "resolution",
    "ss_unet_lr": "learning rate",
    "ss_optimizer": "optimizer",
    "ss_lr_scheduler": "schedule",
}


def usage_hint(choice: Choice) -> str:
    """How to use it, in the sentences that go into the file itself."""
    called = f'Trigger words: "{choice.trigger}". ' if choice.trigger else ""
    return f"{called}Recommended weight: {choice.weight:g}. {NOTICE}"


def reasons(choice: Choice) -> list[str]:
    """Why this checkpoint, in sentences."""
    report = choice.report
    if report is None:
        return [f"{_start(choice.called)} was chosen by hand; the training was not compared."]
    if report.choice is None:
        return [f"{_start(choice.called)} was chosen by hand.", *(words.text for words in report.words[:1])]
    if choice.by_hand:
        other = report.name_of(report.weight or report.choice)
        return [f"{_start(choice.called)} was chosen by hand; the comparison recommends {other}.",
                *_figures_of(report, choice)]  # fmt: skip
    return [words.text for words in report.words]


def _figures_of(report: Report, choice: Choice) -> list[str]:
    own, other = report.point((choice.at[0], 1.0)), report.point(report.choice or (0, 0.0))
    if own is None or other is None or None in {own.fidelity, own.flexibility, other.fidelity, other.flexibility}:
        return []
    return [
        f"Its fidelity is {own.fidelity:.0f} (the recommended one's {other.fidelity:.0f}), "
        f"its flexibility {own.flexibility:.0f} ({other.flexibility:.0f})."
    ]


def a1111_card(choice: Choice) -> str:
    """NAME.json as A1111 and Forge keep it: a click on the LoRA then writes these words at this weight."""
    about = {
        "description": " ".join(reasons(choice)[:1]),
        "sd version": "SDXL",
        "activation text": choice.trigger,
        "preferred weight": choice.weight,
        "negative text": "",
        "notes": NOTICE,
    }
    return json.dumps(about, ensure_ascii=False, indent=1) + "\n"


def card(
    choice: Choice, name: str, metadata: Mapping[str, str], samples: Sequence[Sample], sum_: str, *, page: bool
) -> str:
    """The Markdown text of NAME.md; `sum_` is the file's sha256, `page`: the comparison's page lies beside it."""
    parts = [
        f"# {_plain(name)}",
        *([f"![{_plain(name)}]({_link(name)}.png)"] if samples else []),
        _head(choice),
        f"> {NOTICE}" + (f"\n> {_PERSON}" if choice.person else ""),
        "## How to use it\n\n" + _how(choice, name),
        "## Why this one\n\n" + "\n".join(f"* {_plain(text)}" for text in reasons(choice)),
        *_figures(choice),
        *([f"The whole comparison, with every picture: [{_plain(name)}.html]({_link(name)}.html)."] if page else []),
        *_samples(choice, name, samples),
        *_training(metadata),
        "## Base and licence\n\n" + _licence(choice, metadata),
        f"## The file\n\n`{_code(name)}.safetensors`, sha256 `{sum_}`.\nWritten by lorasmith {__version__}.",
    ]
    return "\n\n".join(parts) + "\n"


def _head(choice: Choice) -> str:
    trigger = f"Write `{_code(choice.trigger)}` in the prompt" if choice.trigger else "It has no trigger word"
    return (
        f"A LoRA for SDXL: {_plain(choice.called)}. {trigger} and use it at weight **{choice.weight:g}**."
    )


def _how(choice: Choice, name: str) -> str:
    weight, called = f"{choice.weight:g}", _code(name)
    words = _code(choice.trigger) or "your prompt"
    file = json.dumps(f"{name}.safetensors", ensure_ascii=False)
    return f"""\
* **A1111, Forge**: put the files into `models/Lora` and write `{words} <lora:{called}:{weight}>`. `{called}.png` is
  its preview, `{called}.json` gives the words and the weight when it is clicked.
* **ComfyUI**: put the `.safetensors` into `models/loras`; node *Load LoRA*, `strength_model` and `strength_clip`
  {weight}.
* **InvokeAI**: add it in the model manager, then under *LoRAs* at weight {weight}.
* **diffusers**:

  ```python
  pipeline.load_lora_weights(".", weight_name={file}, adapter_name="it")
  pipeline.set_adapters("it", {weight})
  ```

For fine detail draw at the base's own size and add the high-res fix: 1.5 times as large, denoise 0.4 (in A1111
*Hires. fix*, upscaler *Lanczos*), with the same prompt and weight.{_hires(choice)}"""


def _hires(choice: Choice) -> str:
    found = choice.report.hires if choice.report is not None else None
    return f" {_plain(found.sentence)}" if found is not None and found.early[0] == choice.at[0] else ""


def _figures(choice: Choice) -> list[str]:
    report = choice.report
    row = _point(report, choice) if report is not None else None
    if report is None or row is None:
        return []
    figures = [("fidelity (100: the photographs)", row.fidelity), ("flexibility (100: the base)", row.flexibility)]
    figures += [(PARTS.get(part, part), value) for part, value in row.parts.items()]
    lines = [f"| {name} | {value:.0f} |" for name, value in figures if value is not None]
    return ["\n".join(["| measured | of 100 |", "| --- | ---: |", *lines])] if lines else []


def _point(report: Report, choice: Choice) -> PointRow | None:
    return report.point(choice.at) or report.point((choice.at[0], 1.0))


def _samples(choice: Choice, name: str, samples: Sequence[Sample]) -> list[str]:
    if not samples:
        return []
    listed = [
        f"{at}. {_plain(sample.prompt) or 'a sample of the training'}"
        + (f" (seed {sample.seed})" if sample.seed is not None else "")
        for at, sample in enumerate(samples, 1)
    ]
    told = f"## Samples\n\n![Samples of {_plain(name)}]({_link(name)}.samples.jpg)\n\n" + "\n".join(listed)
    if choice.report is None:
        return [told]
    drawn, settings = choice.report.base.name, choice.report.settings
    return [
        told + f"\n\nDrawn on {_plain(drawn)}, {_plain(settings.sampler)}, {settings.steps} steps, CFG "
        f"{settings.cfg:g}, {settings.size[0]} x {settings.size[1]}."
    ]


def _training(metadata: Mapping[str, str]) -> list[str]:
    rows = [(label, metadata[key]) for key, label in _TRAINING.items() if metadata.get(key) not in {None, "", "None"}]
    return ["## Training\n\n" + "\n".join(f"* {label}: {_plain(value)}" for label, value in rows)] if rows else []


def _licence(choice: Choice, metadata: Mapping[str, str]) -> str:
    base = choice.base or metadata.get("ss_sd_model_name", "")
    told = f"Trained on and for {_plain(base)}. " if base else ""
    if choice.licence:
        return f"{told}The base's licence is {_plain(choice.licence)}; what it asks holds for this LoRA's pictures too."
    return (
        f"{told}Nothing here tells the base's licence: look it up where the base came from before you share this file "
        "or sell pictures made with it."
    )


def _start(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text.startswith("epoch ") else text


def _plain(text: str) -> str:
    """Text from outside that Markdown shows as it stands."""
    return _MARKUP.sub(r"\\\1", shown(text))


def _code(text: str) -> str:
    return shown(text).replace("`", "'")


def _link(name: str) -> str:
    from urllib.parse import quote

    return quote(name)
