"""Encoders, labels and copies: against the networks' own packages, and transformers' real classes in tiny."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from tiny_sights import tiny_sight

from engine.errors import LorasmithError
from engine.lab.paint import paint
from engine.lab.scenes import Ground, Scene
from engine.vision.encoder import open_encoder
from engine.vision.labels import label_names, open_labeller
from engine.vision.models import KNOWN_MODELS, find_model, installed
from engine.vision.pixels import in_batches
from engine.vision.same import CANDIDATE, SAME_SHOT, agreement, candidate_pairs


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> dict[str, Image.Image]:
    """The 19 DreamBooth photographs at 512 px, by subject and name."""
    pictures = {}
    for path in sorted((shared_data / "dreambooth").glob("*/*.jpg")):
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
        pictures[f"{path.parent.name}/{path.name}"] = picture.resize((512, 512), Image.Resampling.LANCZOS)
    return pictures


def jpeg_60(image: Image.Image) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=60)
    return Image.open(io.BytesIO(packed.getvalue())).convert("RGB")


def crop_70(image: Image.Image) -> Image.Image:
    """The middle 70 % of each side."""
    left, top = round(image.width * 0.15), round(image.height * 0.15)
    return image.crop((left, top, image.width - left, image.height - top))


def crop_corner(image: Image.Image) -> Image.Image:
    return image.crop((0, 0, round(image.width * 0.7), round(image.height * 0.7)))


@pytest.fixture(scope="module")
def altered(photographs: dict[str, Image.Image]) -> dict[str, list[Image.Image]]:
    changes = {
        "JPEG 60": jpeg_60,
        "70 % crop": crop_70,
        "mirror": ImageOps.mirror,
        "corner, mirrored, JPEG 60": lambda image: jpeg_60(ImageOps.mirror(crop_corner(image))),
    }
    return {name: [change(picture) for picture in photographs.values()] for name, change in changes.items()}


def test_lite0_is_the_network_of_its_package(offline_models: Path, photographs, monkeypatch: pytest.MonkeyPatch):
    from engine.vision.lite0 import load_lite0, run_lite0

    monkeypatch.syspath_prepend(str(offline_models / "packages"))
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    del sys.modules["efficientnet_lite_pytorch"]
    from efficientnet_lite_pytorch import EfficientNet

    path = offline_models / "efficientnet-lite0" / "efficientnet-lite0-57934424.pth"
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    some = list(photographs.values())[:3]
    pixels = np.stack([np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)) for image in some])
    with torch.inference_mode():
        features = theirs.extract_features((torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127.0) / 128)
        wanted = theirs._fc(features.mean(dim=(2, 3))).numpy()
    ours = load_lite0(path)
    with torch.inference_mode():
        same = ours((torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127.0) / 128).numpy()
    np.testing.assert_allclose(same, wanted, atol=1e-4)
    # Pictures are made smaller in two steps, for speed: the answer stays.
    shrunk = run_lite0(ours, some, logits=True)
    assert (shrunk.argmax(axis=1) == wanted.argmax(axis=1)).all() and np.abs(shrunk - wanted).max() < 1.0


def test_rows_have_length_one_and_a_batch_changes_nothing(offline_models: Path, photographs):
    encoder = open_encoder(offline_models / "efficientnet-lite0")
    some = [*list(photographs.values())[:2], Image.new("L", (33, 700), 90), Image.new("RGBA", (512, 40), "red")]
    rows = encoder.embed(some)
    assert rows.shape == (4, encoder.size) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(some[1:2])[0], rows[1], atol=1e-5)
    assert encoder.embed([]).shape == (0, encoder.size)


def test_lite0_puts_the_same_subject_nearest(offline_models: Path, photographs):
    rows = open_encoder(offline_models / "efficientnet-lite0").embed(list(photographs.values()))
    subjects = [name.split("/")[0] for name in photographs]
    alike = rows @ rows.T - 2 * np.eye(len(rows))
    nearest = [subjects[at] == subjects[alike[at].argmax()] for at in range(len(rows))]
    assert sum(nearest) >= 17  # of 19


def test_labels_name_what_is_seen(offline_models: Path, photographs):
    labels = open_labeller(offline_models / "efficientnet-lite0").label(list(photographs.values()))
    first = {name: found[0][0] for name, found in zip(photographs, labels, strict=True)}
    assert {first[f"bear_plushie/0{at}.jpg"] for at in range(5)} == {"teddy bear"}
    assert {first[f"dog6/0{at}.jpg"] for at in range(5)} == {"Pembroke Welsh Corgi"}
    assert all(len(found) == 5 and 0 < sum(share for _, share in found) <= 1.0001 for found in labels)
    assert len(label_names()) == 1000


def test_altered_copies_are_found_and_no_two_photographs_are_taken_for_one(
    offline_models: Path, photographs, altered: dict[str, list[Image.Image]]
):
    pictures = list(photographs.values())
    encoder = open_encoder(offline_models / "sscd")
    rows = encoder.embed(pictures)
    for change, copies in altered.items():
        assert (rows * encoder.embed(copies)).sum(axis=1).min() >= CANDIDATE["sscd"], change
        agreed = [agreement(picture, copy) for picture, copy in zip(pictures, copies, strict=True)]
        assert min(agreed) >= SAME_SHOT, change
    pairs = candidate_pairs(rows, "sscd")
    assert pairs, "two photographs of one sitting are worth a look"
    assert max(agreement(pictures[one], pictures[two]) for one, two in pairs) < SAME_SHOT


def test_lite0_shortlists_the_copies_too(offline_models: Path, photographs, altered: dict[str, list[Image.Image]]):
    encoder = open_encoder(offline_models / "efficientnet-lite0")
    rows = encoder.embed(list(photographs.values()))
    for copies in altered.values():
        assert (rows * encoder.embed(copies)).sum(axis=1).min() >= CANDIDATE["efficientnet-lite0"]


def test_pictures_without_details_agree_by_their_colours():
    rows = np.linspace(60, 200, 256, dtype=np.uint8)
    sky = Image.fromarray(np.repeat(rows[:, None], 256, axis=1)).convert("RGB")
    assert agreement(sky, jpeg_60(ImageOps.mirror(sky))) >= SAME_SHOT
    assert agreement(sky, ImageOps.flip(sky)) < SAME_SHOT


@pytest.mark.parametrize(("kind", "width"), [("dinov2", 32), ("siglip2", 32), ("clip", 24)])
def test_transformers_classes_embed_what_the_class_itself_gives(kind: str, width: int, tmp_path: Path):
    from transformers import AutoImageProcessor, AutoModel

    folder = tiny_sight(kind, tmp_path / kind)
    encoder = open_encoder(folder)
    pictures = [Image.effect_noise((50 + 9 * at, 40), 80).convert("RGB") for at in range(3)]
    rows = encoder.embed(pictures)
    assert (encoder.size, rows.shape) == (width, (3, width))
    model, processor = AutoModel.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        pixels = processor(images=pictures[:1], return_tensors="pt")["pixel_values"]
        vision = model if kind == "dinov2" else model.vision_model
        wanted = vision(pixel_values=pixels).pooler_output[0]
        if kind == "clip":
            wanted = model.visual_projection(wanted)
    np.testing.assert_allclose(rows[0], (wanted / wanted.norm()).numpy(), atol=1e-5)


def test_the_demo_encoder_tells_its_scenes_apart():
    encoder = open_encoder("demo")
    red, blue = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")
    rows = encoder.embed([red, blue, red])
    assert rows.shape == (3, encoder.size)
    assert rows[0] @ rows[2] > 0.999 > rows[0] @ rows[1]


def test_the_demo_has_a_second_encoder_for_one_drawing_on_any_ground():
    fox, elsewhere, dog = (
        paint(Scene("fox", Ground("plain", "blue"))), paint(Scene("fox", Ground("snow"), place="left"), (80, 48)),
        paint(Scene("dog", Ground("plain", "blue"))),
    )  # fmt: skip
    encoder = open_encoder("demo-perceptual")
    rows = encoder.embed([fox, elsewhere, dog])
    assert rows.shape == (3, encoder.size) and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.7 and rows[0] @ rows[2] < 0.5
    assert encoder.embed([]).shape == (0, encoder.size)
    assert installed("embedding") is None or installed("embedding").loader not in ("demo", "perceptual")


def test_metas_torchscript_file_of_sscd_is_read(tmp_path: Path):
    class Means(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(pixels.mean(dim=[2, 3]), [0, 509])

    torch.jit.script(Means()).save(str(tmp_path / "sscd_disc_mixup.torchscript.pt"))
    row = open_encoder(tmp_path).embed([Image.new("RGB", (40, 30), (255, 0, 0))])[0]
    wanted = np.array([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    np.testing.assert_allclose(row[:3], wanted / np.linalg.norm(wanted), atol=1e-5)


def test_out_of_memory_halves_the_batch():
    asked: list[int] = []

    def work(some):
        asked.append(len(some))
        if len(some) > 3:
            raise torch.cuda.OutOfMemoryError("full")
        return np.ones((len(some), 2))

    pictures = [Image.new("RGB", (8, 8))] * 7
    assert in_batches(pictures, 8, work, 2).shape == (7, 2)
    assert asked == [7, 4, 2, 2, 2, 1]


def test_broken_weights_are_one_sentence(tmp_path: Path):
    for name in ("efficientnet-lite0-57934424.pth", "sscd.onnx"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(b"no weights at all")
        with pytest.raises(LorasmithError, match="fetch it again") as raised:
            open_encoder(folder)
        assert "\n" not in str(raised.value)
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    with pytest.raises(LorasmithError, match="no picture encoder that transformers can load"):
        open_encoder(folder)


def test_every_known_encoder_is_found_by_its_name():
    for model in KNOWN_MODELS:
        role = {
            "sscd": "copies", "auraface": "faces", "dlib": "faces", "ppocr": "text", "clipseg": "masks",
        }.get(model.loader, "embedding")  # fmt: skip
        assert find_model(model.name, role).name == model.name
