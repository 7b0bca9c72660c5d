"""The tagger's own preprocessing and thresholds, on a small model of its two files, written by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.caption.journal import CaptionError
from engine.caption.opening import open_captioner
from engine.caption.plan import CaptionPlan
from engine.caption.tagger import Tagger

SIDE = 448
TAGS = [("general", 9), ("blue_sky", 0), ("long_hair", 0), ("o_o", 0), ("^_^", 0), ("hatsune_miku_(vocaloid)", 4)]


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(kind: str, inputs: Iterable[str], output: str, *attributes: bytes) -> bytes:
    return field(1, b"".join([*(field(1, name) for name in inputs), field(2, output), field(4, kind),
                              *(field(5, one) for one in attributes)]))  # fmt: skip


def value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sides = b"".join(field(1, field(1, side) if isinstance(side, int) else field(2, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sides)))


def constant(name: str, numbers: np.ndarray) -> bytes:
    dims = b"".join(field(1, side) for side in numbers.shape)
    return field(5, dims + field(2, 1) + field(8, name) + field(9, numbers.astype("<f4").tobytes()))


def tagger_folder(folder: Path, weights: np.ndarray, bias: np.ndarray, side: int = SIDE) -> Path:
    """model.onnx: sigmoid(mean over the picture x weights + bias), [n, side, side, 3] to [n, tags]."""
    axes = field(1, "axes") + field(8, 1) + field(8, 2) + field(20, 7)
    keep = field(1, "keepdims") + field(3, 0) + field(20, 2)
    graph = b"".join([
        node("ReduceMean", ["input"], "mean", axes, keep), node("MatMul", ["mean", "weights"], "times"),
        node("Add", ["times", "bias"], "sum"), node("Sigmoid", ["sum"], "output"),
        field(2, "tagger"), constant("weights", weights), constant("bias", bias),
        field(11, value("input", ("batch", side, side, 3))), field(12, value("output", ("batch", weights.shape[1]))),
    ])  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    rows = "".join(f"{at},{name},{category},10\n" for at, (name, category) in enumerate(TAGS))
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n" + rows)
    return folder


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    weights = np.zeros((3, len(TAGS)))
    # Columns: blue, green, red means in 0..255. Blue sky wants blue, long hair red; the others are fixed by the bias.
    weights[0, 1], weights[2, 2] = 0.1, 0.1
    bias = np.array([9.0, -10.0, -10.0, 0.0, -1.0, 1.5])  # shares .99, by colour, by colour, .5, .27, .82
    return tagger_folder(tmp_path / "wd-tagger", weights, bias)


def opened(folder: Path, **plan: object) -> Tagger:
    made = open_captioner(CaptionPlan("", captioner=str(folder), **{"subject": "style", **plan}), lambda *_: None)
    assert isinstance(made, Tagger)
    return made


def test_colours_come_blue_first_and_thresholds_are_the_authors(tagger):
    reader = opened(tagger)
    red, blue = Image.new("RGB", (30, 30), (255, 0, 0)), Image.new("RGB", (30, 30), (0, 0, 255))
    assert reader.caption([red, blue]) == ["long hair, o_o", "blue sky, o_o"], "ratings and low shares are left out"
    assert reader.tags and not reader.instructed
    low = opened(tagger, character=0.8, general=0.2)
    assert low.caption([blue]) == ["hatsune miku (vocaloid), blue sky, o_o, ^_^"], "faces keep their underscore"
    assert opened(tagger, character=0.8, subject="character").caption([blue]) == ["blue sky, o_o"], "no names"


def test_a_picture_is_padded_to_a_square_with_white_and_scaled_bicubically(tagger):
    reader = opened(tagger)
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 255, (60, 200, 3), dtype=np.uint8))
    made = reader.prepare([wide], "")
    assert made.shape == (1, SIDE, SIDE, 3) and made.dtype == np.float32
    by_hand = np.full((200, 200, 3), 255, np.uint8)
    by_hand[70:130] = np.asarray(wide)
    wanted = Image.fromarray(by_hand).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(made[0][:, :, ::-1], np.asarray(wanted, np.float32))
    assert made[0][0, 0].tolist() == [255, 255, 255]


def test_the_share_is_the_models_own(tagger):
    """Independently: the mean of the padded picture, through the same logistic curve."""
    image = Image.new("RGB", (100, 50), (0, 0, 250))
    blue = (250 + 255) / 2  # half of the square is white
    share = 1 / (1 + np.exp(-(0.1 * blue - 10)))
    shares = opened(tagger)._session.run(None, {"input": opened(tagger).prepare([image], "")})[0][0]
    assert shares[1] == pytest.approx(share, abs=1e-3)


def test_files_that_do_not_fit_are_named(tagger, tmp_path):
    with (tagger / "selected_tags.csv").open("a") as file:
        file.write("9,more,0,1\n")
    with pytest.raises(CaptionError, match="6 figures for 7 tags"):
        opened(tagger)
    (tagger / "model.onnx").write_bytes(struct.pack("<I", 7) * 10)
    with pytest.raises(CaptionError, match="cannot be loaded"):
        opened(tagger)
