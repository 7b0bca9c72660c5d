"""A window in which a folder is looked for, by keys alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen

from engine.dataset.picture import PICTURE_SUFFIXES
from engine.dataset.walk import natural_key
from engine.errors import shown
from tui.steps.form import Said
from tui.text import count, home_path
from tui.widgets.board import Row
from tui.widgets.listing import Listing

_MOST = 20_000  # entries of one folder that are looked at


@dataclass(frozen=True)
class Place:
    """A folder as it is listed: its folders and archives, and how many pictures lie directly in it."""

    path: Path
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    pictures: int
    trouble: str = ""


def list_place(path: Path) -> Place:
    """Lists a folder; one that cannot be read says so."""
    folders, archives, pictures = [], [], 0
    try:
        with os.scandir(path) as listing:
            for _, entry in zip(range(_MOST), listing, strict=False):
                suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a name, not a path
                if entry.name.startswith("."):
                    continue
                if suffix in PICTURE_SUFFIXES:
                    pictures += 1
                elif suffix == ".zip":
                    archives.append(entry.name)
                elif entry.is_dir():
                    folders.append(entry.name)
    except OSError as error:
        return Place(path, (), (), 0, f"{shown(path)} cannot be read ({error.strerror}).")
    order = lambda name: natural_key(Path(name))  # noqa: E731
    return Place(path, tuple(sorted(folders, key=order)), tuple(sorted(archives, key=order)), pictures)


def nearest_folder(text: str) -> Path:
    """The folder in which to begin looking: the one that is typed, or the nearest above it that is there."""
    path = Path(os.path.expanduser(text or "~")).absolute()  # noqa: PTH111 - the ~ of nobody here stays instead of raising
    while not os.path.isdir(path) and path != path.parent:  # noqa: PTH112 - no error where a folder above is closed
        path = path.parent
    return path


class Browse(ModalScreen[str | None]):
    """Returns the folder (or .zip) that was taken; `escape` leaves all as it is (None)."""

    DEFAULT_CSS = """
    Browse { align: center middle; }
    Browse > Vertical {
        width: 76; height: 20; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    Browse #place { height: 1; margin-bottom: 1; }
    Browse #keys { height: 1; margin-top: 1; }
    """

    BINDINGS = [
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("left,backspace,h", "up", show=False),
        Binding("right", "enter", show=False),
        Binding("t,space", "take_here", show=False),
    ]

    @dataclass
    class Listed(Message):
        """Posted by the thread that read the folder; `came_from` is the folder to stand on."""

        place: Place
        came_from: str = ""

    def __init__(self, start: Path) -> None:
        super().__init__()
        self.place = Place(start, (), (), 0)
        self.entries: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Said(id="place", indent=0)
            yield Listing(self._line, leaves=False, takes="open")
            yield Said(id="keys", indent=0)

    def on_mount(self) -> None:
        said = "enter opens, t takes the open folder, left goes up, escape closes"
        self.query_one("#keys", Said).show((said, "muted"))
        self.query_one(Listing).focus()
        self._list(self.place.path)

    @work(thread=True, exclusive=True, group="list", exit_on_error=False)
    def _list(self, path: Path, came_from: str = "") -> None:
        self.post_message(self.Listed(list_place(path), came_from))

    def on_browse_listed(self, message: Listed) -> None:
        self.place = message.place
        self.entries = ["", "..", *self.place.folders, *self.place.archives]
        words = self.place.trouble or home_path(self.place.path)
        self.query_one("#place", Said).show((words, "warn" if self.place.trouble else "strong"))
        came_from = message.came_from
        at = self.entries.index(came_from) if came_from in self.entries else 0 if self.place.pictures else 2
        self.query_one(Listing).fill(len(self.entries), at=at)

    def _line(self, at: int, here: bool, width: int) -> Row:
        mark = ("▸ " if here else "  ", "accent")
        name = self.entries[at]
        if at == 0:
            number = count(self.place.pictures, "picture") if self.place.pictures else "no pictures directly in it"
            return [mark, ("take this folder", "strong" if here else "good"), (f"  {number}", "muted")]
        if name in self.place.archives:
            return [mark, (shown(name), "strong" if here else "plain")]
        return [mark, (shown(name) + "/", "strong" if here else "plain")]

    def on_listing_taken(self, event: Listing.Taken) -> None:
        name = self.entries[event.at]
        if event.at == 0:
            self.action_take_here()
        elif name == "..":
            self.action_up()
        elif name in self.place.archives:
            self.dismiss(str(self.place.path / name))
        else:
            self._list(self.place.path / name)

    def action_enter(self) -> None:
        at = self.query_one(Listing).at
        if at >= 2 and self.entries[at] in self.place.folders:
            self._list(self.place.path / self.entries[at])

    def action_up(self) -> None:
        self._list(self.place.path.parent, self.place.path.name)

    def action_take_here(self) -> None:
        self.dismiss(str(self.place.path))
