"""The grid as a picture: every cell where it belongs, its label beside it, nothing on top of anything."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from PIL import Image

from engine.draw.plot_layout import Grid, grid_picture, grid_size


def colour(place):
    x, y, z = place
    return (40 + 50 * x, 40 + 50 * y, 60 + 90 * z)


@pytest.fixture
def painted(tmp_path):
    """Paints each place in a colour of its own, at its size."""

    def paint(grid):
        places = product(range(len(grid.columns)), range(len(grid.rows)), range(len(grid.titles)))
        pictures = {}
        for place in places:
            pictures[place] = tmp_path / ("-".join(map(str, place)) + ".png")
            Image.new("RGB", grid.size(place), colour(place)).save(pictures[place])
        return pictures

    return paint


def box(sheet, wanted):
    """Left, top, width and height of the pixels in a colour."""
    down, across = np.nonzero((np.asarray(sheet) == wanted).all(axis=2))
    return across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1


def ink(sheet, left, top, right, bottom):
    """Where something is written in a part of the sheet: left, top, right, bottom; None for nothing."""
    down, across = np.nonzero(np.asarray(sheet.convert("L"))[top:bottom, left:right] < 120)
    return (left + across.min(), top + down.min(), left + across.max(), top + down.max()) if len(down) else None


def test_columns_rows_and_sub_grids_stand_side_by_side_under_their_labels(painted):
    grid = Grid(["no LoRA", "epoch 1", "epoch 2"], ["weight 0.5", "weight 1"], ["a dog", "a cat"], lambda _: (96, 64),
                margin=6)  # fmt: skip
    sheet = grid_picture(grid, painted(grid))
    assert sheet.size == grid_size(grid)
    boxes = {place: box(sheet, colour(place)) for place in product(range(3), range(2), range(2))}
    assert {found[2:] for found in boxes.values()} == {(96, 64)}
    left, top, *_ = boxes[0, 0, 0]
    second = boxes[0, 0, 1][0]
    assert second > boxes[2, 0, 0][0] + 96 + 6
    for (x, y, z), found in boxes.items():
        assert found[:2] == ((second if z else left) + x * 102, top + y * 70)
    for z, x in product(range(2), range(3)):
        begin = boxes[x, 0, z][0]
        written = ink(sheet, begin - 3, top - 24, begin + 99, top - 1)
        assert written and abs((written[0] + written[2]) / 2 - (begin + 48)) < 2, "centred over its column"
    for y in range(2):
        begin = boxes[0, y, 0][1]
        written = ink(sheet, 0, begin, left - 2, begin + 64)
        assert written and abs((written[1] + written[3]) / 2 - (begin + 32)) < 4, "centred beside its row"


def test_a_place_without_a_picture_or_with_a_broken_one_is_blank(painted):
    grid = Grid(["one", "two", "three"], [""], [""], lambda _: (64, 64), margin=0)
    pictures = painted(grid)
    del pictures[1, 0, 0]
    pictures[2, 0, 0].write_bytes(b"half a picture")
    sheet = grid_picture(grid, pictures)
    left, top, *_ = box(sheet, colour((0, 0, 0)))
    for index in (1, 2):
        assert sheet.getpixel((left + index * 64 + 32, top + 32)) == (0xF3, 0xF3, 0xF3)


def test_sizes_differ_by_column_row_and_sub_grid(painted):
    sizes = [(96, 64), (64, 96), (80, 80)]
    for axis in range(3):
        labels = [["a", "b", "c"] if index == axis else [""] for index in range(3)]
        grid = Grid(*labels, lambda place, axis=axis: sizes[place[axis]], margin=4)
        sheet = grid_picture(grid, painted(grid))
        for index, size in enumerate(sizes):
            place = tuple(index if at == axis else 0 for at in range(3))
            assert box(sheet, colour(place))[2:] == size


def test_long_labels_are_wrapped_and_shrunk_and_never_run_into_the_pictures(painted):
    prompt = "a photograph of an ohwx dog that sleeps on a red sofa in the evening light, film grain, 35 mm, " * 3
    word = "supercalifragilisticexpialidocious_without_any_space_in_it_at_all"
    grid = Grid([prompt, word], [word, prompt], [prompt], lambda _: (192, 192), margin=0)
    sheet = grid_picture(grid, painted(grid))
    left, top, *_ = box(sheet, colour((0, 0, 0)))
    assert left <= 192 * 0.75 + 30, "labels leave the pictures the most of the room"
    for place in product(range(2), range(2), [0]):
        assert box(sheet, colour(place))[2:] == (192, 192), "nothing is written over a picture"
    assert ink(sheet, left, 0, left + 192, top)[2] < left + 192


def test_without_labels_there_is_only_a_margin_around(painted):
    grid = Grid([""], [""], [""], lambda _: (128, 128))
    width, height = grid_picture(grid, painted(grid)).size
    assert 128 < width < 160 and width == height
