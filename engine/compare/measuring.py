"""Measures pictures as they come and keeps what was measured, so that no picture is looked at twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.compare.grid import Shot
from engine.compare.rows import joined, picked, without
from engine.errors import LorasmithError
from engine.files import write_atomic
from engine.select.cells import Cell, Measurements
from engine.select.record import load_measurements, save_measurements


class Reader(Protocol):
    """Who looks at pictures. `key` changes whenever the same picture would be measured otherwise."""

    @property
    def key(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def read(self, cells: Sequence[Cell], pictures: Sequence[Path], /) -> Measurements:
        """What is measured of these pictures, in this order."""
        ...


@dataclass(eq=False)
class Measuring:
    """The measurements of a comparison's pictures. What was measured once is kept, whatever is compared now.

    A row holds for one drawing by one reader with one set of prompts: what was measured otherwise is measured anew.
    `measured` has the pictures that were looked at since this was made, and is in `file`; the others wait beside it.
    """

    folder: Path
    file: str
    set_hash: str
    open_reader: Callable[[], Reader]
    measured: Measurements | None = None
    seconds: float = 0.0
    _kept: Measurements | None = None
    _keys: dict[Cell, str] = field(default_factory=dict)
    _looked: dict[Cell, None] = field(default_factory=dict)
    _reader: Reader | None = None

    @property
    def reader(self) -> Reader:
        """The reader; opened once, and what it measured before is taken up then."""
        if self._reader is None:
            self._reader = self.open_reader()
            self._take_up(self._reader.key)
        return self._reader

    def look(self, shots: Sequence[Shot], keys: Sequence[str]) -> None:
        """Measures those of the shots that were not measured, or have another drawing by now; and saves."""
        reader = self.reader
        new = [(shot, key) for shot, key in zip(shots, keys, strict=True) if self._keys.get(shot.cell) != key]
        if new:
            cells = [shot.cell for shot, _ in new]
            found = reader.read(cells, [self.folder / shot.file for shot, _ in new])
            before = None if self._kept is None else without(self._kept, set(cells))
            self._kept = found if before is None else joined(before, found)
            self._keys |= {shot.cell: key for shot, key in new}
        self._looked |= dict.fromkeys(shot.cell for shot in shots)
        assert self._kept is not None
        rows = {cell: row for row, cell in enumerate(self._kept.cells)}
        self.measured = picked(self._kept, [rows[cell] for cell in self._looked])
        self._save(self._kept if new else None)

    def _save(self, kept: Measurements | None) -> None:
        """Writes what is measured, and of which drawings. OSError (disk full) passes on."""
        assert self.measured is not None
        save_measurements(self.folder / self.file, self.measured, self.set_hash)
        if kept is not None:
            save_measurements(self._beside(".npz"), kept, self.set_hash)
            keys = [self._keys[cell] for cell in kept.cells]
            write_atomic(self._beside(".json"), json.dumps({"reader": self.reader.key, "keys": keys}))

    def _take_up(self, reader: str) -> None:
        with contextlib.suppress(LorasmithError, OSError, ValueError, KeyError):
            about = json.loads(self._beside(".json").read_text(encoding="utf-8"))
            kept = load_measurements(self._beside(".npz"), self.set_hash)
            if about["reader"] == reader and len(about["keys"]) == len(kept.cells):
                self._kept = kept
                self._keys = dict(zip(kept.cells, about["keys"], strict=True))

    def _beside(self, suffix: str) -> Path:
        return self.folder / f".{Path(self.file).stem}{suffix}"
