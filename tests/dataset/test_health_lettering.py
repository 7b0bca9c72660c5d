"""Lettering in a single picture: laid over it, a fault; photographed with it, said and not held against it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from engine.dataset.health import job as health_job
from engine.dataset.health.figures import Health
from engine.dataset.health.lettering import lettering_faults, lettering_findings, lettering_of
from engine.dataset.health.request import answer, check_run
from engine.plan import PictureFolder, Pictures, Plan, Subject
from engine.runs.job import Job
from engine.vision.lettering import TextReader, open_text_reader


@pytest.fixture(scope="module")
def reader(offline_models: Path) -> TextReader:
    return open_text_reader(offline_models / "pp-ocr")


def lettered(path: Path, text: str, size: float, opacity: float, where: str) -> Image.Image:
    """A photograph at 1,600 px with a text of this share of the short side laid over it, in white."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((1600, 1600))
    font = ImageFont.load_default(size * min(image.size))
    layer = Image.new("L", image.size, 0)
    width, height, margin = font.getlength(text), size * min(image.size), 30
    across = {"left": margin, "middle": (image.width - width) / 2, "right": image.width - width - margin}
    down = {"top": margin, "centre": image.height / 2, "bottom": image.height - height - 2 * margin}
    row, _, column = where.partition(" ")
    ImageDraw.Draw(layer).text((across[column], down[row]), text, font=font, fill=round(255 * opacity))
    image.paste("white", mask=layer)
    return image


def line(text: str, sure: float = 0.95, x: float = 0.5, y: float = 0.5, width: float = 0.2, slope: float = 0.0):
    return {"text": text, "sure": sure, "x": x, "y": y, "width": width, "height": 0.03, "slope": slope}


def test_only_what_can_be_read_counts_and_level_lettering_at_the_rim_is_laid_over() -> None:
    assert lettering_of([line("petal", sure=0.47), line("19"), line("?!.")]) == ()
    corner, sign, banner = lettering_of([
        line("© Studio", x=0.85, y=0.95), line("Get Well", slope=8.0, y=0.95), line("SAMPLE SAMPLE", width=0.6),
    ])  # fmt: skip
    assert (corner.laid_over, corner.place) == (True, "at the bottom right")
    assert (sign.laid_over, banner.laid_over, banner.place) == (False, True, "in the middle")


def test_what_is_laid_over_is_a_fault_and_print_is_only_said() -> None:
    over, own = lettering_of([line("ALBUM 2019\x1b[2J", y=0.96)]), lettering_of([line("Get Well", slope=20)])
    assert [[fault.remark for fault in faults] for faults in lettering_faults([over, own, ()])] == [
        ["lettering"], [], [],
    ]  # fmt: skip
    fault, note = lettering_findings(["a.jpg", "b.jpg", "c.jpg"], [over, own, ()], "pp-ocr")
    assert (fault.level, fault.pictures) == ("amber", ("a.jpg",))
    assert 'a.jpg: "ALBUM 2019\\x1b[2J" at the bottom' in fault.sentence
    assert (note.level, note.pictures) == ("note", ("b.jpg",)) and "print on the subject" in note.sentence
    both = lettering_findings(list("abc"), [over, over, ()], "pp-ocr")
    assert both[0].level == "red"  # two of three


@pytest.mark.parametrize(
    ("photograph", "text", "size", "opacity", "where"),
    [
        ("dog6/01.jpg", "Studio Hale", 0.03, 1.0, "bottom right"),
        ("teapot/02.jpg", "2019-07-03 12:45", 0.04, 1.0, "bottom left"),
        ("duck_toy/00.jpg", "www.pictures.example", 0.03, 0.8, "top left"),
        ("dog6/03.jpg", "PREVIEW", 0.12, 0.5, "top middle"),
    ],
)
def test_one_lettering_on_one_photograph_is_read(reader: TextReader, shared_data: Path, photograph, text, size,
                                                 opacity, where) -> None:  # fmt: skip
    image = lettered(shared_data / "dreambooth" / photograph, text, size, opacity, where)
    said = " ".join(one.text for one in lettering_of([vars(one) for one in reader.read(image)]))
    assert text.replace(" ", "").casefold() in said.replace(" ", "").casefold()


@pytest.mark.slow
def test_no_sound_photograph_is_accused(reader: TextReader, shared_data: Path, backgrounds: Path) -> None:
    read = {}
    for path in [*sorted((shared_data / "dreambooth").glob("*/*.jpg")), *sorted(backgrounds.glob("*/*"))]:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        image.thumbnail((2048, 2048))
        if found := lettering_of([vars(one) for one in reader.read(image)]):
            read[f"{path.parent.name}/{path.name}"] = found
    # The bear's belly says "Get Well"; one desktop background carries its desktop's motto. Nothing else is lettered.
    bears = {name for name in read if name.startswith("bear_plushie/")}
    assert len(bears) == 5 and not any(one.laid_over for name in bears for one in read[name])
    assert read.keys() - bears == {"desktop/GreenTraditional.jpg"}


def checked(folder: Path) -> Health:
    run = check_run(Plan(Subject("object", "ohwx", "toy"), Pictures(folders=(PictureFolder(str(folder)),))))
    health_job.run(Job(run, None))
    return answer(run)


def test_a_check_finds_the_one_watermark_and_remembers_it(
    offline_models: Path, shared_data: Path, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("duck_toy/00", "duck_toy/01", "bear_plushie/02"):
        source = shared_data / "dreambooth" / f"{name}.jpg"
        text = "Studio Hale" if name == "duck_toy/01" else ""
        lettered(source, text, 0.03, 0.9, "bottom right").save(folder / f"{name.replace('/', '-')}.jpg", quality=90)
    without = checked(folder)
    assert any("The text reader sees those" in note for note in without.not_seen)
    (own_home / "models").mkdir(parents=True)
    (own_home / "models" / "pp-ocr").symlink_to(offline_models / "pp-ocr")
    health = checked(folder)
    found = {finding.check: finding for finding in health.findings}
    assert found["lettering"].pictures == ("duck_toy-01.jpg",) and "Studio" in found["lettering"].sentence
    assert found["print"].pictures == ("bear_plushie-02.jpg",)
    assert {one.name: "lettering" in one.remarks for one in health.pictures} == {
        "bear_plushie-02.jpg": False, "duck_toy-00.jpg": False, "duck_toy-01.jpg": True,
    }  # fmt: skip
    monkeypatch.setattr("engine.vision.lettering.open_text_reader", lambda source: pytest.fail("read again"))
    assert checked(folder).findings == health.findings
