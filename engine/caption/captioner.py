"""What every captioner is: pictures in, one text a picture out, in two halves so that the slow one never waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from PIL import Image


class Captioner(ABC):
    """Looks at pictures and says what it sees.

    `prepare` is the processor's half (resizing, tokens; any thread may do it, ahead of time), `write` the model's.
    `batch` is how many pictures it likes at once, `long_side` the pixels beyond which it sees no more, `instructed`
    whether it can be told what to write, `tags` whether it writes comma-separated tags instead of a sentence.
    """

    name: str
    batch: int = 1
    long_side: int = 1024
    instructed: bool = False
    tags: bool = False

    def caption(self, images: Sequence[Image.Image], instruction: str = "") -> list[str]:
        """A text for each picture (RGB, any sizes), as the model gives it."""
        return self.write(self.prepare(images, instruction)) if images else []

    @abstractmethod
    def prepare(self, images: Sequence[Image.Image], instruction: str) -> Any:
        """What `write` takes, on the processor; nothing of it depends on the model's weights."""

    @abstractmethod
    def write(self, prepared: Any) -> list[str]:
        """The texts; an out-of-memory error passes on, and the caller tries fewer pictures."""
