"""From a captioner's name to the captioner, loaded."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from engine.caption.captioner import Captioner
from engine.caption.journal import CaptionError
from engine.caption.plan import CaptionPlan, known
from engine.caption.weights import Report, find_weights, is_tagger
from engine.errors import shown

_NAMELESS = {"person", "character"}  # who is seen is the trigger's to say


def open_captioner(plan: CaptionPlan, report: Report) -> Captioner:
    """The captioner a plan names, its weights fetched where they are not on this machine.

    `report(done, total)` is told the bytes of a download. LorasmithError in one sentence: none of that name, no
    network, a damaged or unfit model, too little memory.
    """
    named = known(plan.captioner)
    if named is not None and named.name == "scenes":
        return _scenes()
    if (named is not None and named.name == "labels") or _holds_labels(plan.captioner):
        return _labels(plan, report)
    wanted = named.model if named is not None else plan.captioner
    folder = find_weights(wanted, report)
    if is_tagger(folder):
        return _tagger(folder, plan)
    from engine.caption.generative import open_generative

    return open_generative(folder, wanted)


def _labels(plan: CaptionPlan, report: Report) -> Captioner:
    from engine.caption.plain import Labels
    from engine.vision.labels import open_labeller

    folder = Path(plan.captioner).expanduser()
    labeller = open_labeller(folder if folder.is_dir() else "efficientnet-lite0", report)
    return Labels(labeller, plan.subject, plan.class_word)


def _scenes() -> Captioner:
    from engine.caption.plain import Scenes

    weights = Path(str(files("presets") / "base" / "readers" / "encoder.safetensors"))
    if not weights.is_file():
        raise CaptionError("this installation lacks the demo's encoder: install lorasmith again, or take `labels`.")
    return Scenes(weights)


def _tagger(folder: Path, plan: CaptionPlan) -> Captioner:
    try:
        from engine.caption.tagger import Tagger
    except ImportError as error:
        raise CaptionError(
            f"taggers need onnxruntime, which is not installed ({shown(error)}): `pip install onnxruntime`."
        ) from error
    names = plan.subject not in _NAMELESS
    return Tagger(folder, plan.captioner, general=plan.general, character=plan.character, names=names)


def _holds_labels(name: str) -> bool:
    return any(Path(name).expanduser().glob("efficientnet-lite0-*.pth")) if "/" in name or name == "." else False
