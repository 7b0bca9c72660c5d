"""The job that draws a list of names and finds the one most like the subject: `python -P -m engine bank RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.chosen import open_chosen
from engine.base.load import Base
from engine.errors import LorasmithError, shown
from engine.lookalike.bank import Bank, shots
from engine.lookalike.consent import require_permission
from engine.lookalike.match import LEAST_OF_CLASS, USEFUL_PERCENTILE, Nearness, Ranking, rank, shortlist
from engine.lookalike.names import made_up_names
from engine.lookalike.painter import draw_missing, look, recipe_of
from engine.lookalike.readers import Reader, face_reader, no_face_sentence, picture_reader
from engine.lookalike.results import Match, MatchResult, write_result
from engine.lookalike.settings import LookalikeJob, read_job
from engine.lookalike.sheet import write_sheet
from engine.lookalike.subject import photographs, read_subject
from engine.lookalike.vocabulary import vocabularies
from engine.lookalike.words_job import figures
from engine.runs.job import Job

if TYPE_CHECKING:
    import numpy as np

_LISTED = 8  # matches in the result
_ON_SHEET = 4  # of them with their pictures


def run(job: Job) -> None:
    """Looks at the photographs, has the base draw what the bank lacks, and ranks the names that it knows.

    Without the person's confirmation nothing is looked at and nothing drawn. Names the bank holds, known or not, cost
    nothing; the rest can be stopped and taken up again at any picture. The answer is result.json with a sheet.
    """
    spec = read_job(job.folder.job)
    require_permission(spec)
    if not spec.words:
        raise LorasmithError("This bank run names no names: make it again with `lorasmith words PLAN --lookalike`.")
    if not spec.class_prompt:
        raise LorasmithError(
            "The look-alike search holds names against the class prompt's pictures, and the plan has none: set "
            "subject.class_prompt, such as woman."
        )
    pictures = photographs(spec.photographs)
    job.stage("loading the reader")
    reader = _reader(job, spec)
    seen = read_subject(job, reader, pictures)
    if not seen:
        raise no_face_sentence(len(pictures))
    base = open_chosen(spec.base, job)
    bank = Bank(recipe_of(spec, base))
    bank.open(base.name)
    ranking = _ranked(job, spec, bank, reader, base, seen)
    write_result(job.folder, _result(job, spec, bank, reader, ranking, len(pictures), len(seen)))


def _reader(job: Job, spec: LookalikeJob) -> Reader:
    def report(done: int, total: int) -> None:
        job.stage("fetching a model (MB)", done // 1_000_000, max(1, total // 1_000_000))

    return face_reader(spec.faces, report) if spec.by_face else picture_reader(spec.encoder, spec.base.model, report)


def _ranked(job: Job, spec: LookalikeJob, bank: Bank, reader: Reader, base: Base, seen: list[np.ndarray]) -> Ranking:
    """Draws every name a few times, then the nearest ones and the made-up names more often, and ranks those."""
    made_up = made_up_names(vocabularies(spec.base.model)[0], spec.words, spec.made_up)
    few, many = _shots(spec.pictures), _shots(spec.final_pictures)
    of_class = shots((spec.class_pictures + 1) // 2, spec.class_pictures // 2)
    wanted = [(spec.class_prompt, number) for number in of_class]
    wanted += [(name, number) for name in spec.words for number in few]
    draw_missing(job, base, bank, wanted, stage="drawing the class and the names")
    look(job, bank, reader, [spec.class_prompt], of_class, stage="looking at the class")
    class_vectors = bank.seen(reader.name, spec.class_prompt, of_class) or {}
    _check_class(job, spec, len(class_vectors), len(of_class))
    look(job, bank, reader, spec.words, few, stage="looking at the names")
    names = {name: bank.seen(reader.name, name, few) or {} for name in spec.words}
    finalists = shortlist(seen, names, class_vectors, spec.finalists)
    closer = (*made_up, *finalists)
    draw_missing(
        job, base, bank, [(name, number) for name in closer for number in many], stage="drawing the nearest again"
    )
    look(job, bank, reader, closer, many, stage="looking at the nearest again")
    return rank(
        seen,
        {name: bank.seen(reader.name, name, many) or {} for name in finalists},
        [bank.seen(reader.name, name, many) or {} for name in made_up],
        class_vectors,
        same=reader.same,
        among=len(spec.words),
    )


def _check_class(job: Job, spec: LookalikeJob, seen: int, drawn: int) -> None:
    """Refuses to compare with next to nothing, and warns where no percentile of 99 can come of it."""
    if seen < 10:
        raise LorasmithError(
            f"The base draws no face in {drawn - seen} of {drawn} pictures of {shown(spec.class_prompt)!r}, which "
            "leaves too few to compare with: choose a class prompt such as woman or man."
        )
    if seen < LEAST_OF_CLASS:
        job.warn(
            f"Only {seen} pictures of the class prompt can be compared with; with fewer than {LEAST_OF_CLASS} no "
            "look-alike can be told from chance."
        )


def _shots(pictures: int) -> tuple[int, ...]:
    """Half of them by each prompt."""
    return shots((pictures + 1) // 2, max(2, pictures // 2))


def _result(
    job: Job, spec: LookalikeJob, bank: Bank, reader: Reader, ranking: Ranking, photographs: int, seen: int
) -> MatchResult:
    numbers = _shots(spec.final_pictures)
    listed = ranking.nearest[:_LISTED]
    sheet = None
    if listed:
        sheet = "samples/sheet.png"
        rows = [
            (_label(one), [bank.picture_path(one.word, number) for number in numbers[:4]])
            for one in listed[:_ON_SHEET]
        ]
        write_sheet(job.folder.path / sheet, rows)
        job.event("sample", files=[sheet])
    matches = tuple(
        Match(
            one.word, one.similarity, one.percentile, one.z, figures(one.word, one.consistency, len(numbers)),
            tuple(str(bank.picture_path(one.word, number)) for number in numbers),
        )
        for one in listed
    )  # fmt: skip
    return MatchResult(
        class_prompt=spec.class_prompt, subject=spec.subject, useful=ranking.useful,
        sentence=sentence(ranking), by=reader.name, photographs=photographs, faces_found=seen,
        names=len(spec.words),
        finalists=len(ranking.nearest) + len(ranking.unknown), known=len(ranking.nearest),
        by_chance=ranking.by_chance, margin=ranking.margin, matches=matches, unknown=ranking.unknown,
        sheet=sheet,
    )  # fmt: skip


def _label(one: Nearness) -> str:
    return f"{one.word}: similarity {one.similarity:.2f}, percentile {one.percentile:.1f}"


def sentence(ranking: Ranking) -> str:
    """The answer, and how far it can be trusted."""
    if not ranking.nearest:
        return (
            "No useful look-alike: of the names nearest to the subject the base draws none alike each time. Take a "
            "rare word."
        )
    best = ranking.nearest[0]
    if best.percentile < USEFUL_PERCENTILE:
        return (
            f"No useful look-alike: the nearest, {shown(best.word)}, is hardly more like the subject than the class "
            f"prompt's own pictures (percentile {best.percentile:.1f}, wanted 99). Take a rare word."
        )
    if not ranking.useful:
        return (
            f"No useful look-alike: of {ranking.among} names about {ranking.by_chance:.1f} would by chance come as "
            f"near as the nearest, {shown(best.word)} (z {best.z:+.1f}). Take a rare word."
        )
    return (
        f"{shown(best.word)} is the base's nearest look-alike (similarity {best.similarity:.2f}, nearer than "
        f"{best.percentile:.1f} % of the class prompt's pictures): look at the drawings before you choose it."
    )
