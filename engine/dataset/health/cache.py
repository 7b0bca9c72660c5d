"""What is known of pictures already seen, by the SHA-256 of their bytes: a second check reads instead of measuring."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from engine.dataset.health.figures import measures_from
from engine.dataset.health.measure import VERSION, Measured
from engine.errors import RunError, shown

if TYPE_CHECKING:
    import numpy as np

_SAVE_SECONDS = 1.0
_PATIENCE = 2.0  # seconds to wait for another check that is writing
_MOST_BYTES = 256 << 20  # of small copies: some 10,000 pictures; beyond, those not met for longest go
_SCHEMA = 2  # of the tables below; a file of another is thrown away
_TABLES = """
create table if not exists pictures (
    digest text, version integer, measures text, thumbnail blob, met integer, primary key (digest, version));
create table if not exists vectors (
    digest text, model text, vector blob, primary key (digest, model));
create table if not exists lines (
    digest text, model text, lines text, primary key (digest, model));
"""


class Cache:
    """A SQLite file; whatever is wrong with it (full disk, damage, no right), the check goes on without.

    Used by one thread. `trouble` is the sentence that says why nothing is kept, None while all is well. Nothing that
    identifies a person is ever kept here: faces are looked at anew each time.
    """

    def __init__(self, path: Path, most_bytes: int = _MOST_BYTES) -> None:
        self.trouble: str | None = None
        self._path = path
        self._most_bytes = most_bytes
        self._saved = time.monotonic()
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
        self._make_room()
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
        self._asked("update pictures set met = ? where digest in ({})", [int(time.time())], found)
        self.save()
        return found

    def keep(self, digest: str, measured: Measured) -> None:
        figures = json.dumps(dataclasses.asdict(measured.measures))
        values = (digest, VERSION, figures, measured.thumbnail, int(time.time()))
        self._write("insert or replace into pictures values (?, ?, ?, ?, ?)", values)

    def vectors(self, model: str, digests: Iterable[str]) -> dict[str, np.ndarray]:
        """Embeddings of these pictures by this model, each one row of float32."""
        import numpy as np

        question = "select digest, vector from vectors where model = ? and digest in ({})"
        return {digest: np.frombuffer(held, np.float32) for digest, held in self._asked(question, [model], digests)}

    def keep_vector(self, model: str, digest: str, vector: np.ndarray) -> None:
        self._write("insert or replace into vectors values (?, ?, ?)", (digest, model, vector.astype("<f4").tobytes()))

    def lines(self, model: str, digests: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """The lines of lettering that this model read in these pictures, as plain objects."""
        question = "select digest, lines from lines where model = ? and digest in ({})"
        return {digest: json.loads(held) for digest, held in self._asked(question, [model], digests)}

    def keep_lines(self, model: str, digest: str, lines: Sequence[dict[str, Any]]) -> None:
        self._write("insert or replace into lines values (?, ?, ?)", (digest, model, json.dumps(lines)))

    def save(self) -> None:
        """Makes what was kept so far outlive this process."""
        self._saved = time.monotonic()
        if self._base is not None:
            try:
                self._base.commit()
            except sqlite3.Error as error:
                self._give_up(error)

    def _opened(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=_PATIENCE)
        tables = base.execute("select count(*) from sqlite_master").fetchone()[0]
        if tables and base.execute("pragma user_version").fetchone()[0] != _SCHEMA:
            base.close()
            self._path.unlink()
            base = sqlite3.connect(self._path, timeout=_PATIENCE)
        base.execute("pragma auto_vacuum = full")  # what is let go makes the file smaller
        # It can be made anew at any time: no need to wait for the disk.
        base.execute("pragma synchronous = off")
        base.executescript(_TABLES)
        base.execute(f"pragma user_version = {_SCHEMA}")
        self._path.chmod(0o600)
        return base

    def _begin_anew(self) -> None:
        """A damaged file is only a cache: it is thrown away."""
        try:
            self._path.unlink()
            self._base = self._opened()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _make_room(self) -> None:
        """Lets the pictures go that were not met for longest, once their small copies take more than the bound."""
        rows = self._asked("select digest, version, length(thumbnail) from pictures order by met desc", [], None)
        total = 0
        for digest, version, size in rows:
            total += size
            if total > self._most_bytes:
                self._write("delete from pictures where digest = ? and version = ?", (digest, version))
        if total > self._most_bytes:
            for table in ("vectors", "lines"):
                self._write(f"delete from {table} where digest not in (select digest from pictures)", ())

    def _asked(self, question: str, first: list[object], digests: Iterable[str] | None) -> list[Sequence]:
        """The rows of a question, put for 500 digests at a time, as many as SQLite takes; None: for no digests."""
        rows: list[Sequence] = []
        wanted = [] if digests is None else list(dict.fromkeys(digests))
        parts = [[]] if digests is None else [wanted[start : start + 500] for start in range(0, len(wanted), 500)]
        for some in parts:
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
            # Not held open for long: another check may want to write, and what is kept is to survive a power cut.
            if time.monotonic() - self._saved > _SAVE_SECONDS:
                self.save()
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or str(error)
        self.trouble = (
            f"What was measured cannot be kept in {shown(self._path)} ({why}), so the next check measures again: "
            "make room on that disk, or delete that file if it is damaged."
        )
        if self._base is not None:
            self._base.close()
            self._base = None


def forget(path: Path) -> int:
    """Deletes the file and its helpers; how many bytes that frees. RunError where one of them cannot be deleted."""
    freed = 0
    for one in (path, *path.parent.glob(f"{path.name}-*")):
        try:
            size = one.stat().st_size
            one.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunError(f"{shown(one)} cannot be deleted ({error.strerror}): delete it by hand.") from error
        freed += size
    return freed
