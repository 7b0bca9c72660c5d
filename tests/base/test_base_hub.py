"""Downloads, against a local server that stands in for the hub and breaks off."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

import engine.base.hub as hub
from engine.base.find import find_bases
from engine.base.hub import RemoteFile, download_base
from engine.base.load import open_base
from engine.errors import BaseModelError

REPO = "someone/tiny-sdxl"
BIG = "unet/diffusion_pytorch_model.fp16.safetensors"


class StandIn(ThreadingHTTPServer):
    """Serves one repository as the hub does; `cuts` connections are closed after `cut_after` bytes of a file."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.cuts = 0
        self.cut_after = 1_200_000
        self.status = 200
        self.error_code = ""
        self.corrupt = False
        self.ranges = True
        self.served: list[tuple[str, int, int]] = []  # name, first byte asked for, bytes sent

    def sent(self, name: str) -> int:
        return sum(count for served, _, count in self.served if served == name)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if self.server.status != 200:
            self.answer(b"{}", self.server.status, {"X-Error-Code": self.server.error_code})
        elif path.startswith("/api/models/"):
            self.answer(json.dumps(self.listing()).encode())
        else:
            self.file(path.split("/resolve/", 1)[1].split("/", 1)[1])

    def listing(self) -> dict:
        siblings = []
        for file in sorted(path for path in self.server.folder.rglob("*") if path.is_file()):
            entry = {"rfilename": str(file.relative_to(self.server.folder)), "size": file.stat().st_size}
            if file.suffix == ".safetensors":
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": file.stat().st_size, "pointerSize": 134}
            siblings.append(entry)
        return {"id": REPO, "modelId": REPO, "sha": "c0ffee" * 6, "siblings": siblings}

    def file(self, name: str) -> None:
        content = (self.server.folder / name).read_bytes()
        if self.server.corrupt and name.endswith(".safetensors"):
            content = bytes(len(content))
        asked = self.headers.get("Range") if self.server.ranges else None
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        extra = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if asked else {}
        body = content[first:]
        cut = len(body) > self.server.cut_after and self.server.cuts > 0
        sent = body[: self.server.cut_after] if cut else body
        self.server.served.append((name, first, len(sent)))
        self.answer(body, 206 if asked else 200, extra, sent)
        if cut:
            self.server.cuts -= 1
            self.close_connection = True

    def answer(
        self, body: bytes, status: int = 200, extra: dict | None = None, sent: bytes | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(extra or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body if sent is None else sent)


@pytest.fixture
def server(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The hub with one repository: fp32 and fp16 weights, a pickle and a picture, as repositories have them."""
    folder = shutil.copytree(tiny_folder, tmp_path / "repository")
    for file in sorted(folder.rglob("*.safetensors")):
        shutil.copy(file, file.with_name(f"{file.stem}.fp16.safetensors"))
        file.with_suffix(".bin").write_bytes(b"pickle")
    (folder / "picture.png").write_bytes(bytes(1000))
    running = StandIn(folder)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
    monkeypatch.setattr(hub, "_WAIT", 0.001)
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_one_copy_of_the_weights_comes_and_opens(server: StandIn, own_home: Path, tiny_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = download_base(REPO, lambda done, total: told.append((done, total)))
    assert folder == own_home / "bases" / "someone--tiny-sdxl"
    names = {name for name, _, _ in server.served}
    assert BIG in names and not any(name.endswith((".bin", ".png")) for name in names)
    assert "unet/diffusion_pytorch_model.safetensors" not in names
    assert told[-1][0] == told[-1][1] == sum(server.sent(name) for name in names)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len({total for _, total in told}) == 1
    assert open_base(REPO).path == folder  # found without the network's help
    assert REPO in {found.name for found in find_bases()}
    assert not list(folder.rglob("*.part"))


def test_a_connection_cut_in_the_middle_is_taken_up_again(server: StandIn) -> None:
    server.cuts = 1
    folder = download_base(REPO, lambda done, total: None)
    size = (server.folder / BIG).stat().st_size
    starts = [first for name, first, _ in server.served if name == BIG]
    assert len(starts) == 2 and starts[0] == 0 and 1_000_000 < starts[1] <= 1_200_000
    assert server.sent(BIG) < size + 200_000  # all but the last piece of the cut answer was kept
    assert (folder / BIG).read_bytes() == (server.folder / BIG).read_bytes()


def test_a_later_start_goes_on_where_the_first_ended(server: StandIn, own_home: Path) -> None:
    def hang_up(done: int, total: int) -> None:
        if any(first == 0 and name == BIG for name, first, _ in server.served) and done > 1_000_000:
            raise KeyboardInterrupt  # Ctrl-C in the middle of the big file

    with pytest.raises(KeyboardInterrupt):
        download_base(REPO, hang_up)
    part = next((own_home / "bases").rglob("*.part"))
    arrived = part.stat().st_size
    assert arrived >= 1_000_000
    server.served.clear()
    told: list[int] = []
    folder = download_base(REPO, lambda done, total: told.append(done))
    assert [first for name, first, _ in server.served if name == BIG] == [arrived]
    assert server.sent(BIG) == (server.folder / BIG).stat().st_size - arrived
    assert told == sorted(told) and told[0] > arrived  # what lay here counts from the start
    assert (folder / BIG).read_bytes() == (server.folder / BIG).read_bytes()
    server.served.clear()
    download_base(REPO, lambda done, total: None)
    assert server.served == []  # all is here


def test_a_server_without_ranges_starts_the_file_again(server: StandIn) -> None:
    server.cuts, server.ranges = 1, False
    folder = download_base(REPO, lambda done, total: None)
    assert (folder / BIG).read_bytes() == (server.folder / BIG).read_bytes()


def test_a_hub_that_always_breaks_off_gets_a_sentence(server: StandIn) -> None:
    server.cuts, server.cut_after = 10**9, 0
    with pytest.raises(BaseModelError, match="cannot be reached|sends nothing"):
        download_base(REPO, lambda done, total: None)


def test_a_damaged_file_is_not_kept(server: StandIn, own_home: Path) -> None:
    server.corrupt = True
    with pytest.raises(BaseModelError, match="checksum"):
        download_base(REPO, lambda done, total: None)
    assert not list((own_home / "bases").rglob("*.safetensors"))
    assert not list((own_home / "bases").rglob("*.part"))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "RepoNotFound", "has no model"),
        (403, "GatedRepo", "licence"),
        (500, "", "answered 500"),
    ],
)
def test_refusals_of_the_hub(status: int, code: str, said: str, server: StandIn) -> None:
    server.status, server.error_code = status, code
    with pytest.raises(BaseModelError, match=said):
        download_base(REPO, lambda done, total: None)


def test_no_network(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(BaseModelError) as caught:
        open_base("sdxl-1.0")
    assert "cannot be reached" in str(caught.value) and "\n" not in str(caught.value)


def test_offline_mode_is_obeyed(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseModelError, match="HF_HUB_OFFLINE"):
        open_base(REPO)
    assert server.served == []


def test_two_downloads_do_not_mix(server: StandIn, own_home: Path) -> None:
    folder = own_home / "bases" / "someone--tiny-sdxl"
    folder.mkdir(parents=True)
    # A lock of this kind belongs to a process: another one must hold it.
    lock = str(folder / ".lock")
    code = f"import fcntl; f = open({lock!r}, 'w'); fcntl.lockf(f, {fcntl.LOCK_EX}); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None and holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(BaseModelError, match="another process"):
        download_base(REPO, lambda done, total: None)
    holder.communicate(b"\n")
    download_base(REPO, lambda done, total: None)


def test_too_small_a_disk_is_said_before(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(BaseModelError, match="The download takes about .* where 0 MB are free .* LORASMITH_HOME"):
        download_base(REPO, lambda done, total: None)
    assert server.served == []


def test_a_repository_without_a_base(server: StandIn) -> None:
    (server.folder / BIG).unlink()
    (server.folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BaseModelError, match="holds no SDXL base"):
        download_base(REPO, lambda done, total: None)


def test_a_separate_vae_by_name(server: StandIn, tiny_folder: Path) -> None:
    base = open_base(tiny_folder, vae=REPO)
    assert {name for name, _, _ in server.served} == {
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    assert base.load_vae(torch.float32).config.latent_channels == 4
    server.status = 500
    assert open_base(tiny_folder, vae=REPO).vae_hash == base.vae_hash  # the second time without the network


# The files of stabilityai/stable-diffusion-xl-base-1.0 that hold weights, with their sizes in bytes.
STABILITY = {
    "sd_xl_base_1.0.safetensors": 6_938_078_334,
    "sd_xl_base_1.0_0.9vae.safetensors": 6_938_078_334,
    "sd_xl_offset_example-lora_1.0.safetensors": 49_553_604,
    "unet/diffusion_pytorch_model.safetensors": 10_270_077_736,
    "unet/diffusion_pytorch_model.fp16.safetensors": 5_135_149_760,
    "unet/model.onnx_data": 10_269_854_720,
    "text_encoder/model.safetensors": 492_265_168,
    "text_encoder/model.fp16.safetensors": 246_144_152,
    "text_encoder_2/model.safetensors": 2_778_702_264,
    "text_encoder_2/model.fp16.safetensors": 1_389_382_176,
    "vae/diffusion_pytorch_model.safetensors": 334_643_268,
    "vae/diffusion_pytorch_model.fp16.safetensors": 167_335_342,
    "vae_1_0/diffusion_pytorch_model.safetensors": 334_643_268,
}
CONFIGS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
]
CONFIGS += [f"{part}/config.json" for part in ("unet", "vae", "text_encoder", "text_encoder_2")]


def remote(sizes: dict[str, int]) -> dict[str, RemoteFile]:
    return {name: RemoteFile(name, size, None) for name, size in sizes.items()}


def test_choice_in_the_real_repository() -> None:
    files = remote({**STABILITY, **dict.fromkeys(CONFIGS, 1_000)})
    wanted = hub._wanted_base("stabilityai/stable-diffusion-xl-base-1.0", files)
    weights = {file.name for file in wanted if file.size > 1_000}
    assert weights == {name for name in STABILITY if ".fp16." in name}
    assert sum(file.size for file in wanted) < 7e9
    assert {file.name for file in wanted} - weights == set(CONFIGS)


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        (
            {"model.safetensors": 13_900_000_000, "model-fp16.safetensors": 6_940_000_000},
            "model-fp16.safetensors",
        ),
        ({"v1.safetensors": 6_940_000_000, "v2.safetensors": 6_940_000_000}, "v2.safetensors"),
        ({"xl.safetensors": 6_940_000_000, "xl-lora.safetensors": 170_000_000}, "xl.safetensors"),
        ({"xl.safetensors": 6_940_000_000, "sdxl_vae.safetensors": 334_000_000}, "xl.safetensors"),
    ],
)
def test_choice_among_single_files(sizes: dict, chosen: str) -> None:
    assert [file.name for file in hub._wanted_base("someone/xl", remote(sizes))] == [chosen]
