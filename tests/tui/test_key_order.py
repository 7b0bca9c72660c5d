"""A dozen keys delivered at once do what they do one by one."""

from __future__ import annotations

import time

import pytest
from pilots import holds
from recorded_run import new_recorded_run
from textual.app import App, ComposeResult
from textual.events import Key
from textual.widgets import Input

from tui.app import LorasmithApp
from tui.key_order import KeyOrder
from tui.steps.step import Field
from tui.steps.subject import SubjectScreen
from tui.watch.screen import SAMPLES, WatchScreen


class TwoFields(App[None]):
    """Two fields, whose keys come one after the other where `ordered`."""

    def __init__(self, ordered: bool) -> None:
        super().__init__()
        self.order = KeyOrder(self, super().on_event) if ordered else None

    async def on_event(self, event) -> None:
        if self.order is not None and isinstance(event, Key) and not event.is_forwarded:
            await self.order.take(event)
        else:
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        yield Input(id="first")
        yield Input(id="second")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.remove()


def burst(app: App[None], *keys: str) -> None:
    """Every key is there before the first is looked at, as after a line that stalled."""
    for key in keys:
        app.post_message(Key(key, key if len(key) == 1 else None))


@pytest.mark.asyncio
@pytest.mark.parametrize(("ordered", "first", "second"), [(True, "a", "bd"), (False, "abcd", "")])
async def test_letters_after_a_tab_go_to_the_next_field_only_in_order(ordered: bool, first: str, second: str):
    app = TwoFields(ordered)
    async with app.run_test() as pilot:
        burst(app, "a", "tab", "b", "c", "backspace", "d")
        await pilot.pause(0.1)
        assert app.query_one("#second", Input).value == second
        assert app.query_one("#first", Input).value.startswith(first[:1])


@pytest.mark.asyncio
async def test_a_field_that_goes_away_with_its_key_does_not_hold_up_the_next():
    app = TwoFields(ordered=True)
    async with app.run_test() as pilot:
        burst(app, "a", "enter", "b", "c")
        await pilot.pause(1.2)
        assert not app.query("#first") and app.query_one("#second", Input).value.endswith("c")


@pytest.mark.asyncio
@pytest.mark.parametrize("slow", [0.0, 0.7], ids=["at once", "on a slow machine"])
async def test_the_wizard_is_opened_and_filled_by_keys_that_arrive_together(own_home, monkeypatch, slow: float):
    """Also where the screen that takes the letters is not there yet: `b` alone would go back."""
    made = SubjectScreen.fields

    def fields(screen: SubjectScreen) -> ComposeResult:
        time.sleep(slow)
        yield from made(screen)

    monkeypatch.setattr(SubjectScreen, "fields", fields)
    app = LorasmithApp()
    async with app.run_test(size=(80, 24)) as pilot:
        burst(app, "n", *"bear", "tab", "down", "down", "space")
        await holds(pilot, lambda: isinstance(app.screen, SubjectScreen), "the first step")
        await holds(pilot, lambda: app.screen.draft.plan.subject.kind == "animal", "the kind")
        assert app.screen.draft.name == "bear"
        assert app.screen.query(Field).first().value == "bear"


@pytest.mark.asyncio
async def test_keys_of_a_window_that_a_key_opens_and_of_what_lies_below_it(own_home):
    recorded = new_recorded_run()
    recorded.start()
    app = LorasmithApp(recorded.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await holds(pilot, lambda: isinstance(app.screen, WatchScreen) and app.screen.seen, "the monitor")
        burst(app, "question_mark", "q", "3", "question_mark", "escape", "2")
        await holds(pilot, lambda: isinstance(app.screen, WatchScreen) and app.screen.view == SAMPLES, "the samples")
