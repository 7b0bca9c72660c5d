"""The README card beside an exported LoRA, and what A1111 and Forge read beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine import __version__
from engine.compare.choice import Choice, nearest
from engine.compare.pictures import Sample
from engine.compare.report import At, PointRow, Report
from engine.errors import shown
from engine.select.families import PARTS

NOTICE = "Pictures made with this LoRA are AI-generated: say so wherever you show them."
_PERSON = "It draws a real or invented person: use it only as that person agreed to."
_OF_WEIGHT = "Use it at weight "  # so begins the sentence of `engine.select.words` on the recommended weight
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


def usage_hint(choice: Choice, samples: Sequence[Sample]) -> str:
    """How to use it, in the sentences that go into the file itself."""
    called = f'Trigger words: "{choice.trigger}". ' if choice.trigger else ""
    weight = f"{'Weight, chosen by hand' if choice.weight_by_hand else 'Recommended weight'}: {choice.weight:g}. "
    return f"{called}{weight}{_shows(choice, samples, 'The thumbnail')}{NOTICE}"


def remarks(choice: Choice, samples: Sequence[Sample]) -> list[str]:
    """What is to be known of a weight that the comparison does not recommend, or did not draw, in sentences."""
    by_hand = reasons(choice)[:1] if choice.weight_by_hand else []
    elsewhere = _elsewhere(choice, samples)
    return by_hand if elsewhere is None else [
        *by_hand, f"Nothing was drawn at weight {choice.weight:g}: its pictures show it at weight {elsewhere:g}."
    ]  # fmt: skip


def _elsewhere(choice: Choice, samples: Sequence[Sample]) -> float | None:
    """The weight that its pictures show, where that is not its own."""
    return samples[0].weight if samples and samples[0].weight != choice.weight else None


def _shows(choice: Choice, samples: Sequence[Sample], what: str) -> str:
    elsewhere = _elsewhere(choice, samples)
    return "" if elsewhere is None else f"{what} shows it at weight {elsewhere:g}. "


def reasons(choice: Choice) -> list[str]:
    """Why this checkpoint at this weight, in sentences."""
    report, best = choice.report, choice.recommended
    named = _start(choice.called) + ("" if choice.weight == 1.0 else f" at weight {choice.weight:g}")
    if report is None:
        return [f"{named} was chosen by hand; the training was not compared."]
    if best is None:
        return [f"{named} was chosen by hand.", *(words.text for words in report.words[:1])]
    if choice.weight_by_hand:
        return [f"Weight {choice.weight:g} was chosen by hand for {choice.called}; the comparison recommends weight "
                f"{best[1]:g}.", *_figures_of(report, choice, best), *_of_other_weight(report, choice)]  # fmt: skip
    if choice.by_hand:
        return [f"{named} was chosen by hand; the comparison recommends {report.name_of(best)}.",
                *_figures_of(report, choice, best)]  # fmt: skip
    return [words.text for words in report.words]


def _of_other_weight(report: Report, choice: Choice) -> list[str]:
    """Why this checkpoint, where its weight was chosen by hand: decided on at the weight of all checkpoints."""
    said = [words.text for words in report.words if not words.text.startswith(_OF_WEIGHT)]
    decided = report.choice[1] if report.choice is not None else 1.0
    return said if decided == choice.weight else [f"What follows was measured at weight {decided:g}.", *said]


def _figures_of(report: Report, choice: Choice, best: At) -> list[str]:
    """Its figures beside those of what is recommended; none where they would be the same point's."""
    own, other = _point(report, choice), report.point(best)
    if own is None or other is None or own == other:
        return []
    if None in {own.fidelity, own.flexibility, other.fidelity, other.flexibility}:
        return []
    at = "Its" if own.weight == choice.weight else f"At weight {own.weight:g} its"
    return [
        f"{at} fidelity is {own.fidelity:.0f} (the recommended one's {other.fidelity:.0f}), "
        f"its flexibility {own.flexibility:.0f} ({other.flexibility:.0f})."
    ]


def a1111_card(choice: Choice, samples: Sequence[Sample]) -> dict[str, Any]:
    """NAME.json as A1111 and Forge keep it: a click on the LoRA then writes these words at this weight."""
    return {
        "description": " ".join(reasons(choice)[:1]),
        "sd version": "SDXL",
        "activation text": choice.trigger,
        "preferred weight": choice.weight,
        "negative text": "",
        "notes": f"{_shows(choice, samples, 'The preview')}{NOTICE}",
    }


def card(
    choice: Choice, name: str, metadata: Mapping[str, str], samples: Sequence[Sample], sum_: str, *, page: bool
) -> str:
    """The Markdown text of NAME.md; `sum_` is the file's sha256, `page`: the comparison's page lies beside it."""
    parts = [
        f"# {_plain(name)}",
        *([f"![{_plain(name)}]({_link(name)}.png)"] if samples else []),
        *([f"*{shows}*"] if (shows := _shows(choice, samples, "The picture").strip()) else []),
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
    if found is None or found.early[0] != choice.at[0]:
        return ""
    tried = "" if found.early[1] == choice.weight else f" Tried at weight {found.early[1]:g}:"
    return f"{tried} {_plain(found.sentence)}"


def _figures(choice: Choice) -> list[str]:
    report = choice.report
    row = _point(report, choice) if report is not None else None
    if report is None or row is None:
        return []
    figures = [("fidelity (100: the photographs)", row.fidelity), ("flexibility (100: the base)", row.flexibility)]
    figures += [(PARTS.get(part, part), value) for part, value in row.parts.items()]
    lines = [f"| {name} | {value:.0f} |" for name, value in figures if value is not None]
    at = "" if row.weight == choice.weight else f" at weight {row.weight:g}"
    return ["\n".join([f"| measured{at} | of 100 |", "| --- | ---: |", *lines])] if lines else []


def _point(report: Report, choice: Choice) -> PointRow | None:
    """What was measured of the checkpoint at this weight, or else at the nearest that was."""
    own = [row for row in report.points if row.checkpoint == choice.at[0] and _is_measured(row)]
    weight = nearest((row.weight for row in own), choice.weight)
    return None if weight is None else report.point((choice.at[0], weight))


def _is_measured(row: PointRow) -> bool:
    return any(figure is not None for figure in (row.fidelity, row.flexibility, *row.parts.values()))


def _samples(choice: Choice, name: str, samples: Sequence[Sample]) -> list[str]:
    if not samples:
        return []
    listed = [
        f"{at}. {_plain(sample.prompt) or 'a sample of the training'}"
        + (f" (seed {sample.seed})" if sample.seed is not None else "")
        for at, sample in enumerate(samples, 1)
    ]
    told = f"## Samples\n\n![Samples of {_plain(name)}]({_link(name)}.samples.jpg)\n\n" + "\n".join(listed)
    elsewhere = _elsewhere(choice, samples)
    at = "" if elsewhere is None else f" at weight {elsewhere:g}"
    if choice.report is None:
        return [told + (f"\n\nDrawn{at}." if at else "")]
    drawn, settings = choice.report.base.name, choice.report.settings
    return [
        told + f"\n\nDrawn{at} on {_plain(drawn)}, {_plain(settings.sampler)}, {settings.steps} steps, CFG "
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
