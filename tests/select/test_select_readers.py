"""Which encoder reads what, with and without models on the machine."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import LorasmithError
from engine.select.readers import choose_readers, offer

ROOT = Path(__file__).resolve().parents[2]
SIGHT = ("config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("engine.vision.models._package_folders", lambda package, inside: [])


def put(folder: Path, *names: str, config: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(json.dumps(config or {}) if name == "config.json" else "x")
    return folder


def server(home: Path, *names: str) -> None:
    """Puts models into lorasmith's own folder, by the files they are known by."""
    config = {"siglip2": {"text_config": {}}, "clipseg": {"model_type": "clipseg"}}
    files = {
        "sscd": ("sscd_disc_mixup.torchscript.pt",),
        "auraface": ("face_detection_yunet_2023mar.onnx", "glintr100.onnx"),
        "efficientnet-lite0": ("efficientnet-lite0-57934424.pth",),
    }
    for name in names:
        put(home / "models" / name, *files.get(name, SIGHT), config=config.get(name))


def used(kind: str, **said) -> dict[str, str]:
    return {name: source.name for name, source in choose_readers(kind, **{"demo": False, **said}).used.items()}


def test_the_selector_never_asks_the_judge():
    """Neither a line that imports it nor the name of its weights: what proves the selector must not be part of it."""
    for path in [*(ROOT / "engine" / "select").rglob("*.py"), *(ROOT / "engine" / "compare").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "judge.safetensors" not in text and "load_judge" not in text, path
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not any("engine.lab.judge" in f"{module}.{name}" for name in names), path


def test_choosing_loads_no_library():
    code = "import engine.select.readers, sys; print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_demo_reads_with_its_own_encoder():
    readers = choose_readers("animal", demo=True)
    names = {name: source.name for name, source in readers.used.items()}
    assert names.pop("likeness") == "demo-perceptual" and set(names.values()) == {"demo"} and readers.way == "patches"
    assert not readers.notes and not readers.offers
    assert choose_readers("concept", demo=True).way == "patches"
    assert choose_readers("object", demo=False, given=["likeness=demo-perceptual"]).way == "patches"
    style = choose_readers("style", demo=True)  # of a style there is no one drawing
    assert style.way == "style" and style.likeness is not None and style.likeness.name == "demo"


def test_a_bare_machine_is_told_what_is_lacking_and_what_it_would_cost():
    readers = choose_readers("person", demo=False)
    assert not readers.used
    said = " ".join(readers.notes)
    for lacking in ("Fidelity is not measured", "Prompt following and styles", "Diversity", "Copies of training"):
        assert lacking in said
    assert "whole pictures are" not in said, "nothing stands in for a reader of faces"
    assert [source.name for source in readers.offered] == ["auraface", "siglip2", "dinov2", "sscd"]
    assert all("MB to fetch" in sentence and sentence.endswith(".") for sentence in readers.offers)
    assert "4,580 MB" in readers.offers[1] and "Apache-2.0" in readers.offers[1]


def test_a_server_with_everything(own_home: Path):
    server(own_home, "siglip2", "dinov2", "clipseg", "sscd", "auraface")
    rest = {"following": "siglip2", "looks": "dinov2", "copying": "sscd"}
    assert used("animal") == {"likeness": "siglip2", "masks": "clipseg", **rest}
    assert used("person") == {"likeness": "auraface", **rest}
    assert used("concept") == {"likeness": "siglip2", **rest}
    ways = {kind: choose_readers(kind, demo=False).way for kind in ("person", "object", "style", "concept")}
    assert ways == {"person": "faces", "object": "patches", "style": "style", "concept": "whole"}
    readers = choose_readers("object", demo=False)
    assert not readers.notes and not readers.offered
    assert "trust fidelity less" in choose_readers("style", demo=False).notes[0]
    assert len(readers.licences) == 4 and all(licence.endswith(".") for licence in readers.licences)


def test_none_measures_nothing_whatever_is_here(own_home: Path):
    server(own_home, "siglip2", "dinov2", "sscd", "auraface")
    for demo in (True, False):
        readers = choose_readers("person", demo=demo, given=["none"])
        assert not readers.used and not readers.offered and readers.notes == (
            "No picture is measured, as you asked: they are for your own eyes.",
        )
    with pytest.raises(LorasmithError, match="no known name"):
        choose_readers("person", demo=False, given=["none", "siglip2"])


def test_what_is_named_and_still_to_be_fetched_is_among_the_offered(own_home: Path):
    server(own_home, "siglip2", "clipseg")
    with pytest.raises(LorasmithError, match="is not on this machine"):
        choose_readers("animal", demo=False, given=["looks=dinov2"])
    readers = choose_readers("animal", demo=False, given=["looks=dinov2"], pending=True)
    assert [source.name for source in readers.offered] == ["dinov2", "sscd"]
    assert readers.megabytes == 346 + 99 and readers.likeness is not None


def test_without_a_mask_the_background_is_warned_of(own_home: Path):
    server(own_home, "siglip2", "dinov2", "sscd")
    readers = choose_readers("animal", demo=False)
    assert readers.way == "patches" and readers.masks is None
    assert len(readers.notes) == 1 and "background is not separated" in readers.notes[0]
    assert [source.name for source in readers.offered] == ["clipseg"]


def test_offline_models_read_all_but_texts(own_home: Path):
    server(own_home, "efficientnet-lite0", "sscd")
    readers = choose_readers("object", demo=False)
    assert used("object") == {"likeness": "efficientnet-lite0", "looks": "efficientnet-lite0", "copying": "sscd"}
    assert readers.way == "whole" and readers.following is None
    assert any("Prompt following and styles are not measured" in note for note in readers.notes)


def test_names_and_folders_are_taken_for_what_they_can_do(tmp_path: Path):
    dual = put(tmp_path / "my-clip", *SIGHT, config={"text_config": {}})
    sight = put(tmp_path / "my-dino", *SIGHT)
    masks = put(tmp_path / "my-masks", *SIGHT, config={"model_type": "clipseg"})
    given = [str(sight), str(dual), str(masks)]
    found = used("object", given=given)
    assert found == {"likeness": "my-dino", "masks": "my-masks", "following": "my-clip", "looks": "my-dino"}
    assert used("object", given=[str(dual)]) == dict.fromkeys(("likeness", "following", "looks"), "my-clip")
    assert used("object", given=[f"looks={dual}"])["looks"] == "my-clip"
    assert used("object", demo=True, given=[f"looks={sight}"]) == {
        "likeness": "demo-perceptual", "following": "demo", "looks": "my-dino", "copying": "demo",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("siglip2", "4,580 MB to fetch"),
        ("someone/other", "someone/other is not on this machine"),
        ("glances=dinov2", "glances is nothing that is read"),
        ("looks=sscd", "sscd is no picture encoder"),
        ("no-such-model", "no known name"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(given: str, said: str):
    with pytest.raises(LorasmithError, match=said) as raised:
        choose_readers("object", demo=False, given=[given])
    assert "\n" not in str(raised.value)


def test_what_is_asked_for_is_fetched(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    fetched = []

    def fetch(source, report=None):
        fetched.append(source.name)
        server(own_home, source.name)

    monkeypatch.setattr("engine.vision.fetch.fetch_model", fetch)
    readers = choose_readers("object", demo=False, fetch=True)
    assert fetched == ["siglip2", "clipseg", "dinov2", "sscd"]
    assert readers.way == "patches" and not readers.offered and not readers.notes
    assert used("object", fetch=True)["likeness"] == "siglip2"
    assert len(fetched) == 4, "what is here is not fetched again"


def test_an_offer_says_name_size_and_licence():
    from engine.vision.models import find_model

    assert offer(find_model("sscd", "copies")) == (
        "sscd is not on this machine (99 MB to fetch). SSCD (sscd_disc_mixup) by Meta AI: MIT."
    )
