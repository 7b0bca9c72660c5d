"""The job that draws one word and says what the base makes of it: `python -P -m engine words RUN`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from engine.base.chosen import open_chosen
from engine.base.load import Base
from engine.errors import LorasmithError, shown
from engine.files import atomic_path
from engine.lookalike.bank import Bank, shots
from engine.lookalike.consistency import Consistency, Vectors, centroid, least_kinship, weigh
from engine.lookalike.names import made_up_words
from engine.lookalike.painter import draw_missing, look, recipe_of
from engine.lookalike.readers import Reader, face_reader, picture_reader
from engine.lookalike.results import Figures, Verdict, WordResult, write_result
from engine.lookalike.settings import LookalikeJob, read_job
from engine.lookalike.sheet import write_sheet
from engine.lookalike.vocabulary import vocabularies
from engine.runs.job import Job

SHOWN = 8  # pictures of "photo of WORD"


def run(job: Job) -> None:
    """Draws the word, made-up words of as many tokens and the class prompt; weighs the one against the others.

    What the bank holds already is not drawn again: a second word on the same base takes its own pictures only. The
    eight pictures and their sheet lie in the run folder as soon as they are drawn, result.json at the end. Where no
    reader is to be had (no network), the eight pictures are drawn all the same.
    """
    spec = read_job(job.folder.job)
    if not spec.words:
        raise LorasmithError("This words run names no word: make it again with `lorasmith words PLAN --draw`.")
    word = spec.words[0]
    base = open_chosen(spec.base, job)
    vocabulary = vocabularies(spec.base.model)[0]
    made_up = made_up_words(vocabulary, vocabulary.count(word), spec.made_up)
    made_up = [one for one in made_up if one != word]
    bank = Bank(recipe_of(spec, base))
    bank.open(base.name)
    second = max(2, spec.pictures // 2)
    own, numbers = shots(max(SHOWN, spec.pictures), second), shots(spec.pictures, second)
    try:
        by_whole, by_face = _readers(job, spec)
    except LorasmithError as error:
        _draw(job, base, bank, word, [(word, number) for number in own[:SHOWN]])
        where = "its eight pictures are drawn all the same, in the run folder's samples"
        raise LorasmithError(f"{str(error).rstrip('.')}; the word could not be measured, {where}.") from error
    shots_wanted = [(word, number) for number in own]
    shots_wanted += [(spec.class_prompt, number) for number in shots(spec.class_pictures, 0) if spec.class_prompt]
    shots_wanted += [(one, number) for one in made_up for number in numbers]
    _draw(job, base, bank, word, shots_wanted)
    whole, table = _weighed(job, bank, by_whole, word, made_up, numbers)
    nearness, least = _class_nearness(job, bank, by_whole, spec, word, numbers)
    faces: Consistency | None = None
    if by_face is not None:
        faces, table = _weighed(job, bank, by_face, word, made_up, numbers)
    same = by_face.same if by_face is not None else None
    verdict = judge(whole, faces, same or 0.0, len(numbers), nearness, least)
    write_result(
        job.folder,
        WordResult(
            word=word, class_prompt=spec.class_prompt, subject=spec.subject, verdict=verdict,
            sentence=sentence(verdict, word, spec, faces), by=(by_face or by_whole).name,
            whole=figures(word, whole, len(numbers)), faces=figures(word, faces, len(numbers)) if faces else None,
            class_nearness=nearness, class_least=least, made_up=tuple(table),
            pictures=tuple(f"samples/{at + 1:02d}.webp" for at in range(SHOWN)), sheet="samples/sheet.png",
        ),
    )  # fmt: skip


def _readers(job: Job, spec: LookalikeJob) -> tuple[Reader, Reader | None]:
    """Who looks at whole pictures and, for kinds known by a face, who looks at faces; fetched if need be."""

    def report(done: int, total: int) -> None:
        job.stage("fetching a model (MB)", done // 1_000_000, max(1, total // 1_000_000))

    whole = picture_reader(spec.encoder, spec.base.model, report)
    return whole, face_reader(spec.faces, report) if spec.by_face else None


def _draw(job: Job, base: Base, bank: Bank, word: str, wanted: Sequence[tuple[str, int]]) -> None:
    """Draws what is missing of `wanted`; the word's eight pictures are shown as soon as they are there."""

    def drawn(shot: tuple[str, int]) -> None:
        if shot == (word, SHOWN - 1):
            _show(job, bank, word)

    draw_missing(job, base, bank, wanted, stage="drawing", drawn=drawn)
    if not (job.folder.samples / "sheet.png").exists():
        _show(job, bank, word)


def judge(
    whole: Consistency, faces: Consistency | None, same: float, drawn: int, nearness: float | None, least: float | None
) -> Verdict:
    """Rare, taken or known; unclear where the figures lie between.

    By faces: known where at least half of the pictures show one and they agree beyond the made-up names' and
    beyond `same`, the cosine of one person; something else consistent is "taken". By whole pictures: known where they
    are also as near to the class prompt's pictures as the most unlike of those are to one another.
    """
    if faces is not None:
        alike = faces.known and faces.kappa is not None and faces.kappa >= same
        if alike and faces.seen * 2 >= drawn:
            return "known"
        return "taken" if whole.known else "unclear" if whole.unclear or faces.unclear else "rare"
    if not whole.known:
        return "unclear" if whole.unclear else "rare"
    far = nearness is not None and least is not None and nearness < least
    return "taken" if far else "known"


def sentence(verdict: Verdict, word: str, spec: LookalikeJob, faces: Consistency | None) -> str:
    """What the verdict means for the choice of the word."""
    name = shown(word)
    passes = f" that can pass for {shown(spec.class_prompt)!r}" if spec.class_prompt and faces is None else ""
    if verdict == "rare":
        return (
            f"Rare: the base draws nothing of its own for {name}, no more than for made-up words; it is free, and all "
            "of the subject will come from your pictures."
        )
    if verdict == "unclear":
        return (
            f"Not clear: the base may draw something of its own for {name}, but not surely more than for made-up "
            "words; look at the pictures, and take the word only if they have nothing in common, or resemble your "
            "subject."
        )
    if verdict == "known":
        what = "a face" if faces is not None else "something"
        return (
            f"Known: the base draws {what} of its own for {name}{passes}, alike each time; training starts from it, "
            "so choose it only if the pictures resemble your subject."
        )
    of_class = f"unlike its pictures of {shown(spec.class_prompt)!r}"
    but = "with no face that stays the same" if faces is not None else of_class
    return f"Taken: the base draws something else for {name}, {but}; choose another word unless the pictures suit you."


def figures(word: str, found: Consistency, drawn: int) -> Figures:
    """A word's measures as results keep them."""
    return Figures(word, drawn, found.seen, found.kappa, found.kappa_z, found.own, found.own_z)


def _weighed(
    job: Job, bank: Bank, reader: Reader, word: str, made_up: Sequence[str], numbers: Sequence[int]
) -> tuple[Consistency, list[Figures]]:
    """The word against the made-up words, and each of those against the others."""
    look(job, bank, reader, [word, *made_up], numbers, stage=f"looking at the drawings ({reader.name})")
    nulls: list[Vectors] = [bank.seen(reader.name, one, numbers) or {} for one in made_up]
    found = weigh(bank.seen(reader.name, word, numbers) or {}, nulls)
    table = [
        figures(one, weigh(nulls[at], [*nulls[:at], *nulls[at + 1 :]]), len(numbers)) for at, one in enumerate(made_up)
    ]
    return found, table


def _class_nearness(
    job: Job, bank: Bank, reader: Reader, spec: LookalikeJob, word: str, numbers: Sequence[int]
) -> tuple[float | None, float | None]:
    """How near the word's pictures are to the class prompt's, and how near the least near of those are."""
    if not spec.class_prompt:
        return None, None
    of_class = shots(spec.class_pictures, 0)
    look(job, bank, reader, [spec.class_prompt], of_class, stage=f"looking at the class ({reader.name})")
    vectors = bank.seen(reader.name, spec.class_prompt, of_class) or {}
    own = bank.seen(reader.name, word, numbers) or {}
    if len(vectors) < 2 or not own:
        return None, None
    return float(centroid(own) @ centroid(vectors)), least_kinship(vectors)


def _show(job: Job, bank: Bank, word: str) -> None:
    """Puts the eight pictures and their sheet into the run folder, and tells of them."""
    folder = job.folder.samples
    folder.mkdir(exist_ok=True)
    for at in range(SHOWN):
        with atomic_path(folder / f"{at + 1:02d}.webp") as beside:
            shutil.copyfile(bank.picture_path(word, at), beside)
    pictures = [folder / f"{at + 1:02d}.webp" for at in range(SHOWN)]
    write_sheet(folder / "sheet.png", [(bank.recipe.prompt(word, 0), pictures)])
    job.event("sample", files=["samples/sheet.png", *(f"samples/{path.name}" for path in pictures)])
