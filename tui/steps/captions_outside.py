"""A caption in the person's own editor, while the screen steps aside."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from textual.app import App, SuspendNotSupported

from engine.errors import LorasmithError, shown

_USUAL = ("nano", "vim", "vi")


def editor_command(env: Mapping[str, str]) -> list[str]:
    """$VISUAL, $EDITOR, or a usual editor that is here; LorasmithError where there is none."""
    named = env.get("VISUAL") or env.get("EDITOR") or ""
    try:
        words = shlex.split(named)
    except ValueError:
        raise LorasmithError(f"EDITOR is {shown(named)}, which is no command: set it to an editor's name.") from None
    if words:
        if shutil.which(words[0]) is None:
            raise LorasmithError(f"EDITOR names {shown(words[0])}, which is not here: set it to an editor that is.")
        return words
    found = next((name for name in _USUAL if shutil.which(name)), None)
    if found is None:
        raise LorasmithError("No editor is here: set EDITOR to one, or edit in place with enter.")
    return [found]


def edited_outside(app: App[None], text: str) -> str:
    """The text after the person's editor had it; LorasmithError where the editor did not end well."""
    command = editor_command(os.environ)
    with tempfile.TemporaryDirectory(prefix="caption-") as folder:
        path = Path(folder) / "caption.txt"
        path.write_text(text + "\n", encoding="utf-8")
        try:
            with app.suspend():
                code = subprocess.run([*command, str(path)], check=False).returncode
        except SuspendNotSupported:
            raise LorasmithError("This terminal cannot step aside for an editor: edit in place with enter.") from None
        except OSError as error:
            raise LorasmithError(f"{shown(command[0])} cannot be started ({error.strerror}): set EDITOR.") from error
        if code:
            raise LorasmithError(f"{shown(command[0])} ended with code {code}, so the caption stays as it was.")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise LorasmithError(f"{shown(command[0])} left no text to read, so the caption stays as it was.") from None
