"""The bank: what a base has drawn of words, kept on this computer so that no word is drawn twice.

    $LORASMITH_HOME/lookalike/<base>-<recipe>/about.json
                                             /drawn/<word>/<number>.webp    at most 512 pixels a side
                                             /read/<reader>/<word>.npz      vectors of what a reader saw in them

Everything is written in one piece, so that work goes on at any picture; a word that the base does not know is kept
like one that it does. Light, apart from numpy where vectors are read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from engine.errors import LorasmithError, RunError, shown
from engine.files import atomic_path, write_atomic
from engine.lookalike.settings import JobKind
from engine.runs.folder import home, list_runs
from engine.runs.lock import lock_holder

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Vectors = dict[int, np.ndarray]

LARGEST_SIDE = 512
SECOND = 1000  # the first number of the second template


def shots(first: int, second: int) -> tuple[int, ...]:
    """The numbers of so many pictures by each of the two templates."""
    return (*range(first), *range(SECOND, SECOND + second))


@dataclass(frozen=True)
class Recipe:
    """Everything but the word that decides a picture. A picture's number is its seed, and says its template.

    Each of the two templates has its own numbers (`shots`), so that no seed is met in both.
    """

    base: str  # what identifies weights and VAE
    templates: tuple[str, str]
    size: int
    steps: int
    cfg: float

    def prompt(self, word: str, number: int) -> str:
        return self.templates[number // SECOND].replace("{}", word)

    @property
    def key(self) -> str:
        said = json.dumps(asdict(self), sort_keys=True)
        return f"{self.base[:12]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


class Bank:
    """One base's drawings by one recipe."""

    def __init__(self, recipe: Recipe, root: Path | None = None) -> None:
        self.recipe = recipe
        self.folder = (bank_root() if root is None else root) / recipe.key

    def open(self, base_name: str) -> None:
        """Makes the folder, for its owner's eyes only, and says in it what it is. OSError passes on."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = self.folder / "about.json"
        if not about.exists():
            write_atomic(about, json.dumps({"base_name": base_name} | asdict(self.recipe), indent=1))

    def picture_path(self, word: str, number: int) -> Path:
        return self.folder / "drawn" / word_key(word) / f"{number:04d}.webp"

    def has_picture(self, word: str, number: int) -> bool:
        return self.picture_path(word, number).is_file()

    def keep_picture(self, word: str, number: int, picture: Image.Image) -> Path:
        """Writes one drawing, reduced to 512 pixels; small ones without loss."""
        path = self.picture_path(word, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        small = picture.convert("RGB")
        small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        with atomic_path(path) as beside:
            small.save(beside, format="WEBP", quality=90, lossless=max(picture.size) <= 128)
        return path

    def seen(self, reader: str, word: str, numbers: Sequence[int]) -> Vectors | None:
        """What a reader saw in these pictures of a word, by number; None where it has not looked at them all."""
        import numpy as np

        try:
            with np.load(self._read_path(reader, word), allow_pickle=False) as stored:
                looked, found = set(stored["looked"].tolist()), stored["found"].tolist()
                vectors = stored["vectors"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or damaged: it is read again
        if not looked.issuperset(numbers) or len(found) != len(vectors):
            return None
        return {number: vector for number, vector in zip(found, vectors, strict=True) if number in set(numbers)}

    def keep_seen(self, reader: str, word: str, looked: Sequence[int], vectors: Vectors) -> None:
        """Writes what a reader saw in the pictures it looked at; those without anything to see have no vector."""
        import numpy as np

        path = self._read_path(reader, word)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.stack(list(vectors.values())) if vectors else np.zeros((0, 1))
        with atomic_path(path) as beside, beside.open("wb") as file:
            np.savez(file, looked=np.array(looked, int), found=np.array(list(vectors), int), vectors=rows.astype("f2"))

    def _read_path(self, reader: str, word: str) -> Path:
        slug = re.sub(r"[^\w.-]+", "-", reader)[:60]
        return self.folder / "read" / slug / f"{word_key(word)}.npz"


def bank_root() -> Path:
    """Where all banks lie."""
    return home() / "lookalike"


def word_key(word: str) -> str:
    """A file name for a word: readable where it can be, unlike any other's in any case."""
    readable = re.sub(r"[^a-z0-9]+", "-", word.casefold()).strip("-")[:32]
    return f"{readable or 'word'}-{hashlib.sha256(word.encode()).hexdigest()[:10]}"


def forget_banks() -> int:
    """Deletes every bank, pictures and numbers; how many words' drawings went with it.

    RunError where a run is drawing into one; LorasmithError where it cannot be deleted.
    """
    at_work = next((run for run in list_runs() if run.kind in get_args(JobKind) and lock_holder(run) is not None), None)
    if at_work is not None:
        name = shown(at_work.name)
        raise RunError(f"{name} is drawing into the bank: `lorasmith stop {name}` first, then forget.")
    root = bank_root()
    if not root.is_dir():
        return 0
    words = sum(1 for _ in root.glob("*/drawn/*"))
    try:
        shutil.rmtree(root)
    except OSError as error:
        raise LorasmithError(
            f"{shown(error.filename or root)} cannot be deleted ({error.strerror}); end what uses it, then try again."
        ) from error
    return words
