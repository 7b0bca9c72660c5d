"""Where runs live, how they are named, made and found."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RunError, shown
from engine.files import write_atomic

_LONGEST_NAME = 80
_ROOM = 16 * 1024  # bytes: lock, first events, first lines of the log
_NAME_RULE = f"a name has 1 to {_LONGEST_NAME} letters, digits, '.', '_' or '-' and starts with a letter or a digit"


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run; nothing is read or made by naming them."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def plan(self) -> Path:
        """The recipe of a training run."""
        return self.path / "plan.toml"

    @property
    def job(self) -> Path:
        """What to do in a job that is not training."""
        return self.path / "job.toml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """The engine's stdout and stderr; former starts are engine.1.log (the latest) to engine.3.log."""
        return self.path / "engine.log"

    @property
    def lock(self) -> Path:
        return self.path / "engine.lock"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def compare(self) -> Path:
        return self.path / "compare"

    @property
    def kind(self) -> str:
        """`train`, or what job.toml's `kind` says; `job` where it says nothing readable."""
        if self.plan.exists():
            return "train"
        try:
            said = tomllib.loads(self.job.read_text("utf-8")).get("kind")
        except (OSError, ValueError):
            return "job"
        return said if isinstance(said, str) else "job"


def home() -> Path:
    """$LORASMITH_HOME, or ~/lorasmith: where runs and downloaded models are kept."""
    chosen = os.environ.get("LORASMITH_HOME")
    try:
        return Path(chosen).expanduser().resolve() if chosen else Path.home() / "lorasmith"
    except RuntimeError as error:
        raise RunError(f"this user has no home folder ({error}): set LORASMITH_HOME to a folder of yours") from None


def create_run(
    name: str, text: str, *, kind: str = "train", parent: Path | None = None, exact: bool = False
) -> RunFolder:
    """Makes a run folder, for its owner's eyes only, and writes `text` as its plan.toml (or job.toml).

    A taken name becomes name-2, name-3 ...; with `exact` it is a RunError. `parent` defaults to home()/runs.
    """
    name = _checked(name)
    parent = home() / "runs" if parent is None else Path(parent)
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run = RunFolder(_make_folder(parent, name, exact))
    except OSError as error:
        raise RunError(
            f"cannot make a run in {shown(parent)} ({error.strerror}): choose a folder you can write to, "
            "or set LORASMITH_HOME"
        ) from error
    try:
        for part in _parts(run, kind):
            part.mkdir(mode=0o700)
        write_atomic(run.plan if kind == "train" else run.job, text)
    except OSError as error:
        shutil.rmtree(run.path, ignore_errors=True)
        raise RunError(f"cannot write the run {shown(run.path)} ({error.strerror}): make room on that disk") from error
    return run


def _make_folder(parent: Path, name: str, exact: bool) -> Path:
    taken = 1
    while True:
        path = parent / (name if taken == 1 else f"{name}-{taken}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if exact:
                raise RunError(f"there is a run called {shown(name)} in {shown(parent)}: choose another name") from None
            taken += 1
            continue
        return path


def _parts(run: RunFolder, kind: str) -> list[Path]:
    if kind != "train":
        return [run.control]
    return [run.control, run.cache, run.checkpoints, run.samples, run.state]


def _checked(name: str) -> str:
    """The name as it will stand on the disk, or a RunError that says what is allowed."""
    name = unicodedata.normalize("NFC", name)
    fits = 0 < len(name) <= _LONGEST_NAME and len(name.encode("utf-8", "surrogatepass")) <= 200
    letters = all(char in "._-" or unicodedata.category(char)[0] in "LMN" for char in name)
    if fits and letters and unicodedata.category(name[0])[0] in "LN":
        return name
    raise RunError(f"'{shown(name)}' cannot be the name of a run: {_NAME_RULE}")


def find_run(run: str | Path) -> RunFolder:
    """The run of this name (in home()/runs) or at this path; RunError names the runs there are."""
    text = os.fspath(run)
    candidates = [Path(text).expanduser()]
    if os.sep not in text and text not in {"", ".", ".."}:
        candidates.insert(0, home() / "runs" / text)
    for path in candidates:
        with contextlib.suppress(OSError, ValueError):  # a name too long, or with a zero byte, is no run
            found = RunFolder(path.resolve())
            if _is_run(found):
                return found
    raise RunError(f"there is no run '{shown(text)}': {_which_exist()}")


def _which_exist() -> str:
    names = [shown(run.name) for run in list_runs()]
    where = shown(home() / "runs")
    if not names:
        return f"there are none in {where} yet"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"those in {where} are {', '.join(names[:10])}{more}"


def list_runs() -> list[RunFolder]:
    """Every run in home()/runs, newest first (by the time its plan was written)."""
    root = home() / "runs"
    try:
        runs = [RunFolder(path) for path in root.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {shown(root)} ({error.strerror}): set LORASMITH_HOME") from error
    return sorted(filter(_is_run, runs), key=lambda run: (-_made(run), run.name))


def _is_run(run: RunFolder) -> bool:
    return run.plan.is_file() or run.job.is_file()


def _made(run: RunFolder) -> int:
    for path in (run.plan, run.job):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime_ns
    return 0


def check_startable(run: RunFolder, verb: str) -> None:
    """RunError unless this user's engine can work in the folder: it is there, theirs, writable, planned."""
    try:
        facts = run.path.stat()
    except OSError as error:
        raise RunError(f"there is no run in {shown(run.path)} ({error.strerror})") from error
    if not stat.S_ISDIR(facts.st_mode):
        raise RunError(f"{shown(run.path)} is a file, not a run folder: give the folder it lies in")
    told = run.plan if verb == "train" or not run.job.exists() else run.job
    try:
        if not stat.S_ISREG(told.stat().st_mode):
            raise RunError(f"{shown(told)} is not a file: a run needs it to say what to do")
        told.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {shown(told)} ({error.strerror}): a run needs it to say what to do") from error
    # A file made here shows that the folder is writable, that there is room for an engine to begin, and as whom
    # this user writes: shared volumes may map users, so that a run's owner is another number than geteuid() and
    # yet the same person.
    probe = run.path / f".probe-{os.urandom(4).hex()}"
    try:
        probe.touch(mode=0o600, exist_ok=False)
        try:
            probe.write_bytes(bytes(_ROOM))
            mapped = probe.stat().st_uid
        finally:
            probe.unlink()
    except OSError as error:
        raise RunError(
            f"cannot write in {shown(run.path)} ({error.strerror}): run as the user it belongs to, "
            "or make room on its disk"
        ) from error
    if facts.st_uid not in {os.geteuid(), mapped}:
        raise RunError(
            f"the run {shown(run.path)} belongs to user number {facts.st_uid}: start it as that user, "
            "or copy its plan into a run of your own"
        )
