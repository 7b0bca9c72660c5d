"""What a plan says of its pictures and words: folders, sizes, class pictures, captions. See plan_checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.errors import shown
from engine.plan import Plan
from engine.plan_finding import SDXL_NATIVE, SDXL_SIDES, Finding, error, note, warning
from engine.plan_values import rate_text


def subject_findings(plan: Plan) -> Iterator[Finding]:
    key, subject = "subject.instance_prompt", plan.subject
    trigger, class_words = subject.instance_prompt.strip(), subject.class_prompt.strip()
    if not trigger:
        yield warning(
            key,
            f"{key} is empty, so nothing but the captions can call what is trained; write a rare word, or name "
            'the picture folder as kohya does ("12_ohwx woman").',
        )
    elif trigger.lower() == class_words.lower():
        yield warning(
            key,
            f"{key} is the class itself ({shown(trigger)}), so every such thing would be redrawn; take a rare word.",
        )
    elif class_words and f" {class_words.lower()} " in f" {trigger.lower()} ":
        yield note(
            key,
            f'{key} "{shown(trigger)}" contains the class prompt, which is added to it where a caption is missing; '
            "the trigger alone is enough.",
        )
    if trigger and not class_words:
        yield note(
            "subject.class_prompt",
            "subject.class_prompt is empty, so pictures without a caption are trained on the trigger alone; an "
            'everyday word such as "woman" lets the base help.',
        )


def pictures_findings(plan: Plan) -> Iterator[Finding]:
    key, pictures = "pictures.folders", plan.pictures
    if not pictures.folders:
        yield error(key, f'{key} is empty; add [[{key}]] with path = "the folder of your pictures".')
    for folder in pictures.folders:
        yield from _missing(f"{key}.path", folder.path)
    if len({_real(folder.path) for folder in pictures.folders}) < len(pictures.folders):
        yield error(key, f"{key} names one folder twice; name it once and raise its repeats instead.")
    if not pictures.bucketing:
        yield warning(
            "pictures.bucketing",
            "pictures.bucketing is off, so every picture is cut to a square and loses what lies outside; "
            "set it to true unless all are square.",
        )


def _missing(key: str, path: str) -> Iterator[Finding]:
    name, place = shown(path), Path(path).expanduser()
    try:
        is_there, is_folder = place.exists(), place.is_dir()
    except OSError as trouble:
        yield error(key, f"{key} {name} cannot be looked at ({trouble.strerror}); check its permissions.")
        return
    if not is_there:
        yield error(key, f"{key} {name} does not exist; correct the path (relative ones start at the plan's folder).")
    elif not is_folder and place.suffix.lower() != ".zip":
        yield error(key, f"{key} {name} is a file; name the folder it lies in, or a .zip of pictures.")


def _real(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def sizes_findings(plan: Plan, native: int | None) -> Iterator[Finding]:
    pictures, resolution = plan.pictures, plan.pictures.resolution
    is_sdxl = native is None or native >= SDXL_SIDES[0]
    side = (native or SDXL_NATIVE) if resolution == "auto" else int(resolution)
    if resolution != "auto" and is_sdxl:
        yield from _resolution(int(resolution), native or SDXL_NATIVE)
    step = pictures.bucket_step
    if step != "auto" and int(step) % 8:
        yield error(
            "pictures.bucket_step",
            f"pictures.bucket_step is {step}, but the VAE works in blocks of 8 pixels; take a multiple of 8, best 64.",
        )
    elif step != "auto" and int(step) % 32 and is_sdxl:
        yield warning(
            "pictures.bucket_step",
            f"pictures.bucket_step is {step}, but SDXL's UNet halves its picture twice and wants multiples of 32; "
            "take 64 or 32.",
        )
    if step != "auto" and side % int(step) and not int(step) % 8:
        yield note(
            "pictures.resolution",
            f"pictures.resolution {side} is not a multiple of bucket_step {step}: the square bucket is "
            f"{side // int(step) * int(step)} pixels wide.",
        )
    if pictures.min_side != "auto" and int(pictures.min_side) > side:
        yield error(
            "pictures.min_side",
            f"pictures.min_side is {pictures.min_side}, larger than the resolution {side}: no shape has so long a "
            "shortest side; lower it or set it to auto.",
        )
    if pictures.max_side != "auto" and int(pictures.max_side) < side:
        yield error(
            "pictures.max_side",
            f"pictures.max_side is {pictures.max_side}, smaller than the resolution {side}: every picture would be "
            "trained smaller than asked; raise it or set it to auto.",
        )


def _resolution(resolution: int, native: int) -> Iterator[Finding]:
    key, (lowest, highest) = "pictures.resolution", SDXL_SIDES
    if not lowest <= resolution <= highest:
        yield error(key, f"{key} is {resolution}, but SDXL accepts {lowest} to {highest}; take 1024, 768 or 512.")
    elif resolution < 768:
        yield warning(
            key,
            f"{key} is {resolution}: SDXL draws faces and texture poorly below 768, and the LoRA learns that; "
            + (
                "it saves memory, 768 does too."
                if resolution == 512
                else "to save memory take 768, or 512 at the least."
            ),
        )
    elif resolution > native * 1.25:
        yield warning(
            key,
            f"{key} is {resolution}, but the base was trained at {native}: it costs "
            f"{(resolution / native) ** 2:.1f} times the memory and time and rarely helps; take {native}.",
        )


def regularization_findings(plan: Plan) -> Iterator[Finding]:
    key, part = "regularization.folders", plan.regularization
    training = {_real(folder.path) for folder in plan.pictures.folders}
    for folder in part.folders:
        yield from _missing(f"{key}.path", folder.path)
        if _real(folder.path) in training:
            yield error(
                f"{key}.path",
                f"{shown(folder.path)} is named as training pictures and as class pictures; class pictures must be "
                "of others.",
            )
    if part.folders and not plan.subject.class_prompt.strip():
        yield warning(
            "subject.class_prompt",
            "subject.class_prompt is empty, so class pictures without captions are trained on no text; write what "
            'they show, such as "woman".',
        )
    used = bool(part.folders) or part.prior_prediction
    if used and (part.ratio == 0 or part.weight == 0):
        name = "ratio" if part.ratio == 0 else "weight"
        what = "class pictures have" if part.folders else "prior prediction has"
        yield warning(f"regularization.{name}", f"regularization.{name} is 0, so the {what} no effect.")
    for name in ("ratio", "weight"):
        if not used and getattr(part, name) != 1:
            yield note(
                f"regularization.{name}",
                f"regularization.{name} has no effect without [[regularization.folders]] or prior_prediction.",
            )
    if part.prior_prediction:
        yield from _prior_prediction(plan)


def _prior_prediction(plan: Plan) -> Iterator[Finding]:
    from engine.estimate import PRIOR_COST

    key, part, subject = "regularization.prior_prediction", plan.regularization, plan.subject
    if not subject.class_prompt.strip():
        yield error(
            "subject.class_prompt",
            f"{key} is true, but subject.class_prompt is empty, so there is no word to keep; write what the "
            'subject is, such as "woman".',
        )
    elif subject.instance_prompt.strip().lower() == subject.class_prompt.strip().lower():
        yield error(
            key,
            f"{key} holds the class prompt to the base while the same words are trained as the trigger, which undoes "
            "each other; take a rare word as subject.instance_prompt.",
        )
    cost = 1 + min(1.0, part.ratio) * PRIOR_COST
    yield note(key, f"{key} asks base and adapter once more in each step, which takes about {cost:.1f} times as long.")
    if part.folders:
        yield note(key, f"{key} and class pictures do the same work; one of them is enough, and quicker.")
    if part.ratio > 1:
        yield warning(
            "regularization.ratio",
            f"regularization.ratio is {rate_text(part.ratio)}, but a picture has one prior prediction a step: more "
            "than 1 is 1; raise regularization.weight instead.",
        )


def captions_findings(plan: Plan) -> Iterator[Finding]:
    captions = plan.captions
    if captions.shuffle and captions.keep_tokens == 0:
        yield warning(
            "captions.keep_tokens",
            "captions.keep_tokens is 0 while captions are shuffled, so the trigger wanders about; take 1.",
        )
    if not captions.shuffle and captions.keep_tokens > 1:
        yield note("captions.keep_tokens", "captions.keep_tokens has no effect while captions.shuffle is off.")
    if captions.dropout > 0.3:
        yield warning(
            "captions.dropout",
            f"captions.dropout is {rate_text(captions.dropout)}: so often without a caption, the look sinks into "
            "everything the base draws and the trigger learns little; 0 to 0.1 is usual.",
        )
