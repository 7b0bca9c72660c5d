"""What each step still wants of a draft, in one sentence; plain functions, no screen."""

from __future__ import annotations

from engine.base.find import DEMO, resolve_base
from engine.errors import BaseModelError, shown
from engine.plan_values import problem
from tui.draft import FOLDER, Draft
from tui.steps.values import typed_value

OTHER_BASE = "base.other"  # the text in the field for another base, kept although a listed one may be chosen
_OF_SUBJECT = ("output.name", "base.model")


def subject_missing(draft: Draft) -> str:
    name = draft.name.strip()
    if not name:
        return "Give the project a name: the LoRA's files are called so."
    if trouble := name_trouble(draft.name) or problem("output.name", draft.name):
        return trouble
    if "base.model" in draft.typed:
        return base_trouble(draft.typed["base.model"])
    outlook = draft.looks.outlook
    if outlook is not None and outlook.base.model == draft.plan.base.model and outlook.base.trouble:
        return outlook.base.trouble
    return base_trouble(draft.plan.base.model)


def name_trouble(name: str) -> str:
    """Why a project cannot be called so; "" where it can."""
    wrong = sorted({char for char in name if not char.isprintable() or char in '/\\:*?"<>|'})
    if wrong:
        return f"A file name cannot hold {shown(' '.join(wrong))}: take letters, digits, dashes."
    if name.startswith("."):
        return "A name that begins with a point hides its files: begin with a letter or a digit."
    if not any(char.isalnum() for char in name):
        return f"A name wants a letter or a digit, and {shown(name)} has none: the run is called so, too."
    return "The name is too long for a file: take at most 100 characters." if len(name) > 100 else ""


def base_trouble(model: str) -> str:
    """Why a text names no base; "" where it does, as far as its name tells."""
    if not model.strip():
        return "Choose a base model, or type the path of one."
    if model.endswith((".ckpt", ".pt", ".pth", ".bin")):
        return f"{shown(model)} is a pickle, which can run code when opened: take the .safetensors file of that model."
    try:
        resolve_base(model)
    except BaseModelError:
        if model.startswith(("/", "~", ".")):
            return f"There is no file or folder {shown(model)}: correct the path (tab completes it)."
        return f"{shown(model)} is no base that is known: give a path, or owner/name as on the hub."
    except (OSError, RuntimeError, ValueError):
        return f"{shown(model)} cannot be a path: correct it."
    return ""


def pictures_missing(draft: Draft) -> str:
    if FOLDER in draft.typed:
        return folder_trouble(draft.typed[FOLDER]) or "Enter reads this folder."
    if not draft.plan.pictures.folders:
        return "Say where the pictures are: a folder, or a .zip."
    outlook = draft.looks.outlook
    if outlook is None or outlook.plan.pictures.folders != draft.plan.pictures.folders:
        return next((said for one in draft.plan.pictures.folders if (said := folder_trouble(one.path))), "")
    if outlook.trouble:
        return outlook.trouble[:1].upper() + outlook.trouble[1:]
    if outlook.dataset is not None and outlook.plan.pictures == draft.plan.pictures and not outlook.trained:
        train = [one for one in outlook.dataset.pictures if one.role == "train"]
        if train and len(draft.plan.pictures.leave_out) >= len(train):
            return "Every picture is left out: take some in again with space."
        return "No picture in this folder can be trained: choose another folder, or see what is wrong with each."
    return ""


def folder_trouble(text: str) -> str:
    """Why a text names no folder of pictures; "" where it does."""
    import os
    from pathlib import Path

    if not text.strip():
        return "Say where the pictures are: a folder, or a .zip."
    try:
        path = Path(text).expanduser()
        kind = "there" if path.is_dir() or path.is_file() else "none"
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        return f"{shown(text)} cannot be looked at ({why}): choose another folder."
    if kind == "none":
        return f"There is no folder {shown(text)}: correct the path (tab completes it), or o looks for it."
    if path.is_file() and path.suffix.lower() != ".zip":
        return f"{shown(path.name)} is a file: give the folder it lies in, or a .zip of pictures."
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        return f"{shown(text)} cannot be read: give this user the right to read it, or choose another folder."
    if path.is_dir() and path.resolve() in {Path("/"), Path.home().resolve()}:
        return f"{shown(text)} holds everything there is here: give the folder of the pictures."
    if problem("pictures.folders.path", str(path)):
        return f"The path {shown(text)} holds letters that cannot be kept in a plan: rename the folder."
    return ""


def parameters_missing(draft: Draft) -> str:
    """The first value of the table that was typed and is none."""
    for key, text in draft.typed.items():
        if key in {OTHER_BASE, FOLDER, *_OF_SUBJECT} or key.startswith("subject."):
            continue
        trouble = typed_trouble(key, text)
        if trouble:
            return trouble
    return ""


def typed_trouble(key: str, text: str) -> str:
    from engine.plan_fields import FIELDS

    return typed_value(key, text)[1] if key in FIELDS else ""


def review_missing(draft: Draft) -> str:
    return ""


def is_demo(draft: Draft) -> bool:
    return draft.plan.base.model == DEMO
