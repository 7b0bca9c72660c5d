"""What is known of pictures already seen, by the SHA-256 of their bytes: a second check reads instead of measuring."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from engine.dataset.health.figures import measures_from
from engine.dataset.health.measure import VERSION, Measured

if TYPE_CHECKING:
    import numpy as np

_PATIENCE = 2.0  # seconds to wait for another check that is writing
_TABLES = """
create table if not exists pictures (
    digest text, version integer, measures text, thumbnail blob, primary key (digest, version));
create table if not exists vectors (
    digest text, model text, vector blob, primary key (digest, model));
"""


class Cache:
    """A SQLite file; whatever is wrong with it (full disk, damage, no right), the check goes on without.

    Used by one thread. `trouble` is the sentence that says why nothing is kept, None while all is well. Nothing that
    identifies a person is ever kept here: faces are looked at anew each time.
    """

    def __init__(self, path: Path) -> None:
        self.trouble: str | None = None
        self._path = path
        self._base: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._base = self._opened()
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            self._begin_anew()
        except OSError as error:
            self._give_up(error)

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()
        if self._base is not None:
            self._base.close()

    def known(self, digests: Iterable[str]) -> dict[str, Measured]:
        """What is kept of these pictures; an entry that cannot be read is as good as none."""
        found: dict[str, Measured] = {}
        question = "select digest, measures, thumbnail from pictures where version = ? and digest in ({})"
        for digest, measures, thumbnail in self._asked(question, [VERSION], digests):
            try:
                found[digest] = Measured(measures_from(json.loads(measures)), bytes(thumbnail))
            except (ValueError, TypeError):
                continue
        return found

    def keep(self, digest: str, measured: Measured) -> None:
        figures = json.dumps(dataclasses.asdict(measured.measures))
        self._write(
            "insert or replace into pictures values (?, ?, ?, ?)", (digest, VERSION, figures, measured.thumbnail)
        )

    def vectors(self, model: str, digests: Iterable[str]) -> dict[str, np.ndarray]:
        """Embeddings of these pictures by this model, each one row of float32."""
        import numpy as np

        question = "select digest, vector from vectors where model = ? and digest in ({})"
        return {digest: np.frombuffer(held, np.float32) for digest, held in self._asked(question, [model], digests)}

    def keep_vector(self, model: str, digest: str, vector: np.ndarray) -> None:
        self._write("insert or replace into vectors values (?, ?, ?)", (digest, model, vector.astype("<f4").tobytes()))

    def save(self) -> None:
        """Makes what was kept so far outlive this process."""
        if self._base is not None:
            try:
                self._base.commit()
            except sqlite3.Error as error:
                self._give_up(error)

    def _opened(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=_PATIENCE)
        # It can be made anew at any time: no need to wait for the disk.
        base.execute("pragma synchronous = off")
        base.executescript(_TABLES)
        self._path.chmod(0o600)
        return base

    def _begin_anew(self) -> None:
        """A damaged file is only a cache: it is thrown away."""
        try:
            self._path.unlink()
            self._base = self._opened()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _asked(self, question: str, first: list[object], digests: Iterable[str]) -> list[Sequence]:
        rows: list[Sequence] = []
        wanted = list(dict.fromkeys(digests))
        for start in range(0, len(wanted), 500):  # SQLite takes so many values in one question
            some = wanted[start : start + 500]
            if self._base is None:
                return rows
            try:
                rows += self._base.execute(question.format(",".join("?" * len(some))), [*first, *some])
            except sqlite3.Error as error:
                self._give_up(error)
        return rows

    def _write(self, order: str, values: tuple[object, ...]) -> None:
        if self._base is None:
            return
        try:
            self._base.execute(order, values)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or str(error)
        self.trouble = (
            f"What was measured cannot be kept in {self._path.name} ({why}), so the next check measures again: "
            "make room on that disk, or delete that file if it is damaged."
        )
        if self._base is not None:
            self._base.close()
            self._base = None
