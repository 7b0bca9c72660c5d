"""Keys one after the other, however fast they arrive.

Textual hands a letter straight to the field that has the focus, while Tab, Enter or Backspace first rise from it to the
app. When a stalled line delivers a dozen keys at once, letters typed after a Tab would land in the field before it. So
a key waits until the one before has been through all that may answer it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

_LONGEST = 0.5  # seconds a key is waited for whose widget went away with it


class KeyOrder:
    """Passes keys on to the app one at a time."""

    def __init__(self, app: App[None], deliver: Callable[[events.Key], Awaitable[None]]) -> None:
        self._app, self._deliver = app, deliver
        self._waiting: deque[events.Key] = deque()
        self._under_way = 0  # number of the key that is on its way, 0 = none
        self._count = 0

    async def take(self, event: events.Key) -> None:
        """Delivers a key, now or when those before it have been answered."""
        self._waiting.append(event)
        if not self._under_way:
            await self._next()

    async def _next(self) -> None:
        if not self._waiting:
            return
        self._count += 1
        number = self._under_way = self._count
        way = self._way()
        await self._deliver(self._waiting.popleft())
        self._app.set_timer(_LONGEST, partial(self._arrived, number))
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
                return
        await self._arrived(number)

    async def _arrived(self, number: int) -> None:
        if number == self._under_way:
            self._under_way = 0
            await self._next()
