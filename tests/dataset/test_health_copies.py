"""Near duplicates: every altered copy is found, and no two different pictures are called one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from engine.dataset.health.copies import Shot, find_copies
from engine.dataset.health.measure import measure
from engine.dataset.health.sameness import marks, one_ground, opened
from engine.dataset.picture import probe
from engine.dataset.scan import Picture

SETS = ("bear_plushie", "dog6", "duck_toy", "teapot")


def shot(path: Path) -> Shot:
    size = probe(path)
    picture = Picture(path, path.name, size.width, size.height, size.format, str(path), None, None, 1, "train")
    found = measure(path, (255, 255, 255), path.name)
    return Shot(picture, found.measures, found.thumbnail)


@pytest.fixture(scope="module")
def originals(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shot]:
    """The 19 photographs at 500 pixels, which keeps the altered copies quick to make."""
    folder = tmp_path_factory.mktemp("originals")
    found = {}
    for name in SETS:
        for path in sorted((shared_data / "dreambooth" / name).glob("*.jpg")):
            target = folder / f"{name}-{path.stem}.png"
            with Image.open(path) as image:
                image.draft("RGB", (500, 500))
                image.convert("RGB").resize((500, 500), Image.Resampling.LANCZOS).save(target, compress_level=1)
            found[target.stem] = shot(target)
    return found


@pytest.fixture(scope="module")
def altered(originals: dict[str, Shot]) -> dict[str, Shot]:
    """Of each a JPEG of quality 60, a 70 % crop and its mirror image."""
    found = {}
    for name, original in originals.items():
        path = original.picture.path
        with Image.open(path) as image:
            changed = {"q60": (image, 60), "crop": (image.crop((25, 100, 375, 450)), 92),
                       "mirror": (ImageOps.mirror(image), 92)}  # fmt: skip
            for how, (picture, quality) in changed.items():
                picture.save(path.with_name(f"{name}_{how}.jpg"), quality=quality)
                found[f"{name}_{how}"] = shot(path.with_name(f"{name}_{how}.jpg"))
    return found


def with_vectors(shots: list[Shot], likeness: np.ndarray) -> list[Shot]:
    """The shots as a copy detector would see them that gives just these cosines."""
    rows = np.linalg.cholesky(likeness).astype(np.float32)
    return [replace(one, vector=row) for one, row in zip(shots, rows, strict=True)]


def test_every_altered_copy_is_found_and_nothing_else(originals: dict[str, Shot], altered: dict[str, Shot]) -> None:
    assert len(originals) == 19 and len(altered) == 57
    groups = find_copies([*originals.values(), *altered.values()])
    found = {frozenset({group.keep, *group.leave_out}) for group in groups}
    wanted = {
        frozenset({f"{name}.png", f"{name}_q60.jpg", f"{name}_crop.jpg", f"{name}_mirror.jpg"}) for name in originals
    }
    assert found == wanted
    hows = {name: how for group in groups for name, how in zip(group.leave_out, group.how, strict=True)}
    assert hows["dog6-01_mirror.jpg"] == "mirrored" and hows["dog6-01_crop.jpg"] == "a cut-out"
    assert hows["dog6-01_q60.jpg"] == "the same shot"


def test_an_edited_copy_is_not_called_a_cut_out(originals: dict[str, Shot], tmp_path: Path) -> None:
    whole = originals["duck_toy-02"]
    with Image.open(whole.picture.path) as image:
        ImageEnhance.Contrast(image).enhance(2.2).save(tmp_path / "edited.png")
        ImageOps.mirror(image.point(lambda value: min(255, value * 2))).save(tmp_path / "bright.png")
        image.crop((12, 12, 500, 500)).save(tmp_path / "cut.png")
    edited, bright, cut = (shot(tmp_path / f"{name}.png") for name in ("edited", "bright", "cut"))
    suspected = np.array([[1.0, 0.6], [0.6, 1.0]])
    hows = [find_copies(with_vectors([whole, copy], suspected))[0].how for copy in (edited, cut)]
    assert hows[0][0].startswith("the same shot") and hows[1] == ("a cut-out",)
    assert find_copies(with_vectors([whole, bright], suspected))[0].how == ("mirrored",)


def test_different_photographs_are_no_copies(originals: dict[str, Shot]) -> None:
    assert find_copies(list(originals.values())) == ()


def test_the_copy_detector_is_heard_but_must_be_borne_out(originals: dict[str, Shot], altered: dict[str, Shot]) -> None:
    shots = [originals["dog6-01"], originals["dog6-02"], originals["teapot-00"], altered["teapot-00_mirror"]]
    likeness = np.array([[1, 0.77, 0, 0], [0.77, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 0.9, 1]])
    # Two frames of one sitting are as near as SSCD measures (0.77), and yet two pictures.
    assert [group.how for group in find_copies(with_vectors(shots, likeness))] == [("mirrored",)]
    likeness[0, 1] = likeness[1, 0] = 0.9
    found = find_copies(with_vectors(shots, likeness))
    assert [group.how for group in found] == [("nearly the same shot",), ("mirrored",)]


def test_the_same_file_twice_and_the_one_to_keep(originals: dict[str, Shot], altered: dict[str, Shot]) -> None:
    small = altered["teapot-00_crop"]
    groups = find_copies([small, small, originals["teapot-00"]])
    assert [group.keep for group in groups] == ["teapot-00.png"]  # the largest
    assert groups[0].leave_out_paths == (str(small.picture.path), str(small.picture.path))


def test_one_background_is_seen_by_its_colours(originals: dict[str, Shot]) -> None:
    seen = {name: opened(one.thumbnail) for name, one in originals.items()}
    assert one_ground([seen[f"dog6-0{number}"] for number in range(5)]) == [0, 1, 2, 3]  # the fifth: before yellow
    for name in ("bear_plushie", "duck_toy", "teapot"):
        assert len(one_ground([one for key, one in seen.items() if key.startswith(name)])) < 3


@pytest.mark.parametrize("lights", [(255, 255, 255), (255, 238, 205)], ids=["black-and-white", "sepia"])
def test_greys_alone_are_not_one_background_but_a_backdrop_is(originals: dict[str, Shot], lights: tuple) -> None:
    darks = tuple(light // 7 for light in lights)
    toned = [ImageOps.colorize(opened(one.thumbnail).convert("L"), darks, lights) for one in originals.values()]
    assert len(one_ground(toned)) < 3, "rooms, a lawn and a street"
    backdrops = []
    for at, subject in enumerate(toned[:5]):
        shade = np.linspace(140 + at, 170 + at, 256)[:, None] + np.random.default_rng(at).normal(0, 2, (256, 256))
        picture = ImageOps.colorize(Image.fromarray(shade.astype("u1")), darks, lights)
        picture.paste(subject.resize((110, 150)), (73, 106))
        backdrops.append(picture)
    assert one_ground(backdrops) == [0, 1, 2, 3, 4]


def test_a_watermark_is_found_where_it_is_and_nowhere_else(originals: dict[str, Shot]) -> None:
    plain = [opened(one.thumbnail) for name, one in originals.items() if name.startswith(("dog", "duck"))]
    assert len(plain) == 9 and marks(plain) == {}
    stamped = []
    for at, picture in enumerate(plain):
        over = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        if at < 7:
            ImageDraw.Draw(over).text((120, 230), "(c) photo-shop.com", fill=(255, 255, 255, 160), font_size=14)
        stamped.append(Image.alpha_composite(picture.convert("RGBA"), over).convert("RGB"))
    found = marks(stamped)
    assert set(found) <= {"lower right", "lower edge"}
    assert set(found["lower right"]) <= set(range(7)) and len(found["lower right"]) >= 5
