"""What an event says, in a sentence: for the plain lines of `follow` and for the record on the monitor's screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import shown
from engine.runs.events import Event
from tui.text import count, duration, size

if TYPE_CHECKING:
    from engine.compare.outlook import Outlook
    from engine.select.readers import Readers

_BYTES_FROM = 10_000_000  # a stage that counts further counts bytes: nobody has as many pictures
_UNITS = {"regularize": "picture", "words": "picture", "bank": "picture", "plot": "picture",
          "compare": "picture", "caption": "picture", "health": "picture"}  # fmt: skip


def told(event: Event) -> str:
    """The event as a sentence, safe to print; empty for steps, stages and readings, which are figures."""
    teller = _TELLERS.get(event.name)
    return teller(event) if teller is not None else ""


def stage_words(name: str, done: int | None, total: int | None) -> str:
    """'encoding pictures 12/40', 'reading the base model 1.2 of 6.9 GB'."""
    if done is None:
        return shown(name)
    if max(done, total or 0) >= _BYTES_FROM:
        return f"{shown(name)} {progress_words(done, total)}"
    return f"{shown(name)} {done}/{total}" if total is not None else f"{shown(name)} {done}"


def progress_words(done: int, total: int | None) -> str:
    """'1,200 of 4,000', or of bytes '1.2 GB of 6.9 GB'; a stage says only how far it is, not in what."""
    number = size if max(done, total or 0) >= _BYTES_FROM else "{:,}".format
    return number(done) + (f" of {number(total)}" if total is not None else "")


def rate_words(done: int, total: int, rate: float, left: float | None = None) -> str:
    """'2.1/s, 18 s left' at `rate` a second; bytes as '350.0 MB/s'; `left` is that of the whole where it is known."""
    whole = max(done, total)
    pace = f"{size(rate)}/s" if whole >= _BYTES_FROM else f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
    if left is not None:
        return f"{pace}, {duration(left)} left in all"
    return f"{pace}, {duration((total - done) / rate)} left"


def cost_words(seen: Outlook) -> str:
    """'336 to 588 pictures, 4 min to 7 min here': what a comparison will cost; of its time only what is known."""
    least, most = seen.pictures.least, seen.pictures.most
    pictures = count(least, "picture") if least == most else f"{least:,} to {most:,} pictures"
    if seen.span is None:
        return pictures
    return f"{pictures}, {' to '.join(dict.fromkeys(map(duration, seen.span)))} here"


def fetch_words(readers: Readers) -> str:
    """'siglip2 (4.6 GB) and dinov2 (346.0 MB), 4.9 GB in all': encoders that are not here, as a download."""
    each = [
        shown(one.name) + (f" ({size(one.megabytes * 1e6)})" if one.megabytes else "") for one in readers.offered
    ]
    whole = f", {size(readers.megabytes * 1e6)} in all" if len(each) > 1 and readers.megabytes else ""
    return " and ".join(filter(None, (", ".join(each[:-1]), each[-1]))) + whole


def unit_of(kind: str) -> str:
    """What a step of a run of this kind is: a training's is a step, that of what draws is a picture."""
    return _UNITS.get(kind, "step")


def _started(event: Event) -> str:
    what = "begun" if event.attempt == 1 else f"begun again (start number {event.attempt})"
    return f"{what}; loading its libraries"


def _validation(event: Event) -> str:
    loss, base = event.number("loss"), event.number("base")
    if loss is None:
        return ""
    beside = f" (the untouched base: {base:.4f})" if base is not None else ""
    return f"epoch {shown(event.get('epoch', '?'))}: held-out loss {loss:.4f}{beside}"


def _sample(event: Event) -> str:
    files = event.get("files")
    if not isinstance(files, list) or not files:
        return ""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"sample: {_place('samples', files[0])}{more}"


def _checkpoint(event: Event) -> str:
    bytes_, verified = event.number("size"), event.get("verified")
    parts = [_place("checkpoints", event.get("file", "?"))]
    if bytes_ is not None:
        parts.append(size(bytes_))
    if isinstance(verified, str):
        parts.append(shown(verified))
    return f"checkpoint, epoch {shown(event.get('epoch', '?'))}: {', '.join(parts)}"


def _caption(event: Event) -> str:
    """'3/40, 2.1 pictures/s, 18 s left; beach-03.jpg: "ohwx woman on a beach"'."""
    rate, left = event.number("rate"), event.number("left")
    figures = [f"{event.get('done', '?')}/{event.get('total', '?')}"]
    if rate:
        figures.append(f"{rate:.1f} pictures/s" if rate >= 1 else f"{1 / rate:.1f} s a picture")
    if left:
        figures.append(f"{duration(left)} left")
    return f"{', '.join(figures)}; {shown(event.get('picture', '?'))}: {shown(str(event.get('text', ''))[:400])}"


def _place(folder: str, file: object) -> str:
    """A result's path within the run, also where the record names the file alone."""
    name = str(file)
    return shown(name if "/" in name else f"{folder}/{name}")


_TELLERS: dict[str, Callable[[Event], str]] = {
    "started": _started,
    "warning": lambda event: f"warning: {shown(event.get('text', ''))}",
    "validation": _validation,
    "sample": _sample,
    "checkpoint": _checkpoint,
    "caption": _caption,
    "compared": lambda event: shown(event.get("text", "")),
    "paused": lambda _: "paused; it keeps its memory until it goes on",
    "resumed": lambda _: "goes on",
    "stopping": lambda event: "stopping at once" if event.get("how") == "now" else "saving, then stopping",
}
