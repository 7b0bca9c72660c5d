"""Downloading a model from the Hugging Face hub, resumed where it broke off and checked at the end.

huggingface_hub finds the files, the addresses and the credentials; the bytes are fetched here, because since
2.0 its own download starts a file again from nothing once the process has ended, and a UNet is 5 GB.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from engine.base.configs import CONFIG_FILES
from engine.base.find import lorasmith_home
from engine.base.folder import WEIGHT_STEMS
from engine.base.recognise import recognise
from engine.errors import BaseModelError, LorasmithError, shown
from engine.files import check_space

try:
    import httpx2 as httpx  # huggingface_hub's HTTP client since 2.0
except ImportError:
    import httpx  # pyright: ignore[reportMissingImports]

Report = Callable[[int, int], None]  # bytes done, bytes in all

_PIECE = 1 << 20
_TRIES = 5  # in a row without a single new byte
_WAIT = 1.0  # seconds before the second try, doubled for each further one
_TIMEOUT = 30.0  # seconds without an answer
_NO_BASE = ("lora", "vae", "refiner", "inpaint", "turbo", "lightning", "offset")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a hub repository; `sha256` is known for the large ones (git-lfs)."""

    name: str
    size: int
    sha256: str | None


def download_base(repo: str, report: Report) -> Path:
    """Downloads an SDXL base into $LORASMITH_HOME/bases and returns its folder or single file.

    Takes one copy of the weights: the diffusers folder in its fp16 variant, or the fp16 single file, whichever
    is smaller. What is already here, in part or whole, is not fetched again. `report(done, total)` is told the
    bytes. Raises BaseModelError (no network, no such model, licence not accepted, disk full, no SDXL base).
    """
    revision, files = list_files(repo)
    wanted = _wanted_base(repo, files)
    folder = fetch_files(repo, revision, wanted, _base_folder(repo), report)
    single = len(wanted) == 1
    return recognise(folder / wanted[0].name if single else folder).path


def download_vae(repo: str, report: Report) -> Path:
    """Downloads a separate VAE (such as madebyollin/sdxl-vae-fp16-fix) and returns its folder."""
    revision, files = list_files(repo)
    inside = "vae/" if "vae/config.json" in files else ""
    weights = _weights(files, inside, WEIGHT_STEMS["vae"])
    if f"{inside}config.json" not in files or not weights:
        raise BaseModelError(f"{shown(repo)} on the hub holds no VAE in diffusers' layout; name another.")
    wanted = [files[f"{inside}config.json"], *weights]
    return fetch_files(repo, revision, wanted, _base_folder(repo), report)


def list_files(repo: str) -> tuple[str, dict[str, RemoteFile]]:
    """The commit a repository is at, and its files."""
    with said_plainly(repo):
        info = HfApi(endpoint=hub_endpoint()).model_info(repo, files_metadata=True, timeout=_TIMEOUT)
    files = {
        entry.rfilename: RemoteFile(entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs else None)
        for entry in info.siblings or []
    }
    return info.sha or "main", files


def _wanted_base(repo: str, files: Mapping[str, RemoteFile]) -> list[RemoteFile]:
    """The smaller of the diffusers folder and the best single file; the folder where they are about equal."""
    folder, single = _wanted_folder(files), _best_single(files)
    if folder and (single is None or sum(file.size for file in folder) <= 1.1 * single.size):
        return folder
    if single is not None:
        return [single]
    raise BaseModelError(
        f"{shown(repo)} on the hub holds no SDXL base in safetensors; name another model, or download its "
        "file yourself and give the path."
    )


def _wanted_folder(files: Mapping[str, RemoteFile]) -> list[RemoteFile]:
    """The files of the diffusers folder that loading reads, or [] where one is missing."""
    needed = ["model_index.json", *(f"{part}/{name}" for part, name in CONFIG_FILES.items())]
    if any(name not in files for name in needed):
        return []
    wanted = [files[name] for name in needed]
    for part in ("tokenizer", "tokenizer_2"):
        wanted += [files[name] for name in (f"{part}/{end}" for end in _TOKENIZER_FILES) if name in files]
    for part, stem in WEIGHT_STEMS.items():
        weights = _weights(files, f"{part}/", stem)
        if not weights:
            return []
        wanted += weights
    return wanted


def _weights(files: Mapping[str, RemoteFile], inside: str, stem: str) -> list[RemoteFile]:
    """One copy of a component's weights, fp16 first; shards with their index."""
    for name in (f"{stem}.fp16.safetensors", f"{stem}.safetensors"):
        if inside + name in files:
            return [files[inside + name]]
    for index, mark in (
        (f"{stem}.safetensors.index.fp16.json", ".fp16"),
        (f"{stem}.safetensors.index.json", ""),
    ):
        if inside + index in files:
            shards = [
                file
                for name, file in files.items()
                if name.startswith(f"{inside}{stem}{mark}-") and name.endswith(".safetensors")
            ]
            return [files[inside + index], *shards]
    return []


def _best_single(files: Mapping[str, RemoteFile]) -> RemoteFile | None:
    """The top-level checkpoint to take: fp16 by name first, then the smallest, then the newest by name."""
    top = [file for name, file in files.items() if "/" not in name and name.endswith(".safetensors")]
    top = [file for file in top if not any(word in file.name.lower() for word in _NO_BASE)]
    largest = max((file.size for file in top), default=0)
    whole = [file for file in top if 3 * file.size >= largest]  # adapters and parts beside it are smaller
    newest_last = sorted(whole, key=lambda file: file.name)
    fp16_first = sorted(reversed(newest_last), key=lambda file: ("fp16" not in file.name.lower(), file.size))
    return fp16_first[0] if fp16_first else None


def _base_folder(repo: str) -> Path:
    return lorasmith_home() / "bases" / repo.replace("/", "--")


def fetch_files(
    repo: str, revision: str, wanted: Sequence[RemoteFile], folder: Path, report: Report
) -> Path:
    """Downloads files of a repository into a folder, keeping what is there already, and returns the folder.

    Raises BaseModelError (no network, another process is at it, disk full, damaged on the way).
    """
    total = sum(file.size for file in wanted)
    # model_index.json makes a folder a model: it comes last, so that none looks whole too early.
    ordered = sorted(wanted, key=lambda file: file.name == "model_index.json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, repo):
            arrived = {file.name: _arrived(folder, file, revision) for file in ordered}
            check_space(
                folder, total - sum(arrived.values()), "The download takes",
                "free space or set LORASMITH_HOME to another disk", BaseModelError,
            )  # fmt: skip
            for file in ordered:

                def tell(size: int, name: str = file.name) -> None:
                    arrived[name] = size
                    report(sum(arrived.values()), total)

                with said_plainly(repo):
                    _fetch(repo, revision, file, folder, tell)
                tell(file.size)
    except OSError as error:
        raise BaseModelError(
            f"{shown(repo)} cannot be written to {shown(folder)}: {error.strerror or error}; free space or "
            "set LORASMITH_HOME to another disk, then start again: what has arrived is kept."
        ) from error
    return folder


def _fetch(repo: str, revision: str, file: RemoteFile, folder: Path, report: Callable[[int], None]) -> None:
    """Fetches one file; the part that has arrived lies beside it under a name that carries its identity."""
    target = folder / file.name
    if target.is_file() and target.stat().st_size == file.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(folder, file, revision)
    url = hf_hub_url(repo, file.name, revision=revision, endpoint=hub_endpoint())
    with part.open("ab") as out:
        tries = 0
        while out.tell() < file.size:
            before = out.tell()
            try:
                _receive(url, file.size, out, report)
            except httpx.TransportError:
                if tries == _TRIES:
                    raise
            # A broken or empty answer: try again, and without end only as long as something arrives.
            tries = 0 if out.tell() > before else tries + 1
            if tries > _TRIES:
                raise BaseModelError(f"the hub sends nothing of {shown(file.name)}; start again later.")
            if out.tell() < file.size:
                time.sleep(_WAIT * 2 ** max(0, tries - 1))
        out.flush()
        os.fsync(out.fileno())
    if part.stat().st_size != file.size or (file.sha256 and _sha256(part) != file.sha256):
        part.unlink()
        raise BaseModelError(
            f"{shown(file.name)} of {shown(repo)} arrived damaged (wrong checksum); start again."
        )
    part.replace(target)


def _part(folder: Path, file: RemoteFile, revision: str) -> Path:
    target = folder / file.name
    return target.with_name(f".{target.name}.{(file.sha256 or revision)[:12]}.part")


def _arrived(folder: Path, file: RemoteFile, revision: str) -> int:
    """Bytes of a file that lie here already, whole or in part."""
    for path in (folder / file.name, _part(folder, file, revision)):
        if path.is_file():
            return min(path.stat().st_size, file.size)
    return 0


def _receive(url: str, size: int, out: BinaryIO, report: Callable[[int], None]) -> None:
    """Asks for the bytes from here on and appends them as they come."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if out.tell():
        headers["Range"] = f"bytes={out.tell()}-{size - 1}"
    with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as answer:
        if answer.is_error:
            answer.read()  # the reason stands in the body
        hf_raise_for_status(answer)
        if out.tell() and answer.status_code != 206:
            out.truncate(0)  # a server without ranges sends all of it again
            out.seek(0)
        for piece in answer.iter_bytes(_PIECE):
            out.write(piece)
            report(out.tell())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(folder: Path, repo: str) -> Iterator[None]:
    """Holds the folder's lock: two downloads into one part would mix."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BaseModelError(
                f"{shown(repo)} is being downloaded by another process; wait for it to end, then start again."
            ) from error
        yield


@contextmanager
def said_plainly(
    repo: str, *, dataset: bool = False, instead: str = "", trouble: type[LorasmithError] = BaseModelError
) -> Iterator[None]:
    """Turns what can go wrong on the way to the hub into one sentence each; `instead` is what else a person can do."""
    name, what, place = shown(repo), "dataset" if dataset else "model", "datasets/" if dataset else ""
    or_else = f", or {instead}" if instead else ""
    try:
        yield
    except GatedRepoError as error:
        raise trouble(
            f"{name} asks for its licence to be accepted: do so on https://huggingface.co/{place}{name} and set "
            "HF_TOKEN to a token of that account."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise trouble(
            f"the hub has no {what} {name} (or it is private and HF_TOKEN is not set); check the name."
        ) from error
    except OfflineModeIsEnabled as error:
        raise trouble(
            f"{name} is not on this machine and HF_HUB_OFFLINE forbids downloads; unset it"
            f"{or_else or ', or give a path here'}."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise trouble(f"the hub answered {status} for {name}; try again later: what has arrived is kept.") from error
    except (httpx.HTTPError, LocalEntryNotFoundError) as error:
        raise trouble(
            f"the hub cannot be reached for {name} ({type(error).__name__}): check the network and start again (what "
            f"has arrived is kept){or_else}."
        ) from error


def hub_endpoint() -> str | None:
    """Another hub than huggingface.co, where the person's environment names one."""
    return os.environ.get("HF_ENDPOINT") or None
