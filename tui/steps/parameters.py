"""Step 6: the recipe, the one dial, what it takes; and, one key away, the table of everything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widget import Widget

from engine.errors import LorasmithError, shown
from engine.files import write_atomic
from engine.kohya_preset import import_kohya, report_lines
from engine.plan_file import read_plan, with_changes, write_plan
from engine.runs.folder import home
from tui.draft import Draft
from tui.steps import recipe
from tui.steps.ask import AskPath
from tui.steps.figures import brief, figures
from tui.steps.form import LABEL, Line, Said
from tui.steps.parameter_table import ParameterTable
from tui.steps.step import Journey
from tui.steps.table import own_keys
from tui.steps.wizard import WizardScreen
from tui.text import home_path, typed_path
from tui.watch.boards import wrap
from tui.widgets.board import Board, Row
from tui.widgets.dialogs import Help


class Dial(Board, can_focus=True):
    """Light, normal, strong: one of them chosen with the arrows."""

    DEFAULT_CSS = """
    Dial { height: 1; width: 1fr; }
    """

    BINDINGS = [
        Binding("left,h", "turn(-1)", show=False, tooltip="lighter"),
        Binding("right,l", "turn(1)", show=False, tooltip="stronger"),
        Binding("up", "app.focus_previous", show=False),
        Binding("down,enter", "app.focus_next", show=False),
    ]

    help_text = (
        "The one dial: how long the subject is learnt. Light is three quarters of the usual length, strong half as "
        "long again. Each epoch leaves a checkpoint, so that the choice between them does the rest."
    )

    def rows(self, width: int, height: int) -> Iterable[Row]:
        screen = self.screen
        assert isinstance(screen, ParametersScreen)
        now = screen.draft.strength
        row: list[tuple[str, str]] = []
        for name in recipe.STRENGTHS:
            row += [("● " if name == now else "  ", "good"), (f"{name:<10}", "strong" if name == now else "plain")]
        said = "own figures" if now not in recipe.STRENGTHS else "left and right turn it"
        row.append((said if width > 56 else "← →", "muted"))
        yield row

    def action_turn(self, by: int) -> None:
        screen = self.screen
        assert isinstance(screen, ParametersScreen)
        screen.turn(by)


class Takes(Board):
    """The figures, each in its lines."""

    DEFAULT_CSS = """
    Takes { height: 1fr; }
    """

    def rows(self, width: int, height: int) -> Iterable[Row]:
        screen = self.screen
        assert isinstance(screen, ParametersScreen)
        for figure in figures(screen.draft.plan, screen.outlook):
            for at, line in enumerate(wrap(figure.said, max(20, width - LABEL - 1))):
                yield [(f" {figure.word if at == 0 else '':<{LABEL - 1}}", "muted"), (line, figure.ink)]
        own = own_keys(screen.draft)
        if own:
            said = f"changed by you: {', '.join(key.rpartition('.')[2] for key in own)}"
            for line in wrap(said, max(20, width - LABEL - 1)):
                yield [(" " * LABEL, ""), (line, "accent")]


class ParametersScreen(WizardScreen):
    """The dial, or the table."""

    HELP = (
        "How it is trained. The recipe fits the kind and the card; the dial makes it longer or shorter; most people "
        "go on with normal.\n\n"
        "The table shows every value there is, each with what it means, what a higher and a lower value do, and "
        "advice. A value of your own is marked with a star and stays when the recipe changes; r takes the recipe's "
        "again. What is typed and is no value stays as you typed it, with the sentence that says why."
    )

    BINDINGS = [
        Binding("a", "table", "all values", tooltip="the table of everything, or back to the dial"),
        Binding("slash", "filter", "find", key_display="/", tooltip="the table: type a part of what you look for"),
        Binding("r", "reset", "reset", tooltip="the table: take the recipe's value again"),
        Binding("o", "open", "open", tooltip="open a recipe: a plan (.toml), or a preset of kohya's GUI (.json)"),
        Binding("w", "write", "write", tooltip="write this recipe to a file, without pictures and words"),
    ]

    DEFAULT_CSS = """
    ParametersScreen #dial-view { height: 1fr; }
    ParametersScreen #recipe { height: 2; margin-bottom: 1; }
    ParametersScreen #turn { height: 3; margin-bottom: 1; }
    ParametersScreen ParameterTable { display: none; }
    ParametersScreen.-table #dial-view { display: none; }
    ParametersScreen.-table ParameterTable { display: block; }
    ParametersScreen.-table #fields { padding: 0; }
    ParametersScreen.-wide #fields { layout: horizontal; padding: 1 1 0 1; }
    ParametersScreen.-wide #turn { height: 5; }
    ParametersScreen.-wide #dial-view { display: block; width: 1fr; }
    ParametersScreen.-wide ParameterTable { display: block; width: 66; }
    """

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.table = ParameterTable()

    def fields(self) -> ComposeResult:
        with Vertical(id="dial-view"):
            yield Line("Recipe", Said(id="recipe", indent=0))
            yield Line("Strength", Dial())
            yield Said(id="turn")
            yield Takes()
        yield self.table

    def first_field(self) -> Widget | None:
        return self.query_one(Dial)

    def show(self) -> None:
        draft = self.draft
        self.query_one("#recipe", Said).show((recipe.recipe_words(draft), "plain"))
        pictures = recipe.pictures_trained(draft)
        words = recipe.turn_words(draft.plan.subject.kind, draft.strength, pictures)
        if self.counted:
            words = f"The pictures are being read: {self.counted[0]:,} of {self.counted[1]:,}."
        self.query_one("#turn", Said).show((words, "plain"))
        self.query_one(Dial).redraw()
        self.query_one(Takes).redraw()
        self.table.show(draft, brief(figures(draft.plan, self.outlook)))

    def turn(self, by: int) -> None:
        """The dial one place on; from figures of one's own it goes to normal."""
        now = self.draft.strength
        places = recipe.STRENGTHS
        to = places[max(0, min(places.index(now) + by, 2))] if now in places else "normal"
        self.change(recipe.turned(self.draft, to, recipe.pictures_trained(self.draft)))

    # The table.

    @property
    def in_table(self) -> bool:
        return self.has_class("-table")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"filter", "reset"}:
            return self.in_table and not self.typing
        if action in {"open", "write"}:
            return not self.typing and not self.in_table
        if action == "table":
            return not self.typing
        return super().check_action(action, parameters)

    def key_label(self, action: str) -> str | None:
        if action == "table":
            return "dial" if self.in_table else None
        return super().key_label(action)

    def action_table(self) -> None:
        self.toggle_class("-table")
        if self.in_table:
            self.table.begin()
        else:
            self.set_focus(self.query_one(Dial))
        self.show()
        self.refresh_bindings()

    def action_filter(self) -> None:
        self.table.filter()

    def action_reset(self) -> None:
        self.table.reset()

    def action_leave_field(self) -> None:
        if self.in_table:
            self.table.leave_field()
        else:
            super().action_leave_field()

    def on_parameter_table_changed(self, message: ParameterTable.Changed) -> None:
        self.change(message.draft)

    # Recipes as files.

    def action_open(self) -> None:
        question = "Which recipe? A plan (.toml), or a preset of kohya's GUI (.json)."
        start = str(home() / "recipes") + "/" if (home() / "recipes").is_dir() else ""
        self.app.push_screen(AskPath(question, start, (".toml", ".json")), self._open)

    def _open(self, path: str | None) -> None:
        if path is None:
            return
        try:
            path = str(typed_path(path))
            if path.lower().endswith(".json"):
                imported = import_kohya(path)
                self.change(recipe.with_recipe_of(self.draft, imported.plan))
                self.app.push_screen(Help("\n".join(report_lines(imported, 70)), ()))
            else:
                self.change(recipe.with_recipe_of(self.draft, read_plan(path)))
                self.say(f"The recipe of {shown(Path(path).name)} is taken over; pictures, words and base are yours.")
        except LorasmithError as error:
            self.say(str(error).splitlines()[0])

    def action_write(self) -> None:
        name = self.draft.plan.output.name or "recipe"
        question = "Where to? The recipe is written without your pictures, words and base."
        self.app.push_screen(AskPath(question, str(home() / "recipes" / f"{name}.toml")), self._write)

    def _write(self, text: str | None) -> None:
        if text is None:
            return
        try:
            path = typed_path(text)
        except LorasmithError as error:
            self.say(str(error))
            return
        if text.endswith("/") or os.path.isdir(path):  # noqa: PTH112 - no error where a folder above is closed
            self.say(f"{home_path(path)} is a folder: add the name that the recipe is to have.")
            return
        if path.suffix != ".toml":
            path = path.with_name(path.name + ".toml")
        if os.path.lexists(path):
            self.say(f"{home_path(path)} exists and is not overwritten: choose another name.")
            return
        try:
            if path.parent == home() / "recipes":
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            plan = with_changes(
                recipe.without_subject(self.draft.plan), {"subject.kind": self.draft.plan.subject.kind}
            )
            write_atomic(path, write_plan(plan, head=f"A recipe for: {plan.subject.kind}. The wizard opens it with o."))
        except (LorasmithError, OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or shown(error)
            self.say(f"Not written ({why}): choose another place than {home_path(path)}.")
        else:
            self.say(f"Written to {home_path(path)}.")


