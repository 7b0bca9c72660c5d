"""From folders to a data set: every picture measured and identified, every caption read, every oddity named."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from engine.dataset.captions import CaptionRules, Role, caption_candidates, read_caption
from engine.dataset.kohya_folder import KohyaName, KohyaRoot, kohya_name, kohya_root
from engine.dataset.picture import probe, verify
from engine.dataset.walk import Found, Problem, walk
from engine.dataset.zips import is_zip, unpack
from engine.errors import DatasetError, shown

__all__ = ["Dataset", "Folder", "Picture", "Problem", "scan"]

_FEW = 4  # below this, starting threads costs more than it saves


@dataclass(frozen=True)
class Folder:
    """Where pictures lie (a folder or a .zip) and what they are for; `repeats` of None is chosen later."""

    path: Path
    repeats: int | None = None
    role: Role = "train"


@dataclass(frozen=True)
class Picture:
    """One usable picture. `width` and `height` are upright pixels, `digest` is the SHA-256 of the file's bytes.

    `name` is the path relative to its folder; `caption` the caption file's line, None where there is none to use.
    `repeats` of None is chosen later (`engine.dataset.schedule.with_repeats`); a class picture has 1.
    """

    path: Path
    name: str
    width: int
    height: int
    format: str
    digest: str
    caption: str | None
    caption_path: Path | None
    repeats: int | None
    role: Role
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """All usable pictures in natural order, all problems, and the kohya folder names that were understood."""

    pictures: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    kohya: tuple[KohyaName, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    path: Path
    name: str
    repeats: int | None
    role: Role


def scan(
    folders: Sequence[Folder],
    rules: CaptionRules,
    report: Callable[[int, int], None] | None = None,
    *,
    unpack_to: Path | None = None,
    decode: bool = True,
    leave_out: Sequence[str] = (),
) -> Dataset:
    """Reads folders and archives; a bad file becomes a problem, a folder that cannot be read at all DatasetError.

    `report(done, total)` counts pictures. Archives are unpacked into `unpack_to` (default: lorasmith's home).
    With `decode` every picture is decoded once, so that cut-off data is named now and not in the middle of a
    training; without it only headers are read. `leave_out` names training pictures, as `Picture.name` has them, that
    are passed over. What `report` raises ends the scan.
    """
    problems: list[Problem] = []
    candidates: list[_Candidate] = []
    names: dict[Path, KohyaName] = {}
    captions: list[tuple[Path, Path]] = []  # (caption file, root of its folder)
    for folder in folders:
        root, layout = _opened(folder, unpack_to, problems)
        found = walk(root, rules.extension, layout.outputs if layout else ())
        problems.extend(found.problems)
        chosen = _candidates(folder, root, layout, found, names, problems)
        if not chosen:
            problems.append(_nothing(folder, found))
        candidates.extend(chosen)
        captions.extend((caption, root) for caption in found.captions)
    taken = _taken(candidates, leave_out, problems)
    pictures = _examined(taken, rules, decode, report, problems)
    problems.extend(_shared_stems(taken))
    problems.extend(_unused_captions(candidates, captions, rules))
    problems.extend(_listed_twice(taken))
    return Dataset(tuple(pictures), tuple(problems), tuple(names.values()))


def _opened(folder: Folder, unpack_to: Path | None, problems: list[Problem]) -> tuple[Path, KohyaRoot | None]:
    """Where a folder's pictures really lie (an archive is unpacked), and its kohya layout if it has one."""
    root = Path(folder.path).expanduser().absolute()
    try:
        archive = is_zip(root)
        if not archive and not root.is_dir():
            what = "is neither a folder nor a .zip" if root.exists() else "does not exist"
            raise DatasetError(f"the picture folder {shown(root)} {what}: give the folder that holds the pictures.")
        if archive:
            if unpack_to is None:
                from engine.runs.folder import home

                unpack_to = home() / "unpacked"
            unpacked = unpack(root, unpack_to)
            problems.extend(Problem(root, sentence, "error") for _, sentence in unpacked.refused)
            root = unpacked.folder
        return root, kohya_root(root)
    except OSError as error:
        raise DatasetError(
            f"the picture folder {shown(root)} cannot be read ({error.strerror}): give this user the right to read it."
        ) from error


def _candidates(
    folder: Folder,
    root: Path,
    layout: KohyaRoot | None,
    found: Found,
    names: dict[Path, KohyaName],
    problems: list[Problem],
) -> list[_Candidate]:
    """The pictures of one folder with the role and repeats that the plan or the folders' names give them."""
    chosen: list[_Candidate] = []
    unused: dict[Path, int] = defaultdict(int)
    for path in found.pictures:
        in_reg = layout is not None and layout.classes is not None and path.is_relative_to(layout.classes)
        role: Role = "class" if in_reg else folder.role
        name = _kohya_name_of(path, root, role, names)
        repeats = folder.repeats if folder.repeats is not None else name.repeats if name else None
        if repeats == 0:
            unused[name.path if name else root] += 1
            continue
        chosen.append(_Candidate(path, path.relative_to(root).as_posix(), 1 if role == "class" else repeats, role))
    for where, count in unused.items():
        problems.append(
            Problem(where, f"{shown(where.name)} says 0 repeats, so its {count} pictures are not trained: "
                    "give it at least 1.", "error")
        )  # fmt: skip
    return chosen


def _kohya_name_of(path: Path, root: Path, role: Role, names: dict[Path, KohyaName]) -> KohyaName | None:
    """The nearest folder above a picture, up to the root itself, that kohya's naming rule reads."""
    for above in path.parents:
        if above in names:
            return names[above]
        name = kohya_name(above, role)
        if name:
            names[above] = name
            return name
        if above == root:
            return None
    return None


def _nothing(folder: Folder, found: Found) -> Problem:
    path = Path(folder.path)
    if found.pictures:
        return Problem(path, f"{shown(path)} gives no picture to train with: see its folders' repeats.", "error")
    what = "holds no pictures" if found.problems or found.captions else "is empty"
    return Problem(
        path, f"{shown(path)} {what}: give the folder that holds the pictures (JPEG, PNG, WebP, HEIC ...).", "error"
    )


def _taken(
    candidates: Sequence[_Candidate], leave_out: Sequence[str], problems: list[Problem]
) -> Sequence[_Candidate]:
    """The pictures that are not left out; a name that leaves nothing out is a slip of the pen, and said."""
    names = {one.name for one in candidates if one.role == "train"}
    for name in leave_out:
        if name not in names:
            sentence = f"pictures.leave_out names {shown(name)}, which is in none of the folders: correct or remove it."
            problems.append(Problem(Path(name), sentence, "warning"))
    passed_over = set(leave_out)
    return [one for one in candidates if one.role == "class" or one.name not in passed_over]


def _examined(
    candidates: Sequence[_Candidate],
    rules: CaptionRules,
    decode: bool,
    report: Callable[[int, int], None] | None,
    problems: list[Problem],
) -> list[Picture]:
    def examine(candidate: _Candidate) -> tuple[Picture | None, tuple[Problem, ...]]:
        return _picture(candidate, rules, decode)

    pictures: list[Picture] = []
    # Decoding and hashing release the interpreter, so threads use the cores there are.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(examine, candidates) if len(candidates) > _FEW else map(examine, candidates)
        try:
            for done, (picture, oddities) in enumerate(results, start=1):
                problems.extend(oddities)
                if picture:
                    pictures.append(picture)
                if report:
                    report(done, len(candidates))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # or leaving would wait for every picture there is
            raise
    return pictures


def _picture(candidate: _Candidate, rules: CaptionRules, decode: bool) -> tuple[Picture | None, tuple[Problem, ...]]:
    try:
        header = probe(candidate.path, candidate.name)
        if decode:
            verify(candidate.path, candidate.name)
        with candidate.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except DatasetError as error:
        return None, (Problem(candidate.path, str(error), "error"),)
    except OSError as error:
        return None, (Problem(candidate.path, f"{shown(candidate.name)} disappeared or cannot be read "
                              f"({error.strerror}): scan again.", "error"),)  # fmt: skip
    caption = read_caption(candidate.path, rules, candidate.name)
    picture = Picture(
        path=candidate.path,
        name=candidate.name,
        width=header.width,
        height=header.height,
        format=header.format,
        digest=digest,
        caption=None,
        caption_path=None,
        repeats=candidate.repeats,
        role=candidate.role,
        notes=header.notes,
    )
    if caption is None:
        return picture, ()
    oddities = tuple(Problem(caption.path, sentence, "warning") for sentence in caption.problems)
    return replace(picture, caption=caption.text or None, caption_path=caption.path), oddities


def _shared_stems(candidates: Iterable[_Candidate]) -> list[Problem]:
    by_stem: dict[Path, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_stem[candidate.path.with_suffix("")].append(candidate)
    return [
        Problem(
            group[0].path,
            f"{' and '.join(shown(one.name) for one in group)} have the same name but for the ending, so they share "
            "one caption: rename all but one, or remove the copies.",
            "warning",
        )
        for group in by_stem.values()
        if len({one.path for one in group}) > 1
    ]


def _unused_captions(
    candidates: Sequence[_Candidate], captions: Iterable[tuple[Path, Path]], rules: CaptionRules
) -> list[Problem]:
    used: set[Path] = set()
    passed_over: dict[Path, Path] = {}
    for candidate in candidates:
        present = [path for path in caption_candidates(candidate.path, rules) if os.path.lexists(path)]
        used.update(present[:1])
        passed_over.update((path, present[0]) for path in present[1:])
    problems = []
    for caption, root in captions:
        called = shown(caption.relative_to(root))
        if caption in used or caption.is_dir():
            continue
        if caption in passed_over:
            sentence = f"{called} is ignored, because {shown(passed_over[caption].name)} is the caption: remove one."
        else:
            sentence = f"{called} is a caption without a picture: add the picture, or remove the caption."
        problems.append(Problem(caption, sentence, "warning"))
    return problems


def _listed_twice(candidates: Iterable[_Candidate]) -> list[Problem]:
    roles: dict[str, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        roles[os.path.realpath(candidate.path)].append(candidate)
    return [
        Problem(
            group[0].path,
            f"{shown(group[0].name)} is reached {len(group)} times, through the folders given or links, and is trained "
            "as often: give it once.",
            "warning",
        )
        for group in roles.values()
        if len(group) > 1
    ]
