"""Bases on this machine, and what a person's way of naming one means."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.base.find import SHORT_NAMES, cached_snapshot, find_bases, resolve_base
from engine.errors import BaseModelError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def cache_snapshot(home: Path, repo: str, commit: str, tiny_folder: Path, without: str = "") -> Path:
    """A download as huggingface_hub leaves it: a snapshot of links into blobs."""
    folder = home / ".cache/huggingface/hub" / f"models--{repo.replace('/', '--')}"
    for file in sorted(path for path in tiny_folder.rglob("*") if path.is_file()):
        link = folder / "snapshots" / commit / file.relative_to(tiny_folder)
        if str(file).endswith(without or "\0"):
            continue
        blob = folder / "blobs" / f"{file.parent.name}-{file.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(file.read_bytes())
        link.symlink_to(blob)
    return folder / "snapshots" / commit


def test_bases_are_found_where_programs_keep_them(
    home: Path, own_home: Path, tiny_folder: Path, header_file: Callable[..., Path], sdxl_shapes: dict
) -> None:
    places = {
        "stable-diffusion-webui/models/Stable-diffusion": "sd_xl_base_1.0",
        "stable-diffusion-webui-forge/models/Stable-diffusion/anime": "ponyDiffusionV6XL",
        "ComfyUI/models/checkpoints": "juggernautXL",
    }
    for folder, name in places.items():
        (home / folder).mkdir(parents=True)
        header_file(home / folder / f"{name}.safetensors", sdxl_shapes)
    (home / "ComfyUI/models/checkpoints/sd15.safetensors").write_bytes(b"something small")
    (home / "ComfyUI/models/checkpoints/same.safetensors").symlink_to(
        home / "ComfyUI/models/checkpoints/juggernautXL.safetensors"
    )
    (own_home / "bases").mkdir(parents=True)
    (own_home / "bases" / "mine").symlink_to(tiny_folder)
    snapshot = cache_snapshot(home, "stabilityai/stable-diffusion-xl-base-1.0", "abc", tiny_folder)

    started = time.perf_counter()
    found = {base.name: base for base in find_bases()}
    assert time.perf_counter() - started < 2
    assert set(found) == {*places.values(), "mine", "stabilityai/stable-diffusion-xl-base-1.0"}
    assert found["sd_xl_base_1.0"].size_bytes > 6.9e9
    assert found["stabilityai/stable-diffusion-xl-base-1.0"].path == snapshot
    assert {found["mine"].kind, found["juggernautXL"].kind} == {"diffusers", "single-file"}


def test_nothing_to_be_found(home: Path) -> None:
    assert [base for base in find_bases() if base.path.is_relative_to(home)] == []


def test_an_unfinished_snapshot_is_passed_over(home: Path, tiny_folder: Path) -> None:
    repo = "someone/sdxl"
    cache_snapshot(home, repo, "new", tiny_folder, without="unet/diffusion_pytorch_model.safetensors")
    assert cached_snapshot(repo) is None
    whole = cache_snapshot(home, repo, "old", tiny_folder)
    assert cached_snapshot(repo) == whole


def test_names(tmp_path: Path, own_home: Path, tiny_folder: Path) -> None:
    assert resolve_base("demo").kind == "embedded"
    source = resolve_base("sdxl-1.0")
    assert (source.kind, source.repo) == ("hub", "stabilityai/stable-diffusion-xl-base-1.0")
    assert resolve_base("cagliostrolab/animagine-xl-4.0").kind == "hub"
    assert resolve_base(str(tiny_folder)).kind == "diffusers"
    assert all("/" in repo for repo in SHORT_NAMES.values())
    (own_home / "bases").mkdir(parents=True)
    file = own_home / "bases" / "juggernautXL.safetensors"
    file.touch()
    for spec in (str(file), "juggernautXL", "juggernautXL.safetensors"):
        source = resolve_base(spec)
        assert (source.kind, source.path, source.name) == ("single-file", file, "juggernautXL")


@pytest.mark.parametrize(
    "spec",
    ["", "sdxl", "models/missing.safetensors", "/no/such/folder", "a/b/c", "https://x.y/z", "x\x1b[2J"],
)
def test_a_name_that_means_nothing_gets_a_sentence(spec: str) -> None:
    with pytest.raises(BaseModelError) as caught:
        resolve_base(spec)
    assert "sdxl-1.0" in str(caught.value) and "\x1b" not in str(caught.value)
