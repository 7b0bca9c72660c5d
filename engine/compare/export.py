"""`lorasmith choose`: one checkpoint becomes the LoRA, under its final name, with all that a person needs to use it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.compare.again import one_writer
from engine.compare.beside import BESIDE, LORA, left_of_former, name_trouble, remove_left, with_sums
from engine.compare.card import a1111_card, card, remarks, usage_hint
from engine.compare.choice import Choice, find_choice
from engine.compare.page import PAGE, page_text, write_page
from engine.compare.pictures import Sample, preview, samples_of, sheet, thumbnail
from engine.compare.report import Chosen, read_report, write_report
from engine.compare.restate import file_sum, restate
from engine.errors import LorasmithError, shown
from engine.files import atomic_path, write_atomic
from engine.runs.folder import home


@dataclass(frozen=True)
class Exported:
    """What was written. `beside` maps what it is (preview, card, ...) to its file.

    by_hand: an epoch or a weight that the comparison does not recommend. recommended: the checkpoint that it would
    rather have, where another was taken by hand.
    """

    file: Path
    name: str
    checkpoint: int
    called: str
    weight: float
    trigger: str
    by_hand: bool
    beside: dict[str, Path]
    notes: tuple[str, ...] = ()
    recommended: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs: paths as text."""
        said = asdict(self)
        beside = {what: str(path) for what, path in self.beside.items()}
        return {**said, "file": str(self.file), "beside": beside, "notes": list(self.notes)}


def choose(
    named: str | Path, epoch: int | None = None, weight: float | None = None, to: Path | None = None, name: str = "",
    *, force: bool = False, alone: bool = False,
) -> Exported:  # fmt: skip
    """Writes a checkpoint of a comparison, or of a training, as the person's LoRA; the comparison remembers it.

    `to` is a folder (home()/loras) or the .safetensors file itself; `name` is taken from the plan. The tensors are
    the checkpoint's own to the bit. Beside the file: its preview (NAME.png), the words and weight that A1111 and
    Forge read (NAME.json), a card (NAME.md), samples (NAME.samples.jpg) and, where there was a comparison, its page
    (NAME.html); with `alone` none of these. All of them are written before one is put in its place, so a full disk
    leaves nothing half done. With `force` what an export wrote for the LoRA that had the name before is removed.
    Raises LorasmithError, also where a file would be overwritten and `force` is not given.
    """
    choice = find_choice(named, epoch, weight)
    if choice.problem and not force:
        raise LorasmithError(f"The comparison could not draw with it, so it is not made your LoRA: {choice.problem} "
                             "Take another, or add --force.")  # fmt: skip
    folder, name = _target(to, name, choice.title)
    names = _names(choice, name, alone=alone)
    _check_free(folder, list(names.values()), choice.file, force)
    try:
        with _beside(folder) as staging:
            notes = _write_all(choice, name, names, staging)
            there = {what: folder / file for what, file in names.items() if (staging / file).exists()}
            left = left_of_former(folder, name, [path.name for path in there.values()], force=force)
            for path in there.values():
                (staging / path.name).replace(path)
    except OSError as error:
        raise LorasmithError(
            f"{shown(name)} cannot be written in {shown(folder)} ({error.strerror or error}): make room there, or "
            "choose another folder with --to; nothing was changed."
        ) from error
    file = there.pop("LoRA")
    notes = (*choice.notes, *notes, *remove_left(left), *_remember(choice, file))
    return Exported(
        file, name, choice.at[0], choice.called, choice.weight, choice.trigger, choice.by_hand, there, notes,
        _recommended(choice),
    )


def _recommended(choice: Choice) -> str:
    """The checkpoint that the comparison recommends, where the person took another; empty where there is none."""
    report, best = choice.report, choice.recommended
    return "" if report is None or best is None or best[0] == choice.at[0] else report.name_of(best)


def _target(to: Path | None, name: str, title: str) -> tuple[Path, str]:
    """The folder and the name, which is `title` where none is given; `to` may be the file itself."""
    folder = home() / "loras" if to is None else to.expanduser().absolute()
    if to is not None and folder.suffix == LORA and not folder.is_dir():
        folder, file = folder.parent, folder.stem
        if name and name.removesuffix(LORA) != file:
            raise LorasmithError(
                f"--to names the file {shown(file + LORA)} and --name another, {shown(name)}: leave out --name, "
                f"or give --to the folder, {shown(folder)}."
            )
        name = file
    name = (name or title).removesuffix(LORA)
    trouble = name_trouble(name, "give another with --name")
    if trouble:
        raise LorasmithError(trouble)
    if to is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LorasmithError(
                f"The folder {shown(folder)} cannot be made ({error.strerror}): move away what is in its place, or "
                "choose another folder with --to."
            ) from error
    elif not folder.is_dir():
        raise LorasmithError(f"There is no folder {shown(folder)}: make it first, or choose another.")
    return folder, name


def _names(choice: Choice, name: str, *, alone: bool) -> dict[str, str]:
    """What is written, and as which file."""
    beside = {} if alone else {what: ending for what, ending in BESIDE.items() if choice.report or what != "page"}
    return {what: f"{name}{ending}" for what, ending in {"LoRA": LORA, **beside}.items()}


def _check_free(folder: Path, names: list[str], source: Path, force: bool) -> None:
    """Nothing of these names may be there, and with `force` the checkpoint itself may not."""
    there = [folder / name for name in names if (folder / name).exists()]
    if any(path.samefile(source) for path in there):
        raise LorasmithError(f"{shown(source)} is the checkpoint itself: choose another folder or name.")
    if there and not force:
        raise LorasmithError(
            f"{shown(there[0])} exists: give it another name with --name, or add --force to overwrite it."
        )
    for path in there:
        if path.is_dir():
            raise LorasmithError(f"{shown(path)} is a folder: choose another name.")


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder within `folder`, so that what is written in it needs only be renamed; removed in the end."""
    staging = folder / f".choosing-{secrets.token_hex(4)}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_all(choice: Choice, name: str, names: dict[str, str], staging: Path) -> tuple[str, ...]:
    """Writes every file; sentences on what could not be had."""
    samples, notes = _usable(samples_of(choice))
    said = remarks(choice, samples)
    changes = {
        "ss_output_name": name,  # the name that A1111 calls it by
        "modelspec.title": name,
        "modelspec.usage_hint": usage_hint(choice, samples),
    }
    if choice.trigger:
        changes["modelspec.trigger_phrase"] = choice.trigger
    if samples:
        changes["modelspec.thumbnail"] = thumbnail(samples[0].path)
    changes = _kept_hint(choice.file, changes)
    lora = staging / names["LoRA"]
    with atomic_path(lora) as beside:
        metadata = restate(choice.file, beside, changes)
    if len(names) == 1:
        return tuple(said)
    if samples:
        write_atomic(staging / names["preview"], preview(samples[0], name))
        write_atomic(staging / names["samples"], sheet(samples))
    if choice.report is not None and choice.folder is not None:
        told = replace(choice.report, chosen=Chosen(choice.at[0], choice.weight, lora.name))
        write_atomic(staging / names["page"], page_text(choice.folder, told, beside=False))
    text = card(choice, name, metadata, samples, file_sum(lora), page="page" in names)
    write_atomic(staging / names["card"], text)
    write_atomic(staging / names["words and weight"], with_sums(a1111_card(choice, samples), staging, name))
    return (*said, *notes)


def _kept_hint(source: Path, changes: dict[str, str]) -> dict[str, str]:
    """A hint that the file has of its own (how DoRA behaves) stays, after ours."""
    from engine.base.header import read_header
    from engine.errors import BaseModelError

    try:
        own = read_header(source).metadata.get("modelspec.usage_hint", "").strip()
    except BaseModelError:
        return changes  # `restate` says what is wrong with the file
    ours = changes["modelspec.usage_hint"]
    return {**changes, "modelspec.usage_hint": f"{ours} {own}"} if own and own not in ours else changes


def _usable(samples: list[Sample]) -> tuple[list[Sample], tuple[str, ...]]:
    """The samples that can be read; a sentence where there is none."""
    from PIL import Image

    good = []
    for sample in samples:
        try:
            with Image.open(sample.path) as picture:
                picture.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        good.append(sample)
    return good, () if good else ("There is no picture of it, so it has no preview.",)


def _remember(choice: Choice, file: Path) -> tuple[str, ...]:
    """Writes into the comparison what was chosen; a sentence where that cannot be done, as the LoRA is there."""
    if choice.folder is None:
        return ()
    try:
        with one_writer(choice.folder):
            report = replace(read_report(choice.folder), chosen=Chosen(choice.at[0], choice.weight, str(file)))
            write_report(choice.folder, report)
        if (choice.folder / PAGE).is_file():
            write_page(choice.folder, report=report)
    except (LorasmithError, OSError) as error:
        return (f"The comparison could not be told of it: {error}",)
    return ()
