"""The subject's photographs as vectors, kept in the run folder until they are told to go."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DatasetError, LorasmithError, RunError, shown
from engine.files import atomic_path
from engine.runs.folder import RunFolder, find_run, list_runs
from engine.runs.lock import lock_holder

if TYPE_CHECKING:
    import numpy as np

    from engine.dataset.scan import Picture
    from engine.lookalike.readers import Reader
    from engine.runs.job import Job

FILE = "subject.npz"


def photographs(folders: Sequence[str]) -> list[Picture]:
    """The usable pictures of these folders. Raises DatasetError where there is none."""
    from engine.dataset.captions import CaptionRules
    from engine.dataset.scan import Folder, scan

    found = scan([Folder(Path(folder)) for folder in folders], CaptionRules(), decode=False).pictures
    if not found:
        where = ", ".join(shown(folder) for folder in folders) or "the plan"
        raise DatasetError(f"There is no picture in {where} to compare with: name a folder in pictures.folders.")
    return list(found)


def read_subject(job: Job, reader: Reader, pictures: Sequence[Picture]) -> list[np.ndarray]:
    """Vectors of the photographs that show something; done ones are kept, so that a stop loses nothing.

    A photograph that cannot be read any more is told of and left out.
    """
    import numpy as np

    from engine.dataset.picture import open_rgb
    from engine.runs.job import Stopped

    path = job.folder.path / FILE
    known = _stored(path, reader.name)
    for done, picture in enumerate(pictures):
        if job.poll().stop:
            raise Stopped
        job.stage("looking at the pictures", done, len(pictures))
        if picture.digest in known:
            continue
        try:
            vector = reader.read(open_rgb(picture.path, name=picture.name))
        except DatasetError as error:
            job.warn(f"{error} It is left out of the comparison.")
            continue
        known[picture.digest] = np.zeros(0, np.float32) if vector is None else vector
        _store(path, reader.name, known)
    job.stage("looking at the pictures", len(pictures), len(pictures))
    return [known[one.digest] for one in pictures if one.digest in known and len(known[one.digest])]


def forget_subjects(run: str | None = None) -> int:
    """Deletes the vectors of the subject in one run, or in every run; how many runs had any. Raises LorasmithError."""
    runs = list_runs() if run is None else [find_run(run)]
    gone = 0
    for folder in runs:
        gone += _forget(folder)
    return gone


def _forget(folder: RunFolder) -> int:
    # A kill while it was being written leaves the file beside its place (`engine.files.atomic_path`).
    paths = [path for path in (folder.path / FILE, *folder.path.glob(".subject.*.npz")) if path.exists()]
    if paths and lock_holder(folder) is not None:
        raise RunError(
            f"{shown(folder.name)} is at work with them: `lorasmith stop {shown(folder.name)}` first, then forget."
        )
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            raise LorasmithError(f"{shown(path)} cannot be deleted ({error.strerror}): delete it yourself.") from error
    return 1 if paths else 0


def _stored(path: Path, reader: str) -> dict[str, np.ndarray]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["reader"]) == reader:
                return {name[2:]: stored[name] for name in stored.files if name.startswith("v-")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or damaged: the photographs are looked at again
    return {}


def _store(path: Path, reader: str, vectors: dict[str, np.ndarray]) -> None:
    import numpy as np

    entries = {f"v-{digest}": vector for digest, vector in vectors.items()}
    with atomic_path(path) as beside, beside.open("wb") as file:
        np.savez(file, reader=np.array(reader), **entries)
