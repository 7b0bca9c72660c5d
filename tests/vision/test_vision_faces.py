"""Faces: dlib's reader on real people with known names, and the path of YuNet and AuraFace with stand-ins."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import engine.vision.auraface as auraface
from engine.errors import LorasmithError
from engine.vision.auraface import align_face, similarity
from engine.vision.faces import Face, FaceReader, open_faces


@pytest.fixture(scope="module")
def dlib_reader(offline_models: Path) -> FaceReader:
    if not os.environ.get("CI"):  # there it has to be, and its absence fails
        pytest.importorskip("dlib", reason="needs the package dlib: pip install dlib-bin")
    return open_faces(offline_models / "dlib")


@pytest.fixture(scope="module")
def people(offline_models: Path) -> dict[str, Image.Image]:
    """Photographs of two public people, one face in each."""
    return {path.stem: Image.open(path).convert("RGB") for path in sorted((offline_models / "people").glob("*.jpg"))}


def pairs_of(vectors: np.ndarray, people: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The cosine of every pair and whether it is one person."""
    first, second = np.triu_indices(len(vectors), 1)
    names = np.array(people)
    return (vectors @ vectors.T)[first, second], (names[:, None] == names[None])[first, second]


def orl(folder: Path, people: range, pictures: range) -> list[tuple[str, Image.Image]]:
    return [
        (f"s{who}", Image.open(folder / f"s{who}" / f"{number}.pgm").convert("RGB"))
        for who in people
        for number in pictures
    ]


def embedded(reader: FaceReader, pictures: list[tuple[str, Image.Image]]) -> np.ndarray:
    rows = []
    for _, picture in pictures:
        faces = reader.detect(picture)
        assert len(faces) == 1
        rows.append(reader.embed(picture, faces[0]))
    return np.stack(rows)


def test_people_are_told_apart(dlib_reader: FaceReader, offline_models: Path):
    """ORL set, the 20 people that the threshold was not chosen on, three pictures of each: 1,770 pairs."""
    pictures = orl(offline_models / "orl-faces", range(21, 41), range(1, 4))
    alike, same = pairs_of(embedded(dlib_reader, pictures), [who for who, _ in pictures])
    right = (alike >= dlib_reader.same_person) == same
    assert (len(same), same.sum()) == (1770, 60)
    assert right[same].all(), "no pair of one person is missed"
    assert right[~same].mean() >= 0.99 and right.mean() >= 0.99


@pytest.mark.slow
def test_all_pairs_of_forty_people(dlib_reader: FaceReader, offline_models: Path):
    pictures = orl(offline_models / "orl-faces", range(1, 41), range(1, 11))
    alike, same = pairs_of(embedded(dlib_reader, pictures), [who for who, _ in pictures])
    right = (alike >= dlib_reader.same_person) == same
    assert (len(same), same.sum()) == (79_800, 1_800)
    assert right[same].mean() >= 0.995 and right[~same].mean() >= 0.995


def test_colour_photographs_of_two_people(dlib_reader: FaceReader, people: dict[str, Image.Image]):
    rows = embedded(dlib_reader, list(people.items()))
    alike, same = pairs_of(rows, [name.rstrip("0123456789") for name in people])
    assert ((alike >= dlib_reader.same_person) == same).all() and same.sum() == 3
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_dlib_reader_agrees_with_dlib_itself(dlib_reader: FaceReader, people: dict[str, Image.Image], offline_models):
    import dlib

    picture = people["obama"]
    pixels = np.asarray(picture)
    shape = dlib.shape_predictor(str(offline_models / "dlib" / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(offline_models / "dlib" / "dlib_face_recognition_resnet_model_v1.dat"))
    boxes = dlib.get_frontal_face_detector()(pixels, 1)
    wanted = np.array(network.compute_face_descriptor(pixels, shape(pixels, boxes[0])))
    face = dlib_reader.detect(picture)[0]
    overlap = dlib.rectangle(*(round(value) for value in face.box)).intersect(boxes[0]).area() / boxes[0].area()
    assert len(boxes) == 1 and overlap > 0.7
    assert dlib_reader.embed(picture, face) @ wanted / np.linalg.norm(wanted) > 0.98


def test_a_mirrored_or_smaller_face_is_the_same_person(dlib_reader: FaceReader, people: dict[str, Image.Image]):
    picture = people["obama"]
    row = dlib_reader.embed(picture, dlib_reader.detect(picture)[0])
    for other in (ImageOps.mirror(picture), picture.resize((picture.width // 3, picture.height // 3))):
        face = dlib_reader.detect(other)[0]
        assert row @ dlib_reader.embed(other, face) >= dlib_reader.same_person


def test_the_largest_face_comes_first(dlib_reader: FaceReader, people: dict[str, Image.Image]):
    both = Image.new("RGB", (1100, 800), "grey")
    both.paste(ImageOps.contain(people["biden"], (300, 600)), (20, 100))
    both.paste(ImageOps.contain(people["obama"], (700, 750)), (400, 20))
    first, second = dlib_reader.detect(both)
    assert first.x0 > 400 > second.x1 and first.short_side > second.short_side


def test_a_picture_without_a_face_has_none(dlib_reader: FaceReader, shared_data: Path):
    with Image.open(shared_data / "dreambooth" / "teapot" / "00.jpg") as picture:
        assert dlib_reader.detect(picture) == []
    assert dlib_reader.detect(Image.new("RGB", (9, 4))) == []


def test_without_dlib_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LorasmithError, match="pip install dlib-bin"):
        open_faces("dlib")


def test_a_broken_file_of_dlib_is_one_sentence(tmp_path: Path, dlib_reader: FaceReader):
    for name in (
        "mmod_human_face_detector.dat",
        "shape_predictor_5_face_landmarks.dat",
        "dlib_face_recognition_resnet_model_v1.dat",
    ):
        (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(LorasmithError, match="cannot be read by dlib"):
        open_faces(tmp_path)


# The path of YuNet and AuraFace. Their weights are not at hand where tests run: the detector is played, and the
# recogniser is a network of two layers, written here, that gives the mean of each colour of the crop it is handed.


def field(number: int, content: bytes | int) -> bytes:
    """One field of a protocol buffer: a number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def tensor(name: str, *shape: int) -> bytes:
    sizes = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, sizes)))


def means_network() -> bytes:
    """ONNX: GlobalAveragePool, Flatten."""
    pool = field(1, b"data") + field(2, b"pooled") + field(4, b"GlobalAveragePool")
    flat = field(1, b"pooled") + field(2, b"out") + field(4, b"Flatten")
    graph = field(1, pool) + field(1, flat) + field(2, b"means")
    graph += field(11, tensor("data", 1, 3, 112, 112)) + field(12, tensor("out", 1, 3))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


class PlayedDetector:
    """YuNet's way to answer: x, y, width, height, five landmarks, score, in pixels of what it was shown."""

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.size = size

    def detect(self, pixels: np.ndarray) -> tuple[int, np.ndarray | None]:
        self.seen = pixels
        height, width = pixels.shape[:2]
        assert (width, height) == self.size
        small = [0, 0, 10, 10, *range(10), 0.99]
        large = [width * 0.25, height * 0.2, width * 0.5, height * 0.6]
        for x, y in auraface._TEMPLATE / 112:  # where they lie in a face that is looked at straight
            large += [width * (0.25 + 0.5 * x), height * (0.2 + 0.6 * y)]
        return 1, np.array([small, [*large, 0.9]], np.float32)


@pytest.fixture
def aura(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FaceReader, PlayedDetector]:
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(b"played")
    (tmp_path / "glintr100.onnx").write_bytes(means_network())
    played = PlayedDetector()
    monkeypatch.setattr(auraface, "_open_detector", lambda path: played)
    return open_faces(tmp_path), played


def test_auraface_boxes_are_in_pixels_of_the_picture_largest_first(aura):
    reader, played = aura
    large, small = reader.detect(Image.new("RGB", (1280, 960), (250, 10, 0)))
    assert played.size == (640, 480) and tuple(played.seen[0, 0]) == (0, 10, 250), "smaller, and in OpenCV's order"
    assert large.box == pytest.approx((320, 192, 960, 768)) and large.score == pytest.approx(0.9)
    assert large.landmarks[0] == pytest.approx((320 + 640 * 38.2946 / 112, 192 + 576 * 51.6963 / 112))
    assert small.box == (0, 0, 20, 20)


def test_auraface_gets_an_rgb_crop_from_minus_one_to_one(aura):
    reader, _ = aura
    picture = Image.new("RGB", (640, 640), (255, 51, 0))
    row = reader.embed(picture, reader.detect(picture)[0])
    wanted = np.array([1.0, 51 / 127.5 - 1, -1.0])
    np.testing.assert_allclose(row, wanted / np.linalg.norm(wanted), atol=1e-4)
    assert 0 < reader.same_person < 1 and reader.size == 3 and "Apache-2.0" in reader.licence


@pytest.mark.parametrize(("turn", "scale"), [(0.0, 1.0), (0.4, 3.0), (-0.7, 6.5), (2.5, 0.8)])
def test_a_turned_face_is_brought_upright(turn: float, scale: float):
    """Points moved by a known turn, scale and shift are moved back onto the template, within what floats allow."""
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = auraface._TEMPLATE @ rotation.T + [300, 200]
    matrix = similarity(moved, auraface._TEMPLATE)
    np.testing.assert_allclose(moved @ matrix[:, :2].T + matrix[:, 2], auraface._TEMPLATE, atol=1e-3)


def test_alignment_agrees_with_dlibs_own_chip(dlib_reader: FaceReader, people: dict[str, Image.Image]):
    """dlib's landmarks put into ArcFace's order: the eyes and the nose of the crop lie where they should."""
    picture = people["obama"]
    face = dlib_reader.detect(picture)[0]
    right_outer, right_inner, left_outer, left_inner, nose = (np.array(point) for point in face.landmarks)
    eyes = sorted([(right_outer + right_inner) / 2, (left_outer + left_inner) / 2], key=lambda point: point[0])
    mouth = [nose + 0.45 * (nose - (eyes[0] + eyes[1]) / 2) + sign * 0.32 * (eyes[1] - eyes[0]) for sign in (-1, 1)]
    points = tuple(tuple(map(float, point)) for point in (*eyes, nose, *mouth))
    crop = align_face(picture, Face(*face.box, 1.0, points))
    assert crop.shape == (112, 112, 3)
    found = dlib_reader.detect(Image.fromarray(crop).resize((448, 448)))[0].landmarks
    middle = np.mean([found[2], found[3]], axis=0) / 4, np.mean([found[0], found[1]], axis=0) / 4
    left_eye, right_eye = sorted(middle, key=lambda point: point[0])
    np.testing.assert_allclose([left_eye, right_eye], auraface._TEMPLATE[:2], atol=4)


def test_a_face_of_another_reader_is_refused(aura):
    reader, _ = aura
    with pytest.raises(LorasmithError, match="five landmarks"):
        reader.embed(Image.new("RGB", (64, 64)), Face(0, 0, 30, 30, 1.0))
