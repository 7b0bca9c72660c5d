"""Step 2, where the pictures are: the folder that is typed, further ones, how they come up, and what arrives."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from textual import work
from textual.binding import Binding
from textual.events import DescendantBlur
from textual.message import Message
from textual.widgets import Input

from engine.errors import LorasmithError
from tui.draft import FOLDER, Draft
from tui.steps.ask import AskPath
from tui.steps.bring import search_for, target_folder, upload
from tui.steps.bring_screen import Bring
from tui.steps.browse import Browse, nearest_folder
from tui.steps.ready import folder_trouble
from tui.steps.step import Journey
from tui.steps.wizard import WizardScreen
from tui.text import home_path

_WATCH_SECONDS = 2.0


class FoldersScreen(WizardScreen):
    """The field holds the first folder; a plan may have further ones, each named below it."""

    BINDINGS = [
        Binding("o", "browse", "find", tooltip="look for the folder"),
        Binding("u", "bring", "add", tooltip="how to bring pictures up from your own machine"),
        Binding("a", "another", show=False, tooltip="train on the pictures of a further folder, too"),
        Binding("x", "without", show=False, tooltip="take the last of several folders out again"),
        Binding("f", "field", show=False, tooltip="to the folder's field"),
        Binding("r", "again", show=False, tooltip="read the folder again"),
    ]

    @dataclass
    class FolderChanged(Message):
        """Posted by the thread that watches the folder."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, FoldersScreen.FolderChanged)

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self._leave = threading.Event()

    def other_folders(self) -> None:
        """What follows from other folders; override."""

    def search(self) -> str | None:
        """An address that finds large pictures of the subject, where one is known already; override."""
        return None

    @property
    def further(self) -> tuple[str, ...]:
        """The folders beside the first."""
        return tuple(one.path for one in self.draft.plan.pictures.folders[1:])

    def on_input_changed(self, event: Input.Changed) -> None:
        # Every beginning of a path is a folder, too: it is read when the field is left, not before.
        if event.input.id == "folder" and event.value != self.draft.folder:
            self.change(self.draft.with_typed(FOLDER, event.value))

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        if event.widget.id == "folder" and FOLDER in self.draft.typed:
            self._take(self.draft.typed[FOLDER])

    def _take(self, text: str) -> None:
        """A typed folder becomes the plan's where it is one that can be read; until then the text is kept."""
        if folder_trouble(text):
            self.change(self.draft.with_typed(FOLDER, text))
            return
        path = str(Path(text).expanduser().absolute())
        self._have(path, *(one for one in self.further if one != path))

    def _have(self, *paths: str) -> None:
        """Makes these the plan's folders; what was left out was of the first, so another first takes it in again."""
        before = [one.path for one in self.draft.plan.pictures.folders]
        try:
            draft = self.draft if before == [*paths] else self.draft.with_folders(*paths)
            if before[:1] != [*paths[:1]]:
                draft = draft.with_plan({"pictures.leave_out": ()})
        except LorasmithError as error:
            self.say(str(error))
            return
        self.change(draft.without_typed(FOLDER))
        self.other_folders()

    @work(thread=True, exclusive=True, group="folder", exit_on_error=False)
    def _watch_folder(self) -> None:
        """Says when something has come into the folder or gone from it, once it has come to rest."""
        seen: object = None
        before: object = None
        while not self._leave.wait(_WATCH_SECONDS):
            now = folder_state([one.path for one in self.draft.plan.pictures.folders])
            if seen is None or now[0] != seen[0]:  # type: ignore[index]
                seen = before = now
            elif now != seen and now == before:
                seen = now
                self.post_message(self.FolderChanged())
            before = now

    def on_folders_screen_folder_changed(self, _: FolderChanged) -> None:
        self.look(again=True)

    def action_again(self) -> None:
        self.look(again=True)

    def action_field(self) -> None:
        self.set_focus(self.query_one("#folder"))

    def action_browse(self) -> None:
        self.app.push_screen(Browse(nearest_folder(self.draft.folder)), self._browsed)

    def _browsed(self, path: str | None) -> None:
        if path is not None:
            self.query_one("#folder", Input).value = path
            self._take(path)
            self.set_focus(self.query_one("#table"))

    def action_bring(self) -> None:
        folder = target_folder(self.draft.plan, self.draft.folder)
        search = self.search() or search_for(self.draft.plan)

        def answered(answer: str | None) -> None:
            if answer == "make":
                self._make(folder)

        self.app.push_screen(Bring(upload(folder, os.environ), search), answered)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            self.say(f"{home_path(folder)} cannot be made ({error.strerror}): type another folder.")
            return
        self._browsed(str(folder))

    def action_another(self) -> None:
        first = self.draft.plan.pictures.folders
        if not first:
            self.action_field()
            return
        start = str(Path(first[-1].path).parent) + "/"
        self.app.push_screen(AskPath("A further folder of pictures, trained like the first:", start), self._add)

    def _add(self, text: str | None) -> None:
        if text is None:
            return
        if trouble := folder_trouble(text):
            self.say(trouble)
            return
        path = str(Path(text).expanduser().absolute())
        paths = [one.path for one in self.draft.plan.pictures.folders]
        if path in paths:
            self.say(f"{home_path(Path(path))} is one of the folders already.")
        else:
            self._have(*paths, path)

    def action_without(self) -> None:
        """The files stay where they are; the folder can be added again."""
        paths = [one.path for one in self.draft.plan.pictures.folders]
        if len(paths) > 1:
            self._have(*paths[:-1])
            self.say(f"{home_path(Path(paths[-1]))} is no longer trained; its files stay where they are.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"browse", "bring", "another", "field", "again"}:
            return not self.typing
        if action == "without":
            return not self.typing and bool(self.further)
        return super().check_action(action, parameters)


def folder_state(paths: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The folders, and when something last came into them or went: of each and of the folders directly in it."""
    times = []
    for path in paths:
        try:
            times.append(os.stat(path).st_mtime_ns)  # noqa: PTH116 - once a second or so, of many
            with os.scandir(path) as listing:
                for _, entry in zip(range(2000), listing, strict=False):
                    if entry.is_dir():
                        times.append(entry.stat().st_mtime_ns)
        except OSError:
            times.append(-1)
    return tuple(paths), tuple(times)


