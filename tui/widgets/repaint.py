"""Sends the terminal the cells that changed, and of their colours what changed from one cell to the next.

Textual 8 cuts a repainted region off at its right end only: what lies left of it in the same widget is sent again,
up to 2 kB for one new dot at the end of a chart. And it states every run of text with both its colours and a reset,
some 45 bytes in 24-bit colour. These classes cut at both ends and state only the colour that is another, which
halves a screen. They lean on private names of Textual, which is why nothing else does; tests hold the bytes, so
that a Textual which does it itself lets this file go.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

_PLAIN = Style()
_RESET = "\x1b[0m"


class _Pen:
    """Writes strips one after the other, knowing how the last letter looked."""

    def __init__(self, console: Console) -> None:
        self.system = console._color_system or ColorSystem.TRUECOLOR
        self.look: Style = _PLAIN
        self.sent: list[str] = [_RESET]

    def write(self, x: int, y: int, strips: Iterable[Strip]) -> None:
        self.sent.append(Control.move_to(x, y).segment.text)
        for strip in strips:
            for text, style, control in strip:
                style = style or _PLAIN
                if control or style.link:
                    self.sent.append(_RESET + style.render(text, color_system=self.system))
                    self.look = _PLAIN
                    continue
                if style is not self.look:
                    self.sent.append(change(self.look, style, self.system))
                    self.look = style
                self.sent.append(text)

    def done(self) -> str:
        return "".join([*self.sent, _RESET])


@lru_cache(maxsize=65536)
def change(was: Style, now: Style, system: ColorSystem) -> str:
    """The codes that turn one look into another."""
    if was == now:
        return ""
    if was.without_color != now.without_color:
        mark = "\0"
        return _RESET + now.render(mark, color_system=system).partition(mark)[0]
    codes = []
    for before, after, foreground in ((was.color, now.color, True), (was.bgcolor, now.bgcolor, False)):
        if before != after:
            codes += (after or Color.default()).downgrade(system).get_ansi_codes(foreground)
    return f"\x1b[{';'.join(codes)}m"


class _CellsUpdate(ChopsUpdate):
    """A partial update, cell by cell."""

    def render_segments(self, console: Console) -> str:
        pen = _Pen(console)
        for y, begin, end in self.spans:
            for strip_end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                first, last = max(x, begin), min(strip_end, end)
                if strip is not None and first < last:
                    pen.write(first, y, [strip.crop(first - x, last - x)])
        return pen.done()


class _ScreenUpdate(LayoutUpdate):
    """The whole screen."""

    def render_segments(self, console: Console) -> str:
        pen = _Pen(console)
        for y, line in enumerate(self.strips, self.region.y):
            pen.write(self.region.x, y, line)
        return pen.done()


class CellsCompositor(Compositor):
    """Textual's, with the updates above."""

    def render_update(self, *arguments: object, **options: object) -> CompositorUpdate | None:
        update = super().render_update(*arguments, **options)  # type: ignore[arg-type]
        if isinstance(update, ChopsUpdate):
            return _CellsUpdate(update.chops, update.spans, update.chop_ends)
        return _ScreenUpdate(update.strips, update.region) if isinstance(update, LayoutUpdate) else None
