"""Keys one after the other, however fast they arrive.

Textual hands a letter straight to the field that has the focus, while Tab, Enter or Backspace first rise from it to the
app, and a screen that a key opens is made later still. When a stalled line delivers a dozen keys at once, letters typed
after a Tab would land in the field before it, and those typed after the `n` that opens a form would be taken for
commands. So a key waits until the one before has been through all that may answer it, and the screen it opened stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.timer import Timer

_LOOK = 0.5  # seconds between two looks whether what a key waits for is still there
_LONGEST = 10.0  # seconds a key is waited for at all


class KeyOrder:
    """Passes keys on to the app one at a time."""

    def __init__(self, app: App[None], deliver: Callable[[events.Key], Awaitable[None]]) -> None:
        self._app, self._deliver = app, deliver
        self._waiting: deque[events.Key] = deque()
        self._under_way = 0  # number of the key that is on its way, 0 = none
        self._count = 0
        self._place: MessagePump = app  # where it is waited for
        self._screen: Screen[object] | None = None  # what was shown when it was delivered
        self._guard: Timer | None = None
        self._looks = 0
        self._holds = 0

    async def take(self, event: events.Key) -> None:
        """Delivers a key, now or when those before it have been answered."""
        self._waiting.append(event)
        if not self._under_way:
            await self._next()

    def hold(self) -> None:
        """Lets no further key through until `release`: another screen is coming."""
        self._holds += 1

    async def release(self) -> None:
        self._holds -= 1
        if not self._under_way:
            await self._next()

    async def _next(self) -> None:
        if not self._waiting or self._holds:
            return
        self._count += 1
        number = self._under_way = self._count
        way = self._way()
        self._screen, self._looks = self._app.screen, 0
        await self._deliver(self._waiting.popleft())
        self._guard = self._app.set_interval(_LOOK, partial(self._look, number))
        await self._follow(number, way)

    def _way(self) -> list[MessagePump]:
        """What a key passes, from the widget with the focus up to the app."""
        app = self._app
        first = app.focused or app.screen
        return [*(node for node in first.ancestors_with_self if node is not app), app]

    async def _follow(self, number: int, way: list[MessagePump]) -> None:
        """Goes the key's way behind it: at each place the key has been answered when this is called."""
        while way:
            place = way.pop(0)
            if place.call_later(self._follow, number, way):
                self._place = place
                return
        if number == self._under_way and (opened := self._opened()) is not None:
            await self._follow(number, [opened])
        else:
            await self._arrived(number)

    def _opened(self) -> Screen[object] | None:
        """The screen that the key has opened, or uncovered, since it was last asked for."""
        before, self._screen = self._screen, self._app.screen
        return None if self._screen is before else self._screen

    async def _look(self, number: int) -> None:
        """Goes on without a key whose widget went away with it."""
        self._looks += 1
        if not self._place.is_running or self._looks * _LOOK >= _LONGEST:
            await self._arrived(number)

    async def _arrived(self, number: int) -> None:
        if number == self._under_way:
            self._under_way = 0
            if self._guard is not None:
                self._guard.stop()
            await self._next()
