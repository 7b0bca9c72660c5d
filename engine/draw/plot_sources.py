"""Which LoRA files a plot's checkpoints are: of a run, of folders from anywhere, or named one by one. Light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.dataset.walk import natural_key
from engine.draw.__main__ import lora_and_weight
from engine.draw.plot_axes import Axis, Value
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, find_run

BASE = ""
"""The checkpoint that is none: the untouched base."""

_PEFT = "adapter_model.safetensors"
_EPOCH = re.compile(r"(.+)-(\d{6})")
_STEP = re.compile(r"(.+)-step(\d{8})")


@dataclass(frozen=True)
class Checkpoint:
    """A LoRA file under the name that stands over its column, and its weight where no axis varies it. `epoch` is what
    the file's name says, None where it says nothing; `stamp` tells whether the file is still the one that was meant."""

    name: str
    file: Path
    epoch: int | None = None
    stamp: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class Sources:
    """The checkpoints there are to choose from, in their order, and the run they come from, if they do."""

    checkpoints: tuple[Checkpoint, ...]
    run: RunFolder | None = None


def sources(places: Sequence[str]) -> Sources:
    """The checkpoints at these places, each WHERE or WHERE:WEIGHT: a run's name or folder, a folder of LoRAs, a file.

    Names are short: `epoch 3`, `step 1200`, `last` for the file without a number beside numbered ones; files of
    different LoRAs keep their own names in front. Raises LorasmithError for a place that is nothing of the kind.
    """
    weights: dict[Path, float] = {}
    run = None
    for place in places:
        path, weight = lora_and_weight(place)
        if not -100 <= weight <= 100:
            raise LorasmithError(f"The weight {weight:g} of {shown(path)} is out of range, -100 to 100: correct it.")
        if path.is_file():
            files = [path]
        elif (path / _PEFT).is_file():
            files = [path / _PEFT]
        elif path.is_dir() and not (path / "plan.toml").is_file():
            files = _folder(path)
        else:
            run = _run(str(path))
            files = _folder(run.checkpoints, run)
        weights |= {file.absolute(): weight for file in files}
    named = (replace(one, weight=weights[one.file]) for one in _named(list(weights)))
    return Sources(tuple(named), run if len(places) == 1 else None)


def chosen(axis: Axis, there: Sequence[Checkpoint], *, base: bool) -> Axis:
    """The epoch axis with its values made names of checkpoints; `base` puts the untouched base in front.

    A number means the epoch of that number, or of files without numbers the position from 1; `all` leaves out what
    a run saved between its epochs. Raises LorasmithError for a value that is none of them, and names those there are.
    """
    names: list[Value] = [BASE] if base else []
    for value in axis.values:
        if value == "all":
            names += [one.name for one in _whole(there)]
        elif value in {"base", 0}:
            names.append(BASE)
        else:
            names.append(_found(value, there, f"--{axis.place} epoch").name)
    return replace(axis, values=tuple(dict.fromkeys(names)))


def stamp_of(file: Path) -> str:
    """Size and time of a file; empty where there is none."""
    try:
        facts = file.stat()
    except OSError:
        return ""
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def _run(place: str) -> RunFolder:
    run = find_run(place)
    if run.kind != "train":
        raise LorasmithError(f"The run {shown(run.name)} is no training, so it has no checkpoints: name one that is.")
    return run


def _folder(path: Path, run: RunFolder | None = None) -> list[Path]:
    try:
        files = [one for one in path.iterdir() if one.suffix == ".safetensors" and not one.name.startswith(".")]
    except OSError:
        files = []
    if files:
        return sorted(files, key=natural_key)
    if run is not None:
        raise LorasmithError(
            f"The run {shown(run.name)} has no checkpoint yet: `lorasmith status {shown(run.name)}` says why."
        )
    raise LorasmithError(f"There is no LoRA (.safetensors) in {shown(path)}: name another folder, a file or a run.")


def _named(files: Sequence[Path]) -> list[Checkpoint]:
    stems = [file.parent.name if file.name == _PEFT else file.stem for file in files]
    split = [_split(stem) for stem in stems]
    loras = {lora for lora, _, _ in split}
    numbered = {lora for lora, name, _ in split if name}
    found = []
    for file, stem, (lora, name, epoch) in zip(files, stems, split, strict=True):
        short = name or ("last" if lora in numbered else "")
        full = short if short and len(loras) == 1 else f"{lora} {short}".strip() if short else stem
        found.append(Checkpoint(full, file, epoch, stamp_of(file)))
    # The file without a number is the last one, wherever its name sorts.
    ordered = found
    if len(loras) == 1:
        ordered = sorted(found, key=lambda one: one.name == "last")
    return _distinct(ordered)


def _split(stem: str) -> tuple[str, str, int | None]:
    """The LoRA's name, the checkpoint's (empty without a number), and its epoch."""
    if found := _STEP.fullmatch(stem):
        return found[1], f"step {int(found[2])}", None
    if found := _EPOCH.fullmatch(stem):
        return found[1], f"epoch {int(found[2])}", int(found[2])
    return stem, "", None


def _distinct(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Files of one name in different folders are told apart by a number."""
    seen: dict[str, int] = {}
    distinct = []
    for one in found:
        seen[one.name] = seen.get(one.name, 0) + 1
        again = f" ({seen[one.name]})" if seen[one.name] > 1 else ""
        distinct.append(replace(one, name=f"{one.name}{again}"))
    return distinct


def _whole(there: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """The checkpoints at an epoch's end; all of them where their names know of no epochs."""
    epochs = [one for one in there if not _STEP.fullmatch(one.file.stem)]
    return epochs or there


def _found(value: Value, there: Sequence[Checkpoint], where: str) -> Checkpoint:
    if value == "last":
        return _whole(there)[-1]
    if isinstance(value, int):
        by_epoch = {one.epoch: one for one in there if one.epoch is not None}
        if value in by_epoch:
            return by_epoch[value]
        if not by_epoch and 1 <= value <= len(there):
            return there[value - 1]
    else:
        text = str(value).casefold()
        for one in there:
            if text in {one.name.casefold(), one.file.stem.casefold(), one.file.name.casefold()}:
                return one
    names = ", ".join(shown(one.name) for one in there[:12])
    more = f" and {len(there) - 12} more" if len(there) > 12 else ""
    raise LorasmithError(f"{where}: there is no checkpoint {shown(value)!r}; there are {names}{more}.")
