"""Pictures as pixels, by Kitty's protocol or by Sixel, where a person says that their terminal shows them.

The terminal itself is never asked: over a slow line its answer would come late and type itself into the screen. The
library that does the drawing (textual-image, the extra `images`) asks when it is imported; here it is imported
before a stand-in that is no terminal, and what it sends goes the way of everything else on the screen.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import LorasmithError, shown

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

WAYS = ("half", "kitty", "sixel", "off")
"""Half-blocks, which every terminal shows; Kitty's graphics; Sixel; no pictures."""


def choose(asked: str | None, env: Mapping[str, str]) -> str:
    """What was asked for on the command line, else in LORASMITH_IMAGES, else half-blocks; LorasmithError for others."""
    way = asked or env.get("LORASMITH_IMAGES") or "half"
    if way not in WAYS:
        raise LorasmithError(f"LORASMITH_IMAGES is {shown(way)!r}: it can be {', '.join(WAYS[:-1])} or {WAYS[-1]}")
    return way


def prepare(way: str, env: Mapping[str, str]) -> None:
    """Imports the library where it is needed, before the screen is drawn; LorasmithError says what is missing."""
    if way not in {"kitty", "sixel"}:
        return
    if env.get("TMUX") and (lacking := _tmux_lacks(way)):
        raise LorasmithError(lacking)
    cell = _cell_size()
    if cell is not None:
        os.environ.setdefault("TEXTUAL_CELL_WIDTH", str(cell[0]))
        os.environ.setdefault("TEXTUAL_CELL_HEIGHT", str(cell[1]))
    try:
        with _sending(lambda text: None):
            # What it finds out at import, it is to find out now.
            import textual_image.widget  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise LorasmithError(
            f"--images {way} needs the package textual-image: `pip install 'lorasmith[images]'`, or leave it out for "
            "half-blocks"
        ) from None


def large_picture(way: str) -> Widget:
    """A widget that shows one picture as large as it goes, after `prepare`; give it a path with its `image`."""
    with _sending(lambda text: None):
        from textual_image.widget import SixelImage, TGPImage  # pyright: ignore[reportMissingImports]

    if way == "sixel":
        return SixelImage(classes="large")

    class KittyPicture(TGPImage, Renderable=TGPImage._Renderable):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
        """Sends its picture in order with the rest of the screen, through tmux where there is one."""

        def render_lines(self, crop):
            with _sending(_to(self.app)):
                return super().render_lines(crop)

        def show(self, path: Path | None) -> None:
            with _sending(_to(self.app)):
                self.image = path

        def on_unmount(self) -> None:
            self.show(None)

    return KittyPicture(classes="large")


def show_large(widget: Widget, path: Path | None) -> None:
    """Shows this file; None takes the picture off the screen."""
    if (show := getattr(widget, "show", None)) is not None:
        show(path)
    else:
        widget.image = path  # type: ignore[attr-defined]


def through_tmux(text: str) -> str:
    """A message that tmux hands to its own terminal as it is."""
    return "\x1bPtmux;" + text.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _to(app: App) -> Callable[[str], None]:
    wrap = through_tmux if os.environ.get("TMUX") else str
    driver = app._driver
    return (lambda text: driver.write(wrap(text))) if driver is not None else (lambda text: None)


class _StandIn(io.StringIO):
    """What the library takes for stdout: no terminal, so that it asks nothing; what it writes is handed on."""

    def __init__(self, send: Callable[[str], None]) -> None:
        super().__init__()
        self.send = send

    def write(self, text: str) -> int:
        self.send(text)
        return len(text)


@contextlib.contextmanager
def _sending(send: Callable[[str], None]) -> Iterator[None]:
    kept, sys.__stdout__ = sys.__stdout__, _StandIn(send)  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stdout__ = kept  # type: ignore[misc]


def _cell_size() -> tuple[int, int] | None:
    """A cell's width and height in pixels, as the kernel knows it; ssh passes it on, tmux often does not."""
    try:
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return None
    return (width // columns, height // rows) if rows and columns and width and height else None


def _tmux_lacks(way: str) -> str:
    """What tmux does not let through, as one sentence; "" where it does, or where it cannot be asked."""
    asks = "#{allow-passthrough}" if way == "kitty" else "#{client_termfeatures}"
    try:
        done = subprocess.run(["tmux", "display-message", "-p", asks], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = done.stdout.strip()
    if done.returncode or (said in {"on", "all", "1", "2"} if way == "kitty" else "sixel" in said):
        return ""
    if way == "kitty":
        return "tmux holds Kitty's pictures back: `tmux set -g allow-passthrough on` lets them through (tmux 3.3)"
    return (
        "this tmux does not pass Sixel on: that takes tmux 3.4 built with it and "
        "`tmux set -as terminal-features ',*:sixel'`"
    )
