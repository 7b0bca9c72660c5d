"""A real tmux of 80x24: keys go in by their names, and what its window shows is read back."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from terminal import ROOT, lorasmith, surroundings


@dataclass(frozen=True)
class Tmux:
    """A tmux server of this test's own."""

    program: str
    socket: Path

    def __call__(self, *arguments: str) -> str:
        command = [self.program, "-S", str(self.socket), "-f", "/dev/null", *arguments]
        env = surroundings({"TERM": "xterm-256color"})
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=30)
        return done.stdout

    def open(self, home: Path, *arguments: str) -> None:
        """A shell of 80x24 in which `lorasmith ARGUMENTS` has been typed."""
        self("new-session", "-d", "-x", "80", "-y", "24", "-c", str(ROOT),
             f"PS1='$ ' LORASMITH_HOME={shlex.quote(str(home))} sh")  # fmt: skip
        self.command(*arguments)

    def command(self, *arguments: str) -> None:
        """Types `lorasmith ARGUMENTS` into the shell."""
        self("send-keys", shlex.join(lorasmith(*arguments)), "Enter")

    def keys(self, *names: str) -> None:
        self("send-keys", *names)

    def type(self, text: str) -> None:
        """Letters as they are, also where they are the name of a key."""
        self("send-keys", "-l", text)

    @property
    def text(self) -> str:
        return self("capture-pane", "-p")

    def until(self, *wanted: str, seconds: float = 30.0) -> str:
        """Waits until all of this is in the window."""
        end = time.monotonic() + seconds
        while True:
            text = self.text
            if all(words in text for words in wanted):
                return text
            assert time.monotonic() < end, f"never showed {wanted}:\n{text}"
            time.sleep(0.05)
