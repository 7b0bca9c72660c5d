"""kohya's folder names, which carry repeats, trigger and class: `img/12_ohwx woman`, `reg/1_woman`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.dataset.captions import Role

# Nobody repeats a picture a thousand times an epoch, but people do name folders "2024_holiday".
MAX_REPEATS = 999
_NAME = re.compile(r"([0-9]{1,3})_(.*\S.*)", re.DOTALL)


@dataclass(frozen=True)
class KohyaName:
    """A folder whose name states repeats and words, and what they were read as."""

    path: Path
    repeats: int
    trigger: str  # "" in a folder of class pictures
    class_: str
    role: Role


@dataclass(frozen=True)
class KohyaRoot:
    """A kohya project folder: where its pictures are, and which of its folders are kohya's own outputs."""

    train: Path
    classes: Path | None
    outputs: tuple[Path, ...]


def parse_kohya_name(name: str) -> tuple[int, str, str] | None:
    """`"12_ohwx woman"` as (12, "ohwx", "woman"); None for a name of another kind. The class may be "".

    0 repeats is what it says: such a folder is not trained.
    """
    found = _NAME.fullmatch(name)
    if not found or int(found[1]) > MAX_REPEATS:
        return None
    trigger, _, class_ = found[2].strip().partition(" ")
    return int(found[1]), trigger, class_.strip()


def kohya_name(folder: Path, role: Role) -> KohyaName | None:
    """What a folder's name says, if it is one of kohya's; all the words of a class folder are its class."""
    parsed = parse_kohya_name(folder.name)
    if parsed is None:
        return None
    repeats, trigger, class_ = parsed
    if role == "class":
        return KohyaName(folder, repeats, "", f"{trigger} {class_}".strip(), role)
    return KohyaName(folder, repeats, trigger, class_, role)


def kohya_root(folder: Path) -> KohyaRoot | None:
    """The layout `<root>/img/<repeats>_<words>/` with `reg/`, `model/` and `log/` beside, if `folder` has it.

    OSError (an unreadable folder) passes on.
    """
    images = folder / "img"
    if not images.is_dir() or not any(parse_kohya_name(entry.name) and entry.is_dir() for entry in images.iterdir()):
        return None
    classes = folder / "reg"
    outputs = tuple(folder / name for name in ("model", "log", "logs") if (folder / name).is_dir())
    return KohyaRoot(images, classes if classes.is_dir() else None, outputs)
