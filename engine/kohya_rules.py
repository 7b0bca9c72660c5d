"""What each setting of a kohya preset becomes in a plan, where the settings hang together.

Read from kohya_ss's lora_gui.py, which hands some settings on only together with others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import kohya_keys as keys
from engine.errors import shown
from engine.kohya_optimizer import OPTIMIZER_RULES
from engine.kohya_reading import BOOLEANS, NUMBERS, Reading, adapter_targets, as_boolean, as_number, is_empty, is_off
from engine.plan import ClassFolder, PictureFolder
from engine.plan_values import problem


def _lora_type(reading: Reading, key: str, value: Any) -> None:
    targets = adapter_targets(reading)
    if targets is None:
        reading.leave(
            key,
            "not offered; a plain LoRA is trained, for which its rank, alpha and rate mean nothing",
            matters=True,
        )
    elif is_empty(value):
        reading.leave(key, "empty; network.targets stays as it is")
    else:
        reading.take(key, ("network.targets", targets))


def _rank(reading: Reading, key: str, value: Any) -> None:
    plan_key = {"network_dim": "network.rank", "network_alpha": "network.alpha"}[key]
    if adapter_targets(reading) is None:
        reading.leave(
            key, f"belongs to {shown(reading.text('LoRA_type'))}, which is not offered", matters=True
        )
    else:
        reading.plain_number(key, value, plan_key)


def _conv(reading: Reading, key: str, value: Any) -> None:
    if adapter_targets(reading) != "locon":
        reading.leave(key, "only adapters with convolutions (LoCon) use it")
    else:
        reading.plain_number(
            key, value, {"conv_dim": "network.conv_rank", "conv_alpha": "network.conv_alpha"}[key]
        )


def _dora(reading: Reading, key: str, value: Any) -> None:
    if as_boolean(value) and adapter_targets(reading) is None:
        reading.leave(
            key, f"belongs to {shown(reading.text('LoRA_type'))}, which is not offered", matters=True
        )
    else:
        reading.plain_boolean(key, value, "network.dora")


def _resolution(reading: Reading, key: str, value: Any) -> None:
    if is_empty(value):
        reading.leave(key, "empty; pictures.resolution stays as it is")
        return
    sides = [as_number(part) for part in str(value).lower().replace("x", ",").split(",")]
    if not 1 <= len(sides) <= 2 or any(side is None or side <= 0 for side in sides):
        reading.leave(key, 'not a size such as "1024,1024"', matters=True)
        return
    known = [side for side in sides if side is not None]
    side = round(math.sqrt(known[0]) * math.sqrt(known[-1]))
    if side < 768 and as_boolean(reading.values.get("sdxl")) is not True:
        reading.leave(key, "a size for SD 1.5; SDXL's own is used", matters=True)
        return
    square = known[0] == known[-1]
    reading.take(
        key, ("pictures.resolution", side), remark="" if square else "the side of the square of equal area"
    )


def _bucket_side(reading: Reading, key: str, value: Any) -> None:
    if as_boolean(reading.values.get("bucket_no_upscale")):
        reading.leave(key, "kohya ignores it where bucket_no_upscale is on")
    else:
        names = {"min_bucket_reso": "pictures.min_side", "max_bucket_reso": "pictures.max_side"}
        reading.plain_number(key, value, names[key])


def _bucket_step(reading: Reading, key: str, value: Any) -> None:
    number = as_number(value)
    if number is not None and number % 32:
        reading.leave(key, "SDXL wants a multiple of 32; the base's own step is used", matters=True)
    else:
        reading.plain_number(key, value, "pictures.bucket_step")


def _no_upscale(reading: Reading, key: str, value: Any) -> None:
    boolean = as_boolean(value)
    if boolean is None:
        reading.leave(key, "neither true nor false", matters=not is_empty(value))
    else:
        reading.take(key, ("pictures.upscale", not boolean))


def _caption_extension(reading: Reading, key: str, value: Any) -> None:
    given = reading.text(key)
    if not given:
        reading.leave(key, "empty; captions.extension stays as it is")
    elif given.lower() in (".txt", ".caption", ".cap"):
        reading.take(key, ("captions.extension", given))
    else:
        reading.leave(
            key,
            "no usual ending: it would leave every .txt caption unread; captions.extension stays .txt",
            matters=True,
        )


def _noise(reading: Reading, key: str, value: Any) -> None:
    """kohya hands on either the plain offset or the multi-resolution noise, by `noise_offset_type`."""
    wanted = "original" if key == "noise_offset" else "multires"
    plan_key = f"loss.{key}"
    if reading.noise_type() != wanted:
        reading.leave(key, f"kohya uses it only with noise_offset_type {wanted.capitalize()}")
    elif key == "multires_noise_discount" and reading.number("multires_noise_iterations") == 0:
        reading.leave(key, "means nothing without multires_noise_iterations")
    else:
        reading.plain_number(key, value, plan_key)


def _precision(reading: Reading, key: str, value: Any) -> None:
    plan_key = {"mixed_precision": "machine.precision", "save_precision": "output.precision"}[key]
    names = {"fp16": "fp16", "bf16": "bf16", "no": "fp32", "float": "fp32", "fp32": "fp32"}
    given = reading.text(key).lower()
    if given in names:
        reading.take(key, (plan_key, names[given]))
    else:
        reading.leave(
            key, f"{'not offered' if given else 'empty'}; {plan_key} stays as it is", matters=bool(given)
        )


def _seed(reading: Reading, key: str, value: Any) -> None:
    if is_empty(value) or as_number(value) == 0:
        reading.leave(key, "none stated (kohya draws one); machine.seed stays 0")
    else:
        reading.plain_number(key, value, "machine.seed")


def _v_prediction(reading: Reading, key: str, value: Any) -> None:
    if as_boolean(value):
        reading.take(key, ("base.prediction", "v_prediction"))
    else:
        reading.leave(key, "off or empty; what the base predicts is read from the base")


def _sdxl(reading: Reading, key: str, value: Any) -> None:
    boolean = as_boolean(value)
    if key == "v2":
        reading.leave(key, "lorasmith trains SDXL", matters=bool(boolean))
    else:
        reading.leave(key, "lorasmith trains SDXL", matters=boolean is False)


def _folder(reading: Reading, key: str, value: Any) -> None:
    given = reading.text(key)
    plan_key, holder = {
        "train_data_dir": ("pictures.folders", PictureFolder), "reg_data_dir": ("regularization.folders", ClassFolder),
    }[key]  # fmt: skip
    if given and _is_there(given) and problem(f"{plan_key}.path", given) is None:
        reading.take(key, (plan_key, (holder(given),)))
    else:
        reading.leave(
            key, f"no folder of that name is here; name yours under [[{plan_key}]]" if given else "empty"
        )


def _model(reading: Reading, key: str, value: Any) -> None:
    given = reading.text(key)
    plan_key = {"pretrained_model_name_or_path": "base.model", "vae": "base.vae"}[key]
    is_hub_name = key != "vae" and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", given) is not None
    if given and (_is_there(given) or (is_hub_name and not given.endswith((".safetensors", ".ckpt")))):
        reading.take(key, (plan_key, given))
    else:
        reading.leave(key, f"no such file is here; name yours at {plan_key}" if given else "empty")


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError):
        return False


def _name(reading: Reading, key: str, value: Any) -> None:
    if is_empty(value):
        reading.leave(key, "empty; the name is made from trigger and class")
    else:
        reading.take(key, ("output.name", reading.text(key)))


def _prompts(reading: Reading, key: str, value: Any) -> None:
    lines = [line.strip() for line in reading.text(key).splitlines()]
    texts = [
        re.split(r"\s--[a-z]+\s", line)[0].strip() for line in lines if line and not line.startswith("#")
    ]
    texts = [text for text in texts if text]
    if texts:
        options = any(re.search(r"\s--[a-z]+\s", line) for line in lines)
        remark = (
            "without their options (--w, --h, --n ...): samples have the run's size and one seed"
            if options
            else ""
        )
        reading.take(key, ("samples.prompts", tuple(texts)), remark=remark)
    else:
        reading.leave(key, "empty")


def _every_epochs(reading: Reading, key: str, value: Any) -> None:
    plan_key = {
        "save_every_n_epochs": "length.save_every_epochs",
        "sample_every_n_epochs": "samples.every_epochs",
    }[key]
    if is_empty(value) or as_number(value) == 0:
        reading.leave(key, f"0 or empty; {plan_key} stays 1")
    else:
        reading.plain_number(key, value, plan_key)


def _clipping(reading: Reading, key: str, value: Any) -> None:
    reading.plain_number(key, value, "optimizer.gradient_clipping")


def _additional(reading: Reading, key: str, value: Any) -> None:
    """Each `--name=value` is read as the setting of that name; a plan value that it sets is taken under its part."""
    if not reading.parameters:
        empty = is_empty(value)
        reading.leave(key, "empty" if empty else "not a list of --name=value", matters=not empty)
        return
    stated = {name: True if given is None else given for name, given in reading.parameters}
    for name, given in reading.parameters:
        part = f"--{name}" if given is None else f"--{name}={given}"
        alone = Reading({**reading.values, **stated})
        if name == "network_train_unet_only":
            alone.take(key, ("network.train_text_encoders", False))
        elif name == "zero_terminal_snr":
            alone.take(key, ("base.zero_terminal_snr", True))
        elif name in ("optimizer_args", "additional_parameters"):
            alone.leave(key, "nested parameters are not read", matters=True)
        elif name in keys.AUTOMATIC or name in ("log_prefix", "log_tracker_name", "console_log_level"):
            alone.leave(key, keys.AUTOMATIC.get(name, "the record lies in the run's own folder"))
        else:
            account(alone, name, stated[name])
        reading.taken += [replace(one, key=key, value=reading.values[key], part=part) for one in alone.taken]
        reading.left += [replace(one, key=key, value=reading.values[key], part=part) for one in alone.left]


RULES: dict[str, Callable[[Reading, str, Any], None]] = {
    **OPTIMIZER_RULES,
    "additional_parameters": _additional,
    "LoRA_type": _lora_type,
    "network_dim": _rank,
    "network_alpha": _rank,
    "conv_dim": _conv,
    "conv_alpha": _conv,
    "dora_wd": _dora,
    "max_resolution": _resolution,
    "min_bucket_reso": _bucket_side,
    "max_bucket_reso": _bucket_side,
    "bucket_reso_steps": _bucket_step,
    "bucket_no_upscale": _no_upscale,
    "caption_extension": _caption_extension,
    "noise_offset": _noise,
    "multires_noise_iterations": _noise,
    "multires_noise_discount": _noise,
    "mixed_precision": _precision,
    "save_precision": _precision,
    "seed": _seed,
    "v_parameterization": _v_prediction,
    "sdxl": _sdxl,
    "v2": _sdxl,
    "train_data_dir": _folder,
    "reg_data_dir": _folder,
    "pretrained_model_name_or_path": _model,
    "vae": _model,
    "output_name": _name,
    "sample_prompts": _prompts,
    "save_every_n_epochs": _every_epochs,
    "sample_every_n_epochs": _every_epochs,
}


def account(reading: Reading, key: str, value: Any) -> None:
    """Takes or leaves one key; every key ends up in one of the two."""
    reading.part = ""
    if key in RULES:
        RULES[key](reading, key, value)
    elif key in NUMBERS:
        reading.plain_number(key, value, NUMBERS[key])
    elif key in BOOLEANS:
        reading.plain_boolean(key, value, BOOLEANS[key])
    elif key in keys.AUTOMATIC:
        reading.leave(key, keys.AUTOMATIC[key])
    elif key in keys.UNSUPPORTED:
        _unsupported(reading, key, value)
    elif key in keys.LYCORIS:
        reading.leave(key, "only LyCORIS's own kinds of adapter have it")
    elif key in keys.OTHER_MODEL_KEYS or key.startswith(keys.OTHER_MODEL_PREFIXES):
        reading.leave(key, "a setting for another model")
    else:
        reading.leave(
            key, "not a setting of kohya's GUI that lorasmith knows", matters=not is_off(key, value)
        )


def _unsupported(reading: Reading, key: str, value: Any) -> None:
    switch = keys.NEEDS.get(key)
    off = is_off(key, value) or (switch is not None and is_off(switch, reading.values.get(switch)))
    if key == "adaptive_noise_scale" and reading.noise_type() != "original":
        off = True
    reason = keys.UNSUPPORTED[key]
    reading.leave(key, f"off in the preset ({reason})" if off else reason, matters=not off)
