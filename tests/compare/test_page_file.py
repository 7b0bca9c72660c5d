"""The page as a file: self-contained, of a sensible size, written whole, and honest about what it cannot read."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import comparison
import numpy as np
import pytest
from PIL import Image

from engine.compare.page import page_text, write_page
from engine.compare.report import write_report
from engine.errors import LorasmithError


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.within = False
        self.found: list[tuple[str, dict]] = []
        self.raw: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.within = tag in {"script", "style"}
        if self.within:
            self.raw.append("")

    def handle_endtag(self, tag):
        self.within = False

    def handle_data(self, data):
        if self.within:
            self.raw[-1] += data


def images_in(text: str) -> dict:
    return json.loads(re.search(r'id="images">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture
def made():
    return comparison.half_way()


def test_the_page_asks_nothing_of_any_network_and_runs_only_its_own_script(made):
    text = write_page(made.folder).read_text("utf-8")
    elements = Elements(text)
    addresses = [v for _, about in elements.found for k, v in about.items() if k in {"src", "href"}]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    (policy,) = [a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    style, *_, script = elements.raw
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_every_picture_is_embedded_and_shows_what_the_file_shows(made):
    report = made.report
    images = images_in(write_page(made.folder).read_text("utf-8"))
    assert images.keys() == {*(row.file for row in report.pictures), *report.photographs}
    for row in report.pictures[::15]:
        with Image.open(made.folder / row.file) as original:
            wanted = np.asarray(original.convert("RGB"), dtype=float)
        data = base64.b64decode(images[row.file]["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as embedded:
            assert embedded.format == "WEBP"
            assert np.abs(np.asarray(embedded.convert("RGB"), dtype=float) - wanted).mean() < 6


def test_sizes_stay_sensible_for_pictures_of_sdxl(made, tmp_path):
    noise = np.random.default_rng(0).normal(128, 40, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    photo = Image.fromarray(noise).resize((1024, 1024), Image.Resampling.BICUBIC)
    photo.save(made.folder / "photo.png", compress_level=1)
    for row in made.report.pictures[:8]:
        (made.folder / row.file).write_bytes((made.folder / "photo.png").read_bytes())
    beside = write_page(made.folder)
    images = images_in(beside.read_text("utf-8"))
    large = [images[row.file] for row in made.report.pictures[:8]]
    assert all(max(one["width"], one["height"]) == 256 and len(one["src"]) < 40_000 for one in large)
    assert [one["full"] for one in large] == [row.file for row in made.report.pictures[:8]]
    alone = images_in(write_page(made.folder, tmp_path / "alone.html").read_text("utf-8"))
    assert all(one["width"] == 640 and "full" not in one for one in map(alone.get, images) if one["width"] > 300)


def test_a_second_page_takes_over_the_thumbnails_that_still_hold(made, monkeypatch):
    first = write_page(made.folder)
    before = images_in(first.read_text("utf-8"))
    changed = made.report.pictures[3].file
    Image.new("RGB", (64, 64), "red").save(made.folder / changed)
    opened = []
    really = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *a, **k: (opened.append(Path(path).name), really(path, *a, **k))[1])
    after = images_in(write_page(made.folder).read_text("utf-8"))
    assert opened == [Path(changed).name]
    assert {name for name in after if after[name] != before[name]} == {changed}


def test_pictures_that_are_gone_or_damaged_are_left_out_and_the_rest_is_shown(made):
    names = [row.file for row in made.report.pictures]
    (made.folder / names[0]).unlink()
    (made.folder / names[1]).write_bytes(b"\x89PNG\r\n\x1a\n torn")
    images = images_in(write_page(made.folder).read_text("utf-8"))
    assert images.keys() == {*names[2:], *made.report.photographs}


def test_a_report_cannot_make_the_page_show_files_from_elsewhere(made, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    report = made.report
    hostile = (replace(report.pictures[0], file=str(tmp_path / "private.png")),
               replace(report.pictures[1], file="../" * 20 + str(tmp_path / "private.png")))  # fmt: skip
    text = page_text(made.folder, replace(report, pictures=(*hostile, *report.pictures[2:])), beside=True)
    assert images_in(text).keys() == {*(row.file for row in report.pictures[2:]), *report.photographs}


def test_no_path_of_the_machine_is_told(made):
    text = write_page(made.folder).read_text("utf-8")
    assert str(made.training.path.parent) not in text


def test_without_a_script_the_words_are_still_there(made):
    text = write_page(made.folder).read_text("utf-8")
    silent = re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)[1]
    assert all(words.text in silent for words in made.report.words)


def test_bad_places_and_reports_are_one_sentence(made, tmp_path, tiny_disk):
    with pytest.raises(LorasmithError, match="There is no folder .*nowhere"):
        write_page(made.folder, tmp_path / "nowhere" / "page.html")
    with pytest.raises(LorasmithError, match="No space left"):
        write_page(made.folder, tiny_disk / "page.html")
    assert list(tiny_disk.iterdir()) == []
    report = made.folder / "report.json"
    newer = json.loads(report.read_text()) | {"version": 99}
    report.write_text(json.dumps(newer))
    with pytest.raises(LorasmithError, match="newer lorasmith"):
        write_page(made.folder)
    report.write_text('{"version": 1, "name"')
    with pytest.raises(LorasmithError, match="cannot be read"):
        write_page(made.folder)


def test_an_old_page_that_is_torn_or_no_page_is_simply_replaced(made):
    page = write_page(made.folder)
    whole = page.read_text("utf-8")
    other = '<script type="application/json" id="images">[1]</script>'
    for rest in (whole[: len(whole) // 2], other, "\0"):
        page.write_text(rest, "utf-8")
        assert images_in(write_page(made.folder).read_text("utf-8")) == images_in(whole)


def test_a_page_goes_over_no_file_that_is_something_else(made, tmp_path):
    there = tmp_path / "plan.toml"
    there.write_text("mine")
    with pytest.raises(LorasmithError, match="is no page of a comparison"):
        write_page(made.folder, there)
    with pytest.raises(LorasmithError, match="is a folder"):
        write_page(made.folder, tmp_path)
    assert there.read_text() == "mine"
    once = write_page(made.folder, tmp_path / "page.html")
    assert write_page(made.folder, once) == once


def test_a_name_with_lone_surrogates_can_be_written(made):
    write_report(made.folder, made.report)
    text = page_text(made.folder, replace(made.report, name="fox\udcff"), beside=True)
    text.encode("utf-8")
    assert "fox\\\\udcff" in text
