"""What is compared: the checkpoints of a training run, or LoRA files from anywhere; and the subject's photographs.

Light: headers and texts only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.compare.settings import CompareJob
from engine.dataset.captions import CaptionRules, compose
from engine.dataset.scan import Folder, scan
from engine.errors import LorasmithError, PlanError, shown
from engine.lora.keys import method_of
from engine.lora.weights import FOLDER_FILES, LoraWeights, lora_file, open_weights
from engine.plan import BaseChoice, Kind, Plan
from engine.plan_file import read_plan
from engine.runs.folder import RunFolder

RECALLED = 3  # training captions that are drawn word for word
_EPOCH = re.compile(r"(?P<name>[^.].*)-(?P<epoch>\d{6})")
_KOHYA_FOLDER = re.compile(r"\d+_(?P<words>.+)")


@dataclass(frozen=True)
class Entry:
    """One LoRA: its number (its epoch, or its place in the list), what to call it, its file."""

    number: int
    name: str
    path: Path


@dataclass(frozen=True)
class Photograph:
    """A photograph of the subject; held_out: it was kept out of training."""

    path: Path
    caption: str
    held_out: bool


@dataclass(frozen=True)
class Source:
    """Everything a comparison is about. `notes` are sentences on what could not be had."""

    run: Path | None
    kind: Kind
    trigger: str
    class_word: str
    base: BaseChoice
    entries: tuple[Entry, ...]
    photographs: tuple[Photograph, ...]
    notes: tuple[str, ...] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """A few of the training captions, the longest of them: what the LoRA may know by heart."""
        texts = list(dict.fromkeys(one.caption for one in self.photographs if one.caption and not one.held_out))
        return tuple(sorted(texts, key=len, reverse=True)[:RECALLED]) if len(texts) > RECALLED else tuple(texts)


def epoch_files(folder: Path) -> dict[int, Path]:
    """The checkpoint files of whole epochs in a folder, by epoch; those saved in between are named by their step."""
    if not folder.is_dir():
        return {}
    matches = ((_EPOCH.fullmatch(path.stem), path) for path in folder.glob("[!.]*.safetensors"))
    return {int(match["epoch"]): path for match, path in matches if match}


def open_source(job: CompareJob) -> Source:
    """The source of a job. LorasmithError where nothing is there to compare."""
    return _of_run(job, RunFolder(Path(job.run))) if job.run else _of_files(job)


def _of_run(job: CompareJob, run: RunFolder) -> Source:
    if not run.path.is_dir():
        raise LorasmithError(f"The run {shown(run.path)} is gone: compare its checkpoint files by their paths.")
    plan = read_plan(run.plan)
    subject = plan.subject
    files = epoch_files(run.checkpoints)
    if not files:
        raise LorasmithError(
            f"The run {shown(run.name)} has no checkpoint yet: `lorasmith status {shown(run.name)}` says why."
        )
    entries = tuple(Entry(epoch, f"epoch {epoch}", path) for epoch, path in sorted(files.items()))
    photographs, notes = _photographs_of(plan)
    return Source(
        run.path, subject.kind, subject.instance_prompt.strip(), subject.class_prompt.strip(), plan.base, entries,
        photographs, notes,
    )  # fmt: skip


def _photographs_of(plan: Plan) -> tuple[tuple[Photograph, ...], tuple[str, ...]]:
    """The plan's pictures with the texts they were trained with; a sentence where they are gone."""
    from engine.estimate import plan_report, plan_shape

    rules = CaptionRules(extension=plan.captions.extension, prefix=plan.captions.prefix)
    try:
        native, step = plan_shape(plan)
        report = plan_report(plan, native_resolution=native, native_step=step)
    except LorasmithError as error:
        return (), (f"The training pictures are gone, so likeness to them is not measured: {error}",)
    subject = plan.subject
    lines = [line for line in report.lines if line.picture.role == "train"]
    found = tuple(
        Photograph(
            line.picture.path, compose(line.picture.caption, rules, subject.instance_prompt, subject.class_prompt),
            line.held_out,
        ) for line in lines
    )  # fmt: skip
    if not found:
        return (), ("The folder of the training pictures is empty, so likeness to them is not measured.",)
    return found, ()


def _of_files(job: CompareJob) -> Source:
    files = [Path(one) for one in job.loras]
    photographs, notes = _photographs_in(job.pictures)
    return Source(
        None, job.kind, job.trigger, job.class_word, job.base, numbered(files), photographs, notes  # type: ignore[arg-type]
    )


def _photographs_in(folders: Sequence[str]) -> tuple[tuple[Photograph, ...], tuple[str, ...]]:
    if not folders:
        return (), ("No photographs were named, so likeness is not measured: add them with --pictures FOLDER.",)
    dataset = scan([Folder(Path(one)) for one in folders], CaptionRules(), decode=False)
    found = tuple(Photograph(one.path, one.caption or "", False) for one in dataset.pictures)
    if not found:
        said = next((problem.sentence for problem in dataset.problems), "")
        return (), (f"There are no photographs in {shown(folders[0])}, so likeness is not measured. {said}".strip(),)
    return found, ()


def numbered(files: Sequence[Path]) -> tuple[Entry, ...]:
    """The files in their order: epochs of one training (kohya's names) by epoch, others by their place in the list.

    kohya's last file has no number: it follows the highest. What lies in a folder of its own, as peft writes it, has
    that folder's name.
    """
    matches = {path: _EPOCH.fullmatch(path.stem) for path in files}
    stems = {match["name"] for match in matches.values() if match}
    if len(stems) == 1:
        stem = next(iter(stems))
        epochs = {int(match["epoch"]): path for path, match in matches.items() if match}
        last = [path for path, match in matches.items() if match is None and path.stem == stem]
        if len(epochs) + len(last) == len(files) and len(last) <= 1:
            epochs |= {max(epochs) + 1: path for path in last}
            return tuple(Entry(epoch, f"epoch {epoch}", path) for epoch, path in sorted(epochs.items()))
    own = {path: path.parent.name if path.name in FOLDER_FILES else path.stem for path in files}
    twice = {name for name, number in Counter(own.values()).items() if number > 1}
    return tuple(
        Entry(at, f"{path.parent.name}/{path.stem}" if own[path] in twice else own[path], path)
        for at, path in enumerate(files, 1)
    )


def files_in(folder: Path) -> list[Path]:
    """The LoRA files of a folder, by name with numbers as numbers."""
    found = [
        path for path in folder.iterdir()
        if path.suffix == ".safetensors" and not path.name.startswith(".") and path.is_file()
    ]  # fmt: skip
    return sorted(found, key=lambda path: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", path.stem)])


def stated_words(files: Sequence[Path]) -> tuple[str, str]:
    """Trigger and class word as the files' metadata have them; empty where all are silent or some disagree."""
    said = {words for path in files if (words := _words_of(path)) != ("", "")}
    return said.pop() if len(said) == 1 else ("", "")


def stated_base(files: Sequence[Path]) -> str:
    """The base that the files' metadata name; empty where all are silent or some disagree."""
    names = {name for path in files if (name := _metadata(path).get("ss_sd_model_name", ""))}
    return names.pop() if len(names) == 1 else ""


def _words_of(path: Path) -> tuple[str, str]:
    about = _metadata(path)
    phrase = about.get("modelspec.trigger_phrase", "").strip()
    if not phrase:
        phrase = _folder_words(about)
    words = phrase.split(",")[0].split()
    return (" ".join(words[:-1]), words[-1]) if len(words) > 1 else (phrase, "")


def _folder_words(about: Mapping[str, str]) -> str:
    """kohya's folders are called `10_ohwx dog`."""
    for key in ("ss_dataset_dirs", "ss_tag_frequency"):
        try:
            names = list(json.loads(about.get(key, "{}")))
        except (ValueError, TypeError):
            continue
        for name in names:
            if match := _KOHYA_FOLDER.fullmatch(str(name)):
                return match["words"].strip()
    return ""


def _metadata(path: Path) -> Mapping[str, str]:
    try:
        return open_weights(path).header.metadata
    except LorasmithError:
        return {}


def checked(path: Path) -> tuple[LoraWeights | None, str | None]:
    """A file's weights by its header, or why it cannot be drawn with, in a sentence."""
    try:
        weights = open_weights(path)
    except LorasmithError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{shown(path.name)} cannot be read ({error.strerror}): copy it again."
    if not weights.whole:
        other = method_of(weights.unknown)
        what = f"is a {other[0]}, which is not supported" if other else "holds no LoRA"
        return None, f"{shown(path.name)} {what}: leave it out."
    return weights, None


def rank_of(weights: LoraWeights) -> int | None:
    """The largest rank of a file's modules."""
    ranks = [weights.header.tensors[roles["down"]].shape[:1] for roles in weights.whole.values()]
    return max((shape[0] for shape in ranks if shape), default=None)


def files_job(
    files: Sequence[Path], *, base: str = "", kind: str = "", trigger: str | None = None,
    class_word: str | None = None, pictures: Sequence[str] = (),
) -> CompareJob:  # fmt: skip
    """A job on LoRA files; what was not said is taken from their metadata. PlanError asks for what is nowhere."""
    files = [lora_file(path) for path in files]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise PlanError(f"There is no LoRA at {shown(missing[0])}: check the path.")
    if not kind:
        raise PlanError("Say what these LoRAs show with --kind: person, character, animal, object, style or concept.")
    own_trigger, own_class = stated_words(files)
    trigger = own_trigger if trigger is None else trigger
    class_word = own_class if class_word is None else class_word
    if not trigger and kind != "style":
        raise PlanError("The files do not say which word calls the subject: add --trigger, such as --trigger ohwx.")
    if not class_word and kind != "style":
        raise PlanError("The files do not say what the subject is: add --class, such as --class woman.")
    named = stated_base(files)
    base = base or ("demo" if named == "demo" else "")
    if not base:
        hint = f" (their metadata says {shown(named)!r})" if named else ""
        raise PlanError(f"Name the base model they were trained on{hint}: add --base MODEL.")
    for folder in pictures:
        if not Path(folder).exists():
            raise PlanError(f"There is no folder {shown(folder)}: correct --pictures.")
    return CompareJob(
        loras=tuple(str(path.absolute()) for path in files), base=BaseChoice(model=base), kind=kind, trigger=trigger,
        class_word=class_word, pictures=tuple(str(Path(one).absolute()) for one in pictures),
    )  # fmt: skip


def run_job_of(run: RunFolder) -> CompareJob:
    """A job on a training run."""
    plan = read_plan(run.plan)
    subject = plan.subject
    job = CompareJob(run=str(run.path), base=plan.base, kind=subject.kind)
    return replace(job, trigger=subject.instance_prompt, class_word=subject.class_prompt)
