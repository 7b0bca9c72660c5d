"""The view of the sample pictures: the newest set, those before it, and one as large as it goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical

from engine.errors import shown
from engine.runs.folder import RunFolder
from tui.watch.story import SampleSet, Seen
from tui.widgets.board import Board, Row, spread
from tui.widgets.graphics import large_picture, show_large
from tui.widgets.picture import Gallery


class _Head(Board):
    DEFAULT_CSS = """
    _Head { height: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: Row = ()
        self.right = ""

    def show(self, left: Row, right: str) -> None:
        self.left, self.right = left, right
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return [spread(self.left, [(self.right, "muted"), (" ", "")], width)]


class Samples(Vertical):
    """Shows the newest pictures until one goes back; then those stay while newer ones are drawn."""

    DEFAULT_CSS = """
    Samples Gallery { padding: 0 1; }
    Samples #large { display: none; height: 1fr; align: center middle; }
    Samples #large .large { width: auto; height: 100%; }
    Samples.-large Gallery { display: none; }
    Samples.-large #large { display: block; }
    """

    def __init__(self, folder: RunFolder, *, ascii_only: bool = False, images: str = "half", classes: str = "") -> None:
        """`images`: one of widgets.graphics.WAYS; by Kitty and Sixel is shown what is alone."""
        super().__init__(classes=classes)
        self.folder = folder
        self.ascii_only = ascii_only
        self.sets: tuple[SampleSet, ...] = ()
        self.at: int | None = None  # which set; None = the newest, also when newer ones come
        self.picked: int | None = None  # which picture of it is alone
        self.large = large_picture(images) if images in {"kitty", "sixel"} else None

    def compose(self) -> ComposeResult:
        yield _Head()
        yield Gallery(ascii_only=self.ascii_only, prompt_lines=3)
        if self.large is not None:
            with Vertical(id="large"):
                yield self.large

    def show(self, seen: Seen) -> None:
        self.sets = seen.samples
        self.draw()

    def draw(self) -> None:
        head, gallery = self.query_one(_Head), self.query_one(Gallery)
        if not self.has_class("-open"):
            return
        if not self.sets:
            head.show([(" No samples yet; d draws them now.", "muted")], "")
            gallery.show(())
            return
        at = self._at()
        shown_set = self.sets[at]
        files = shown_set.files
        picked = None if self.picked is None or not files else self.picked % len(files)
        place = ", ".join(
            part
            for part in (
                f"epoch {shown_set.epoch}" if shown_set.epoch is not None else "",
                f"step {shown_set.step:,}" if shown_set.step is not None else "",
            )
            if part
        )
        which = f"   {shown(files[picked])}" if picked is not None else ""
        left: Row = [(f" {place or 'samples'}", "strong"), (f"  {at + 1} of {len(self.sets)}{which}", "muted")]
        head.show(left, "←→ earlier, later   z one, all" if picked is None else "↑↓ next   z all")
        paths = [self.folder.path / name for name in (files if picked is None else files[picked : picked + 1])]
        gallery.show(paths)
        self._draw_large(paths[0] if picked is not None and paths else None)

    def _draw_large(self, path: Path | None) -> None:
        """The picture that is alone, in pixels where those were asked for."""
        if self.large is None or path == self._large_shown:
            return
        there = path is not None and path.is_file()
        self.set_class(there, "-large")
        show_large(self.large, path if there else None)
        self._large_shown = path

    _large_shown: Path | None = None

    def _at(self) -> int:
        last = len(self.sets) - 1
        return last if self.at is None else max(0, min(self.at, last))

    def older(self, by: int) -> None:
        """To the set drawn `by` earlier; past the newest it follows again."""
        at = self._at() - by
        self.at = None if at >= len(self.sets) - 1 else max(0, at)
        self.draw()

    def pick(self, by: int) -> None:
        """Another picture of the set, where one is alone."""
        if self.picked is not None and self.sets:
            self.picked = (self.picked + by) % max(1, len(self.sets[self._at()].files))
            self.draw()

    def zoom(self) -> None:
        self.picked = 0 if self.picked is None else None
        self.draw()
