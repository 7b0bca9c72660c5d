"""One kohya preset being read: its values in the forms the GUI writes them, and the account of every key."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from typing import Any

from engine import kohya_keys as keys
from engine.plan_values import problem


@dataclass(frozen=True)
class Taken:
    """A setting that became part of the plan; `part` names it where its key holds several."""

    key: str
    value: Any
    becomes: tuple[tuple[str, Any], ...]  # (key of the plan, value)
    remark: str = ""
    part: str = ""


@dataclass(frozen=True)
class Left:
    """A setting that is not in the plan, and why; `matters` where the training differs from kohya's by it."""

    key: str
    value: Any
    reason: str
    matters: bool = False
    part: str = ""


NUMBERS: dict[str, str] = {
    "train_batch_size": "length.batch_size",
    "gradient_accumulation_steps": "length.gradient_accumulation",
    "max_token_length": "captions.max_tokens",
    "keep_tokens": "captions.keep_tokens",
    "caption_dropout_rate": "captions.dropout",
    "network_dropout": "network.dropout",
    "prior_loss_weight": "regularization.weight",
    "min_snr_gamma": "loss.min_snr_gamma",
    "scale_weight_norms": "loss.scale_weight_norms",
    "max_grad_norm": "optimizer.gradient_clipping",
}
_WHOLE = frozenset(
    {
        "length.batch_size", "length.gradient_accumulation", "captions.max_tokens", "captions.keep_tokens",
        "network.rank", "network.conv_rank", "optimizer.restarts", "optimizer.warmup_steps", "length.steps",
        "length.epochs", "pictures.min_side", "pictures.max_side", "pictures.bucket_step", "machine.seed",
        "length.save_every_epochs", "samples.every_epochs", "loss.multires_noise_iterations",
    }
)  # fmt: skip
BOOLEANS: dict[str, str] = {
    "enable_bucket": "pictures.bucketing",
    "flip_aug": "pictures.flip",
    "shuffle_caption": "captions.shuffle",
}


# Values as the GUI writes them: numbers as numbers or as text, nothing as "", "None" or null.


def is_empty(value: Any) -> bool:
    """Whether the GUI means "nothing stated": null, "", "None"."""
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null"))


_LARGEST = 1e15  # beyond it no setting makes sense, and products of two stay finite below


def as_number(value: Any) -> float | None:
    """The number a value stands for; None if it stands for none, or for an absurd one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < _LARGEST else None


def as_boolean(value: Any) -> bool | None:
    """True or false as the GUI writes them ("true", 1, false); None if it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return words.get(value.strip().lower()) if isinstance(value, str) else None


@dataclass
class Reading:
    """The account of one preset in the making: `values` is the file, `taken` and `left` grow key by key."""

    values: dict[str, Any]
    taken: list[Taken] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    part: str = ""  # of a key that holds several settings, the one being read
    arguments: list[tuple[str, str]] = field(init=False)  # of the optimizer
    parameters: list[tuple[str, str | None]] = field(init=False)  # of the command line

    def __post_init__(self) -> None:
        self.arguments = arguments_in(self.values.get("optimizer_args"))
        self.parameters = parameters_in(self.values.get("additional_parameters"))

    def take(self, key: str, *becomes: tuple[str, Any], remark: str = "") -> None:
        """Takes a value if the plan allows it; else it is left, with the plan's own sentence as the reason."""
        for plan_key, value in becomes:
            sentence = None if plan_key.endswith(".folders") else problem(plan_key, value)
            if sentence is not None:
                self.leave(key, sentence.rstrip("."), matters=True)
                return
        self.taken.append(Taken(key, self._value(key), becomes, remark, self.part))

    def leave(self, key: str, reason: str, *, matters: bool = False) -> None:
        self.left.append(Left(key, self._value(key), reason, matters, self.part))

    def _value(self, key: str) -> Any:
        if key in keys.SECRETS and not is_empty(self.values.get(key)):
            return "(hidden)"
        return self.values.get(key)

    def text(self, key: str) -> str:
        """A key's text; "" where it is absent or empty."""
        value = self.values.get(key)
        return "" if is_empty(value) else str(value).strip()

    def number(self, key: str) -> float:
        """A key's number; 0 where it is absent, empty or no number."""
        return as_number(self.values.get(key)) or 0.0

    def plain_number(self, key: str, value: Any, plan_key: str) -> None:
        if is_empty(value):
            self.leave(key, f"empty; {plan_key} stays as it is")
            return
        number = as_number(value)
        if number is None:
            self.leave(key, "not a number", matters=True)
        elif number.is_integer() and plan_key in _WHOLE:
            self.take(key, (plan_key, int(number)))
        else:
            self.take(key, (plan_key, number))

    def plain_boolean(self, key: str, value: Any, plan_key: str) -> None:
        boolean = as_boolean(value)
        if is_empty(value):
            self.leave(key, f"empty; {plan_key} stays as it is")
        elif boolean is None:
            self.leave(key, "neither true nor false", matters=True)
        else:
            self.take(key, (plan_key, boolean))

    def noise_type(self) -> str:
        """Which of its two noises kohya hands on: "original" (the offset) or "multires"."""
        return self.text("noise_offset_type").lower() or "original"


def adapter_targets(reading: Reading) -> str | None:
    """The plan's targets for the preset's kind of adapter; None for a kind that is not offered."""
    given = reading.text("LoRA_type").lower().replace("-", "").replace(" ", "")
    if given in ("", "standard"):
        return "transformer"
    if given in ("lycoris/locon", "kohyalocon"):
        has_convolutions = reading.number("conv_dim") > 0
        attention_only = reading.text("LyCORIS_preset").lower() in ("attn-only", "attn_only")
        return "attention" if attention_only else "locon" if has_convolutions else "transformer"
    return None


def is_off(key: str, value: Any) -> bool:
    """Whether a setting that lorasmith lacks does nothing in this preset."""
    if is_empty(value) or value in ([], {}):
        return True
    if as_boolean(value) is False or as_number(value) == 0:
        return True
    others = keys.OFF_VALUES.get(key, ())
    return value in others or (as_number(value) in others and as_number(value) is not None)


def arguments_in(value: Any) -> list[tuple[str, str]]:
    """`optimizer_args` as pairs: name=value separated by blanks, each perhaps in quotes."""
    return [(name, given or "") for name, given in _split(value) if given is not None]


def parameters_in(value: Any) -> list[tuple[str, str | None]]:
    """`additional_parameters` as pairs: --name=value, --name value, or --name alone."""
    found: list[tuple[str, str | None]] = []
    for name, given in _split(value):
        if name.startswith("--"):
            found.append((name[2:], given))
        elif found:
            whole = name if given is None else f"{name}={given}"
            before = found[-1][1]
            found[-1] = (found[-1][0], whole if before is None else f"{before} {whole}")
    return found


def _split(value: Any) -> list[tuple[str, str | None]]:
    if is_empty(value) or isinstance(value, (bool, int, float, dict)):
        return []
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = text.split()
    pairs = [word.partition("=") for word in words]
    return [(name.strip(), given if sign else None) for name, sign, given in pairs]
