"""A terminal of its own for the real command: a pty, what it shows (by pyte), and how many bytes that took."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 30.0
# What pyte prints instead of obeying: private modes and the kitty key protocol.
_UNKNOWN = re.compile(rb"\x1b\[[<>=?][0-9;]*[ -/]*[@-~]|\x1bP[^\x1b]*\x1b\\")
_BEGUN = re.compile(rb"\x1b(?:\[[0-9;<=>?]*[ -/]*|P[^\x1b]*\x1b?)?\Z")  # a sequence whose rest has not come yet
_KEPT_MODES = (b"\x1b[?25", b"\x1b[?1049")


def lorasmith(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tui", *map(str, arguments)]


class Terminal:
    """Runs a command in a pty of its own session and follows what it draws; use it as a context."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str] | None = None,
        before: Callable[[], object] = lambda: None,
        controls: bool = True,
    ) -> None:
        """`before` is called in the child, ahead of the command; without `controls` it gets no signal of the pty."""
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self._begun = b""
        self.first_byte: float | None = None
        self._guard = threading.Lock()
        self._held = threading.Event()
        self._closing = threading.Event()
        self.master, slave = pty.openpty()
        self.resize(*size, tell=False)

        def controlling_terminal() -> None:
            os.setsid()
            if controls:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            before()

        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=controlling_terminal,
            env=surroundings(env or {}), cwd=ROOT,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.hang_up()

    def _read(self) -> None:
        master = self.master
        while not self._closing.is_set():
            ready, _, _ = select.select([master], [], [], 0.1)
            if self._held.is_set():
                self._closing.wait(0.05)
                continue
            try:
                data = os.read(master, 65536) if ready else None
            except OSError:
                return  # the command's side is closed
            if data:
                with self._guard:
                    self.first_byte = self.first_byte or time.monotonic()
                    self.raw += data
                    data = self._begun + data
                    begun = _BEGUN.search(data)
                    self._begun = data[begun.start() :] if begun else b""
                    self._stream.feed(_UNKNOWN.sub(_known, data[: len(data) - len(self._begun)]))

    def hold(self) -> None:
        """Stops reading, as a line that stalls."""
        self._held.set()

    def go_on(self) -> None:
        self._held.clear()

    def hang_up(self) -> None:
        """Closes the terminal's window."""
        if self.master >= 0:
            self._closing.set()
            self._reader.join()  # or it would read from whatever gets this descriptor's number next
            os.close(self.master)
            self.master = -1

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            with self._guard:
                self.screen.resize(lines, columns)
            self.process.send_signal(signal.SIGWINCH)

    def keys(self, text: str) -> None:
        os.write(self.master, text.encode())

    @property
    def text(self) -> str:
        """What is on the screen, its empty lines included."""
        with self._guard:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, *wanted: str, seconds: float = _PATIENCE) -> str:
        """Waits until all of this is on the screen."""
        end = time.monotonic() + seconds
        while not all(words in self.text for words in wanted):
            assert time.monotonic() < end, f"never showed {wanted}:\n{self.text}"
            time.sleep(0.02)
        return self.text

    def until_quiet(self, quiet: float = 0.6, seconds: float = _PATIENCE) -> int:
        """Waits until nothing more is drawn for a while; how many bytes there were so far."""
        end, before, since = time.monotonic() + seconds, -1, time.monotonic()
        while time.monotonic() - since < quiet:
            assert time.monotonic() < end, "it never came to rest"
            if len(self.raw) != before:
                before, since = len(self.raw), time.monotonic()
            time.sleep(0.02)
        return len(self.raw)

    def ended(self, seconds: float = 10.0) -> int:
        """Waits for the command's end; its exit code."""
        return self.process.wait(seconds)


def _known(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0].startswith(_KEPT_MODES) else b""


def surroundings(extra: Mapping[str, str]) -> dict[str, str]:
    """A person's environment on a plain xterm, without what this test run brings along."""
    ours = ("TEXTUAL", "TMUX", "SSH", "COLORTERM", "NO_COLOR", "LC_", "LANG", "TERM", "ESCDELAY", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LANG": "C.UTF-8"} | dict(extra)
