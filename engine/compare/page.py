"""page.html: a comparison as one file that needs no network, in any browser."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from engine import __version__
from engine.compare.report import Report, read_report, report_text
from engine.errors import LorasmithError, shown
from engine.files import write_atomic
from engine.select.families import PARTS, part_weights

PAGE = "page.html"
_SMALL = 256  # pixels: up to here a picture is embedded as it is; a larger one as a thumbnail of this side
_BUDGET = 18_000_000  # bytes of embedded pictures that a page which stands alone should stay under
_SIDES = ((640, 46_000), (512, 32_000), (384, 20_000), (_SMALL, 11_000))  # side, and what a picture of it weighs
_STYLES = ("base.css", "parts.css")
_SCRIPTS = ("core.js", "table.js", "choice.js", "chart.js", "grid.js", "zoom.js", "vote.js", "how.js", "main.js")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_REPORT = b'<script type="application/json" id="report">'


Told = Callable[[int, int], None]
"""Of pictures that are put into a page: so many of so many. It may raise, and so end the work."""


def write_page(
    folder: Path, to: Path | None = None, report: Report | None = None, told: Told = lambda done, total: None
) -> Path:
    """Writes the page of a comparison's folder: page.html in it, or `to` anywhere; returns its path.

    In the folder large pictures are embedded as thumbnails, and looking closer opens the PNG beside the page; `to`
    stands alone, with pictures as large as a sensible file allows. Thumbnails of the page that is there already are
    taken over; making them takes up to a minute, of which `told` hears. Raises LorasmithError for a report that cannot
    be read, or a place that cannot be written.
    """
    folder = folder.absolute()
    path = folder / PAGE if to is None else to.expanduser().absolute()
    if to is not None:
        check_place(path)
    report = report or read_report(folder)
    try:
        write_atomic(path, page_text(folder, report, beside=path.parent == folder, before=path, told=told))
    except OSError as error:
        raise LorasmithError(
            f"{shown(path)} cannot be written ({error.strerror or error}): make room, or choose another place."
        ) from error
    return path


def check_place(path: Path) -> None:
    """LorasmithError where a page cannot go: no folder, a folder itself, or a file there that is no such page."""
    if not path.parent.is_dir():
        raise LorasmithError(f"There is no folder {shown(path.parent)}: make it first, or choose another.")
    if path.is_dir():
        raise LorasmithError(f"{shown(path)} is a folder: name the page's file in it, such as page.html.")
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        begin = file.read(1_000_000)  # of a page: its styles and the begin of its report
    if _REPORT not in begin:
        raise LorasmithError(f"{shown(path)} exists and is no page of a comparison: choose another name.")


def page_text(
    folder: Path, report: Report, *, beside: bool, before: Path | None = None,
    told: Told = lambda done, total: None,
) -> str:  # fmt: skip
    """The page's HTML. `beside`: it will lie in `folder`; `before`: a page whose thumbnails may still hold."""
    style, script = (_together(names) for names in (_STYLES, _SCRIPTS))
    script = f'"use strict";\n(() => {{\n{script}\n}})();'
    values = {
        "policy": _policy(style, script),
        "title": html.escape(shown(f"{report.name}: {_headline(report)}")),
        "plain": "".join(f"<p>{html.escape(shown(words.text))}</p>" for words in report.words),
        "version": html.escape(__version__),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "style": style,
        "script": script,
        "report": _json(_told(report)),
        "images": _json(_images(folder, report, beside, _former(before), told)),
    }
    return _PLACE.sub(lambda place: values[place[1]], _read("page.html"))


def _headline(report: Report) -> str:
    choice = report.choice
    return "which epoch to take" if choice is None else f"{report.name_of(choice)}"


def _told(report: Report) -> dict[str, Any]:
    """The report as the page's script reads it, with what explains it; text from outside is made safe to show."""
    from engine.compare.judging import rules_of
    from engine.select.bootstrap import DRAWS

    kind: Any = report.kind
    about = {
        "rules": asdict(rules_of(report)), "draws": DRAWS, "page_version": __version__,
        "part_names": PARTS, "part_weights": part_weights(kind),
    }  # fmt: skip
    told = {**json.loads(report_text(report)), **about}
    told["checkpoints"] = [{**row, "file": Path(row["file"]).name} for row in told["checkpoints"]]
    return {**_visible(told), "run": bool(report.run)}


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: _visible(inner) for key, inner in value.items()}
    return [_visible(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _images(
    folder: Path, report: Report, beside: bool, former: Mapping[str, Any], told: Told
) -> dict[str, dict[str, Any]]:
    """Every picture that can be read, by the file's name in the report."""
    names = [*(row.file for row in report.pictures), *report.photographs]
    side = _SMALL if beside else next((side for side, bytes_ in _SIDES if len(names) * bytes_ <= _BUDGET), _SMALL)

    def image(name: str) -> dict[str, Any] | None:
        path = _inside(folder, name)
        return None if path is None else _image(path, side, former.get(shown(name)))

    found = {}
    names = list(dict.fromkeys(names))
    threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # Pillow lets go of the interpreter meanwhile
    try:
        for at, (name, made) in enumerate(zip(names, threads.map(image, names), strict=True), 1):
            told(at, len(names))
            if made is None:
                continue
            large = made.pop("larger")
            if beside and large:
                made["full"] = quote(name)
            found[shown(name)] = made
    finally:
        threads.shutdown(cancel_futures=True)
    return found


def _inside(folder: Path, name: str) -> Path | None:
    """The file, where the report names one within the folder; it may have been written by anyone."""
    place = PurePosixPath(name)
    return None if place.is_absolute() or ".." in place.parts else folder / place


def _image(path: Path, side: int, former: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A picture as a data URI of at most `side` pixels; None where it is gone or damaged."""
    from PIL import Image

    try:
        facts = path.stat()
        stamp = f"{facts.st_size}-{facts.st_mtime_ns}-{side}"
        if former and former.get("stamp") == stamp:
            return {**former, "larger": "full" in former}
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the page shows that it cannot be read; the others are worth looking at all the same
    larger = max(small.size) > side
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    packed = io.BytesIO()
    small.save(packed, "WEBP", quality=90 if max(small.size) <= 160 else 80, method=2)
    source = "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()
    return {"src": source, "width": small.width, "height": small.height, "stamp": stamp, "larger": larger}


def _former(page: Path | None) -> Mapping[str, Any]:
    """The pictures of the page that is there already; none where there is no page of this kind."""
    try:
        text = page.read_text(encoding="utf-8") if page else ""
        found = re.search(r'<script type="application/json" id="images">(.*?)</script>', text, re.DOTALL)
        images = json.loads(found[1]) if found and f"lorasmith {__version__}" in text else {}
    except (OSError, ValueError):
        return {}
    return {name: one for name, one in images.items() if isinstance(one, dict)} if isinstance(images, dict) else {}


def _policy(style: str, script: str) -> str:
    """Nothing but what the page carries may run or load: what slipped through as markup would stay dead."""
    own = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    styles, scripts = own
    return (
        f"default-src 'none'; style-src 'sha256-{styles}'; script-src 'sha256-{scripts}'; "
        "img-src 'self' data: file:; base-uri 'none'; form-action 'none'"
    )


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _together(names: Iterable[str]) -> str:
    return "\n".join(_read(name).rstrip() for name in names)


def _read(name: str) -> str:
    return (files("engine.compare") / "page" / name).read_text(encoding="utf-8")
