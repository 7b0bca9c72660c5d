"""A ready-made set of class pictures from the Hugging Face hub, file by file, resumed at any of them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from engine.base.hub import hub_endpoint, said_plainly
from engine.dataset.captions import CAPTION_SUFFIXES
from engine.dataset.chance import draw
from engine.dataset.picture import PICTURE_SUFFIXES
from engine.dataset.walk import walk
from engine.dataset.zips import unpack
from engine.draw.class_settings import ClassJob
from engine.errors import DatasetError, shown
from engine.runs.folder import home
from engine.runs.job import Job, Stopped

_TIMEOUT = 30.0  # seconds without an answer
_said_plainly = partial(
    said_plainly, dataset=True, trouble=DatasetError,
    instead="give a folder of your own, or let the base draw the pictures",
)  # fmt: skip


def fetch_dataset(job: Job, settings: ClassJob, to: Path) -> None:
    """Puts up to `settings.count` pictures of a dataset repository, with their captions, into `to`.

    Says the licence first. Pictures may lie in the repository one by one or in .zip files. Which are taken depends
    on their names alone. Raises DatasetError (no network, no such set, pictures in tables only) and Stopped.
    """
    name = settings.dataset
    job.stage(f"asking the hub for {shown(name)}")
    with _said_plainly(name):
        info = HfApi(endpoint=hub_endpoint()).dataset_info(name, files_metadata=False, timeout=_TIMEOUT)
    job.warn(licence_sentence(name, info))
    files = [entry.rfilename for entry in info.siblings or []]
    wanted = chosen_files(files, settings.count)
    if not wanted:
        raise DatasetError(
            f"{shown(name)} on the hub holds no picture files and no .zip (tables such as parquet are not read): take "
            "another set, or save its pictures into a folder and give that."
        )
    kept = home() / "datasets" / name.replace("/", "--")
    to.mkdir(exist_ok=True)
    taken = 0
    for done, file in enumerate(wanted):
        if file.lower().endswith(".zip") and taken >= settings.count:
            break
        job.stage("downloading class pictures", done, len(wanted))
        if job.poll().stop is not None:
            raise Stopped
        with _said_plainly(name):
            path = Path(hf_hub_download(name, file, repo_type="dataset", revision=info.sha, local_dir=kept,
                                        endpoint=hub_endpoint()))  # fmt: skip
        for found in _pictures_in(path, kept, settings.count - taken):
            _place(found, to)
            taken += found.suffix.lower() in PICTURE_SUFFIXES
    job.stage("downloading class pictures", len(wanted), len(wanted))
    count = sum(path.suffix.lower() in PICTURE_SUFFIXES for path in to.iterdir())
    job.event("plan", pictures=count, found=0, dataset=name, licence=licence_of_card(info))


def licence_of_card(info: Any) -> str:
    """The licence that a repository's card states, empty where it states none."""
    card = getattr(info, "card_data", None)
    stated = card.get("license") if card is not None else None
    return ", ".join(stated) if isinstance(stated, list) else str(stated or "")


def licence_sentence(name: str, info: Any) -> str:
    """What the hub says of a set's licence, in a sentence."""
    licence = licence_of_card(info)
    where = f"https://huggingface.co/datasets/{shown(name)}"
    if not licence:
        return f"{shown(name)} states no licence: see {where} before you use what it helps to make."
    return f"The licence of {shown(name)} is {shown(licence)}: see {where}."


def chosen_files(files: list[str], count: int) -> list[str]:
    """What to download: `count` pictures chosen by their names, each with its caption, or else the .zip files."""
    by_suffix = {name: PurePosixPath(name).suffix.lower() for name in files}
    pictures = [name for name, suffix in by_suffix.items() if suffix in PICTURE_SUFFIXES]
    if not pictures:
        return sorted(name for name, suffix in by_suffix.items() if suffix == ".zip")
    chosen = sorted(pictures, key=lambda name: draw("class set", name))[:count]
    stems = {str(PurePosixPath(name).with_suffix("")) for name in chosen}
    captions = [
        name for name, suffix in by_suffix.items()
        if suffix in CAPTION_SUFFIXES and str(PurePosixPath(name).with_suffix("")) in stems
    ]  # fmt: skip
    return sorted([*chosen, *captions])


def _pictures_in(path: Path, kept: Path, count: int) -> list[Path]:
    """The file itself, or an archive's pictures (`count` at most, chosen by name) with their captions."""
    if path.suffix.lower() != ".zip":
        return [path]
    inside = walk(unpack(path, kept / "unpacked").folder, ".txt", ())
    chosen = sorted(inside.pictures, key=lambda picture: draw("class set", picture.name))[:count]
    stems = {picture.with_suffix("") for picture in chosen}
    return [*chosen, *(caption for caption in inside.captions if caption.with_suffix("") in stems)]


def _place(file: Path, to: Path) -> None:
    """Links a file into the set under a name that tells equally named ones of other folders apart."""
    target = to / f"{draw(str(file.with_suffix(''))):016x}-{file.name}"
    if target.exists():
        return
    try:
        os.link(file, target)
    except OSError:
        import shutil

        from engine.files import atomic_path

        with atomic_path(target) as beside:
            shutil.copyfile(file, beside)
