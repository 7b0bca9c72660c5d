"""Which encoder reads what of a comparison's pictures: what a person names, else the best that this machine has. Light.

Nothing is fetched unless that is asked for; what would read better and is not here is offered with its size and
licence. The judge of the lab is never among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.base.find import DEMO
from engine.errors import LorasmithError, shown
from engine.plan import Kind
from engine.vision.models import OF_THE_DEMO, ROLES, Loader, ModelSource, Role, find_model, installed

DEMO_LIKENESS = "demo-perceptual"
NO_READER = "none"
"""In place of a name: nothing is measured, the pictures are only drawn."""

Reading = Literal["likeness", "faces", "masks", "following", "looks", "copying"]
"""What is read: how like the subject (by whole or masked pictures, or by faces), how well the text is followed and in
which medium, how alike the pictures of a prompt are, and how near to a training picture.
"""

Way = Literal["faces", "patches", "words", "whole", "style"]
"""How likeness is read: by the largest face; by the subject's patches; by whole pictures with what the prompts' words
vary taken off; by whole pictures; or by whole pictures against the base's of the same prompts.
"""

READINGS: Mapping[Reading, Role] = {
    "likeness": "embedding",
    "faces": "faces",
    "masks": "masks",
    "following": "following",
    "looks": "embedding",
    "copying": "copies",
}
# Of each reading what a server has, in the order of preference; the first is what is fetched. SDXL is itself steered
# by two CLIPs, so SigLIP 2 stands first: an encoder of another family does not share their blind spots.
_PREFERRED: Mapping[Reading, tuple[str, ...]] = {
    "likeness": ("siglip2", "dinov2", "clip", "efficientnet-lite0"),
    "faces": ("auraface", "dlib"),
    "masks": ("clipseg",),
    "following": ("siglip2", "clip"),
    "looks": ("dinov2", "siglip2", "clip", "efficientnet-lite0"),
    "copying": ("sscd",),
}
# What a name serves that comes without saying for what.
_SERVES: Mapping[Loader, tuple[Reading, ...]] = {
    "dual": ("following", "likeness"),
    "transformers": ("likeness", "looks"),
    "lite0": ("likeness", "looks"),
    "demo": ("likeness", "following", "looks", "copying"),
    "perceptual": ("likeness",),
    "clipseg": ("masks",),
    "sscd": ("copying",),
    "auraface": ("faces",),
    "dlib": ("faces",),
}
# An encoder that one reading has can read the other too.
_STAND_IN: Mapping[Reading, Reading] = {"likeness": "following", "looks": "likeness"}
_LACKING: Mapping[Reading, str] = {
    "likeness": "Fidelity is not measured: there is no picture encoder on this machine.",
    "faces": "Faces are not compared, whole pictures are: there is no face reader on this machine.",
    "masks": "The background is not separated from the subject in your photographs, so a checkpoint that repeats their "
    "background looks more faithful than it is.",
    "following": "Prompt following and styles are not measured: there is no encoder of pictures and texts on this "
    "machine.",
    "looks": "Diversity is not measured: there is no picture encoder on this machine.",
    "copying": "Copies of training pictures are not looked for: there is no copy detector on this machine.",
}

_UNREAD = "No picture is measured, as you asked: they are for your own eyes."

Report = Callable[[str, int, int], None]
"""Of downloads: the model's name, bytes done, bytes in all of the repository at hand."""


@dataclass(frozen=True)
class Readers:
    """The encoders of a comparison; None where a measure has none, which `notes` say in sentences.

    `offered` are models that would read better and are not on this machine.
    """

    kind: Kind
    way: Way
    likeness: ModelSource | None = None
    masks: ModelSource | None = None
    following: ModelSource | None = None
    looks: ModelSource | None = None
    copying: ModelSource | None = None
    notes: tuple[str, ...] = ()
    offered: tuple[ModelSource, ...] = ()

    @property
    def used(self) -> dict[str, ModelSource]:
        """Measure -> model, of those there are."""
        found = {"likeness": self.likeness, "masks": self.masks, "following": self.following, "looks": self.looks,
                 "copying": self.copying}  # fmt: skip
        return {name: source for name, source in found.items() if source is not None}

    @property
    def licences(self) -> tuple[str, ...]:
        """One sentence for each model, to be shown."""
        return tuple(dict.fromkeys(source.licence for source in self.used.values()))

    @property
    def offers(self) -> tuple[str, ...]:
        """One sentence for each model that is not here."""
        return tuple(offer(source) for source in self.offered)

    @property
    def megabytes(self) -> int:
        """What is offered, as a download; nobody knows of some."""
        return sum(source.megabytes for source in self.offered)


def choose_readers(
    kind: Kind, *, demo: bool, given: Sequence[str] = (), fetch: bool = False, report: Report | None = None,
    pending: bool = False,
) -> Readers:  # fmt: skip
    """The encoders for a subject of this kind; on the demo's base (`demo`) the lab's small ones.

    given: known names, hub names or folders, such as "dinov2", or for one reading: "looks=dinov2". With fetch, what is
    named or preferred and not here is downloaded; with pending nothing is yet, but what is named may be absent and is
    then among the offered. Raises LorasmithError for a name that is none, one that is not here
    where nothing may be fetched, and a download that fails.
    """
    if tuple(given) == (NO_READER,):
        return Readers(kind, "whole", notes=(_UNREAD,))
    named = _named(given, fetch, report)
    if not pending:
        _check_here(named)
    found: dict[Reading, ModelSource | None] = {}
    if demo:
        # SSCD takes true drawings of one emoji on other grounds for copies (0.76, where its mark is 0.75): not here.
        found.update(dict.fromkeys(_SERVES["demo"], find_model(DEMO, "embedding")))
        if kind != "style":  # of a style there is no one drawing that a picture could be like
            found["likeness"] = find_model(DEMO_LIKENESS, "embedding")
    else:
        found.update({name: _preferred(name, fetch, report) for name in _wanted(kind, named) if name not in named})
    found.update(named)
    for name, other in _STAND_IN.items():
        source = found.get(other)
        if found.get(name) is None and source is not None and "embedding" in ROLES[source.loader]:
            found[name] = source
    notes = [_LACKING[name] for name in _wanted(kind, found) if found.get(name) is None and not _spared(name, found)]
    wanted = () if demo else _wanted(kind, found)
    offers = {_PREFERRED[name][0]: name for name in wanted if not _has_best(name, found)}
    offered = tuple(
        source for name, reading in offers.items() if not (source := find_model(name, READINGS[reading])).here
    )
    offered = tuple(dict.fromkeys((*(source for source in named.values() if not source.here), *offered)))
    return _readers(kind, found, notes, offered)


def check_readers(given: Sequence[str], *, fetch: bool = False) -> None:
    """LorasmithError for what `choose_readers` would refuse of these names; nothing is downloaded or loaded."""
    if tuple(given) == (NO_READER,):
        return
    named = _named(given, False, None)
    if not fetch:
        _check_here(named)


def _check_here(named: Mapping[Reading, ModelSource]) -> None:
    absent = next((source for source in named.values() if not source.here), None)
    if absent is not None:
        raise LorasmithError(f"{offer(absent)} Let it be fetched, or name a folder that holds it.")


def offer(source: ModelSource) -> str:
    """What a model that is not here would cost: its name, the size of the download, its licence."""
    size = f" ({source.megabytes:,} MB to fetch)" if source.megabytes else ""
    return f"{shown(source.name)} is not on this machine{size}. {source.licence}"


def _readers(
    kind: Kind, found: Mapping[Reading, ModelSource | None], notes: list[str], offered: tuple[ModelSource, ...]
) -> Readers:
    faces, whole = found.get("faces"), found.get("likeness")
    likeness = faces if kind == "person" and faces is not None else whole
    way: Way = "whole"
    masks = None
    if likeness is not None and likeness is faces:
        way = "faces"
    elif kind == "style":
        way = "style"
        if likeness is not None and likeness.loader != "demo":
            notes = [*notes, f"How like your style a picture is, is read by {likeness.name}, which was trained to see "
                     "what a picture shows and not how it is made: trust fidelity less than your eyes."]  # fmt: skip
    elif likeness is not None and likeness.loader == "demo":
        way = "words"
    elif likeness is not None and likeness.loader == "perceptual":
        way = "patches"  # of a concept too: it was trained to find what two pictures share, whatever that is
    elif likeness is not None and likeness.loader in ("transformers", "dual") and kind != "concept":
        way, masks = "patches", found.get("masks")
    return Readers(
        kind, way, likeness, masks, found.get("following"), found.get("looks"), found.get("copying"), tuple(notes),
        offered,
    )  # fmt: skip


def _wanted(kind: Kind, found: Mapping[Reading, ModelSource | None]) -> tuple[Reading, ...]:
    """The readings that this kind of subject needs; whole pictures stand in where there is no reader of faces."""
    if kind == "person":
        first: tuple[Reading, ...] = ("faces",) if found.get("faces") is not None else ("faces", "likeness")
    elif kind in ("style", "concept"):
        first = ("likeness",)
    else:
        first = ("likeness", "masks")
    return (*first, "following", "looks", "copying")


def _spared(name: Reading, found: Mapping[Reading, ModelSource | None]) -> bool:
    """Whether a reading's absence needs no word: no likeness to be masked or stand in, or an encoder that takes
    words off.
    """
    likeness = found.get("likeness")
    return name in ("masks", "faces") and (likeness is None or likeness.loader in OF_THE_DEMO)


def _has_best(name: Reading, found: Mapping[Reading, ModelSource | None]) -> bool:
    source = found.get(name)
    return source is not None and source.name not in _PREFERRED[name][1:]


def _named(given: Sequence[str], fetch: bool, report: Report | None) -> dict[Reading, ModelSource]:
    """Reading -> model, of what a person named; of two that serve one reading the first counts."""
    found: dict[Reading, ModelSource] = {}
    plain: list[ModelSource] = []
    for text in given:
        name, sign, spec = text.partition("=")
        if sign and name in READINGS:
            source = find_model(spec, READINGS[name])  # type: ignore[index]
            found[name] = _fetched(source, report) if fetch else source  # type: ignore[index]
        elif sign and name.isalpha():
            raise LorasmithError(f"{shown(name)} is nothing that is read of pictures; there are {', '.join(READINGS)}.")
        else:
            plain.append(_fetched(_any_role(text), report) if fetch else _any_role(text))
    for source in plain:
        for name in _SERVES[source.loader]:
            found.setdefault(name, source)
    return found


def _any_role(text: str) -> ModelSource:
    """The model that a name means, whatever it can do."""
    last: LorasmithError | None = None
    for role in dict.fromkeys(READINGS.values()):
        try:
            source = find_model(text, role)
        except LorasmithError as error:
            last = last or error
            continue
        if role in ROLES[source.loader] and source.loader in _SERVES:
            return source
    raise last or LorasmithError(f"{shown(text)} reads nothing of pictures.")


def _preferred(name: Reading, fetch: bool, report: Report | None) -> ModelSource | None:
    """The best that is here; with `fetch`, the best there is."""
    role = READINGS[name]
    if fetch:
        return _fetched(find_model(_PREFERRED[name][0], role), report)
    if name == "faces":
        return installed(role)  # which also asks whether dlib's package is there
    return next((source for known in _PREFERRED[name] if (source := find_model(known, role)).here), None)


def _fetched(source: ModelSource, report: Report | None) -> ModelSource:
    if source.here:
        return source
    from engine.vision.fetch import fetch_model

    fetch_model(source, None if report is None else lambda done, total: report(source.name, done, total))
    return _any_role(source.name)  # its files tell what it can do
