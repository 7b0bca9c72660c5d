"""The alphas that peft and diffusers state beside a LoRA's weights, in metadata or in a configuration. Light.

Each acts on the modules that have no alpha of their own in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import LorasmithError, shown

_METADATA = "lora_adapter_metadata"  # diffusers' key; a JSON object of "unet.lora_alpha" and the like
_CONFIGURATION, _BESIDE = "adapter_config.json", "adapter_model.safetensors"  # peft's two files


@dataclass(frozen=True)
class _Stated:
    """One model's: the alpha of all its modules, and of those whose path a pattern matches."""

    alpha: float
    patterns: tuple[tuple[re.Pattern[str], float], ...]
    rslora: bool


@dataclass(frozen=True)
class StatedAlphas:
    """What is stated, by model as diffusers names it (unet, text_encoder, text_encoder_2)."""

    models: Mapping[str, _Stated]

    def of(self, name: str, rank: int) -> float | None:
        """The alpha of a module named as `role_of` does, so that alpha / rank is its scale; None where none is stated.

        As peft has it: the first pattern that matches counts, and rsLoRA's scale is alpha / sqrt(rank).
        """
        model, _, path = name.partition(".")
        stated = self.models.get(model)
        if stated is None:
            return None
        paths = (path, f"text_model.{path}")  # the text encoders' own names begin so, ours do not
        alphas = (alpha for pattern, alpha in stated.patterns if any(map(pattern.match, paths)))
        alpha = next(alphas, stated.alpha)
        return alpha * rank**0.5 if stated.rslora else alpha


def stated_alphas(file: Path, metadata: Mapping[str, str]) -> StatedAlphas:
    """Reads what is stated beside a file's weights. Raises LorasmithError where that is damaged."""
    if text := metadata.get(_METADATA):
        where = f"The metadata {_METADATA} of {shown(file.name)}"
        by_model: dict[str, dict[str, Any]] = {}
        for key, value in _object(text, where).items():
            model, _, setting = key.partition(".")
            by_model.setdefault(model, {})[setting] = value
    elif file.name == _BESIDE and (beside := file.with_name(_CONFIGURATION)).is_file():
        where = shown(beside)
        try:
            text = beside.read_text("utf-8")
        except OSError as error:
            raise LorasmithError(f"{where} cannot be read ({error.strerror}): copy it again.") from None
        except ValueError:
            raise _damaged(where, "is no text") from None
        by_model = {"unet": _object(text, where)}
    else:
        return StatedAlphas({})
    return StatedAlphas({model: _stated(own, where) for model, own in by_model.items() if "lora_alpha" in own})


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(where, "is no JSON") from None
    if not isinstance(read, dict):
        raise _damaged(where, "is no JSON object")
    return read


def _stated(config: Mapping[str, Any], where: str) -> _Stated:
    try:
        patterns = dict(config.get("alpha_pattern") or {})
        return _Stated(
            float(config["lora_alpha"]),
            tuple((re.compile(rf"(.*\.)?({pattern})$"), float(alpha)) for pattern, alpha in patterns.items()),
            bool(config.get("use_rslora")),
        )
    except (ValueError, TypeError, OverflowError, re.error, RecursionError):
        raise _damaged(where, "states an alpha that is none") from None


def _damaged(where: str, what: str) -> LorasmithError:
    return LorasmithError(f"{where} {what}, so how strong this LoRA is cannot be told: get the LoRA again.")
