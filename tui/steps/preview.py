"""One picture with what the training cuts off it: the parts that go are dark."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from textual import work
from textual.geometry import Size

from engine.dataset.buckets import Fit
from engine.dataset.picture import open_small
from engine.errors import DatasetError
from tui.widgets.picture import Drawn, Gallery, _stamp, draw_image

_DIMMED = 0.3  # of its light is left to what is cut off


class Preview(Gallery):
    """Shows one picture and its cut; give it both with `show_cut`."""

    def __init__(self, *, id: str | None = None, ascii_only: bool = False) -> None:
        super().__init__(id=id, ascii_only=ascii_only)
        self.fit: Fit | None = None

    def show_cut(self, path: Path | None, fit: Fit | None) -> None:
        paths = (path,) if path is not None else ()
        if paths != self.paths or fit != self.fit:
            self.paths, self.fit = paths, fit
            self._load()

    @work(thread=True, exclusive=True, group="pictures", exit_on_error=False)
    def _draw(self, paths: tuple[Path, ...], room: Size, one: Size) -> None:
        drawn = tuple(draw_cut(path, _stamp(path), one, self.ascii_only, self.fit) for path in paths)
        self.post_message(self.Ready(paths, room, drawn))


@lru_cache(maxsize=128)
def draw_cut(path: Path, _stamp: int, room: Size, ascii_only: bool, fit: Fit | None) -> Drawn:
    """The picture as large as fits, darkened where it is cut off."""
    try:
        image = open_small(path, max(32, room.height * 2)).image
    except DatasetError:
        return Drawn((), Size(0, 0), "cannot be shown")
    if fit is not None and fit.loss > 0:
        left, top, right, bottom = kept_box(image.size, fit)
        dark = image.point(lambda light: int(light * _DIMMED))
        dark.paste(image.crop((left, top, right, bottom)), (left, top))
        image = dark
    return draw_image(image.convert("RGB") if image.mode != "RGB" else image, room, ascii_only)


def kept_box(size: tuple[int, int], fit: Fit) -> tuple[int, int, int, int]:
    """What of a picture of this size is trained, as (left, top, right, bottom) pixels."""
    across, down = size[0] / fit.resized[0], size[1] / fit.resized[1]
    left, top = fit.crop
    return (
        round(left * across), round(top * down),
        round((left + fit.bucket[0]) * across), round((top + fit.bucket[1]) * down),
    )  # fmt: skip
