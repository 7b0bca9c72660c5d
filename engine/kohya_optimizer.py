"""What a kohya preset's rates, optimizer, schedule and length become in a plan; the other settings: `kohya_rules`.

Read from kohya_ss's lora_gui.py, which hands some settings on only together with others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import shown
from engine.kohya_reading import Reading, adapter_targets, as_boolean, as_number, is_empty
from engine.plan_values import rate_text


def _learning_rate(reading: Reading, key: str, value: Any) -> None:
    """`unet_lr`, where not 0, is the UNet's rate; `learning_rate` stands in for it."""
    if key == "learning_rate" and reading.number("unet_lr") > 0:
        same = as_number(value) == reading.number("unet_lr")
        reading.leave(key, "the same as unet_lr" if same else "unet_lr is stated, which wins, as in kohya")
        return
    if is_empty(value) or as_number(value) == 0:
        reading.leave(key, "empty or 0; learning_rate stands in for it" if key == "unet_lr" else "empty or 0")
        return
    name = _OPTIMIZERS.get(reading.text("optimizer").lower())
    if adapter_targets(reading) is None:
        reading.leave(
            key,
            f"a rate for {shown(reading.text('LoRA_type'))}, which another adapter cannot use",
            matters=True,
        )
    elif name is None and reading.text("optimizer"):
        reading.leave(
            key, f"a rate for {shown(reading.text('optimizer'))}, which is not offered", matters=True
        )
    elif name == "adafactor" and not _states_its_rate(reading):
        reading.leave(
            key,
            "with relative_step on, kohya's Adafactor sets its own rate; lorasmith's takes a stated one",
            matters=True,
        )
    else:
        reading.plain_number(key, value, "optimizer.learning_rate")


def _states_its_rate(reading: Reading) -> bool:
    return any(name == "relative_step" and as_boolean(value) is False for name, value in reading.arguments)


def _text_encoder_rate(reading: Reading, key: str, value: Any) -> None:
    """kohya gives both text encoders this rate and trains them unless it alone is 0."""
    train = ("network.train_text_encoders", True)
    if _unet_only(reading):
        why = "0" if reading.number(key) == 0 else "--network_train_unet_only"
        reading.take(key, ("network.train_text_encoders", False), remark=f"{why}: the UNet alone is trained")
    elif is_empty(value):
        reading.leave(key, "empty; the text encoders stay untrained")
    elif (number := as_number(value)) is None:
        reading.leave(key, "not a number", matters=True)
    elif reading.number("unet_lr") == 0 and number > 0:
        reading.leave(key, "kohya would train the text encoders alone; here the UNet always is", matters=True)
    elif number == 0:
        reading.take(key, train, remark="at learning_rate, as in kohya where both other rates are 0")
    elif not _rate_is_taken(reading):
        reading.take(key, train, remark="at rates that suit the optimizer here")
    else:
        rates = ("optimizer.text_encoder_learning_rate", "optimizer.text_encoder_2_learning_rate")
        reading.take(
            key, train, *((name, number) for name in rates), remark="both text encoders, as in kohya"
        )


def _rate_is_taken(reading: Reading) -> bool:
    optimizer = reading.text("optimizer").lower()
    known = not optimizer or optimizer in _OPTIMIZERS
    relative = _OPTIMIZERS.get(optimizer) == "adafactor" and not _states_its_rate(reading)
    return known and not relative and adapter_targets(reading) is not None


def _unet_only(reading: Reading) -> bool:
    """kohya trains the text encoders unless their rate alone is 0 or a parameter forbids it."""
    flagged = any(name == "network_train_unet_only" for name, _ in reading.parameters)
    stated = as_number(reading.values.get("text_encoder_lr"))
    return flagged or (stated == 0 and reading.number("unet_lr") > 0)


_OPTIMIZERS: dict[str, str] = {
    "adamw8bit": "adamw8bit", "pagedadamw8bit": "adamw8bit", "adamw": "adamw", "pagedadamw": "adamw",
    "pagedadamw32bit": "adamw", "adafactor": "adafactor", "lion8bit": "lion8bit", "pagedlion8bit": "lion8bit",
    "lion": "lion8bit", "prodigy": "prodigy", "dadaptation": "prodigy", "dadaptadam": "prodigy",
    "dadaptadampreprint": "prodigy",
}  # fmt: skip
_WITHOUT_DECAY = ("adafactor", "lion8bit", "prodigy")  # 0 unless optimizer_args says otherwise


def _optimizer(reading: Reading, key: str, value: Any) -> None:
    given = reading.text(key)
    name = _OPTIMIZERS.get(given.lower())
    if not given:
        reading.leave(key, "empty; optimizer.name stays as it is")
    elif name is None:
        reading.leave(key, "not offered; adamw8bit is used at its own rate", matters=True)
    else:
        becomes: list[tuple[str, Any]] = [("optimizer.name", name)]
        if name in _WITHOUT_DECAY and not any(
            argument == "weight_decay" for argument, _ in reading.arguments
        ):
            becomes.append(("optimizer.weight_decay", 0.0))
        remark = ""
        if name == "prodigy" and given.lower() != "prodigy":
            remark = (
                f"{given} is not offered; Prodigy, which finds its rate in the same way, stands in for it"
            )
        elif name != given.lower():
            remark = f"the nearest to {given}"
        reading.take(key, *becomes, remark=remark)


# What lorasmith's optimizers are built with: an argument that says the same loses nothing.
_BUILT_IN: dict[str, dict[str, object]] = {
    "prodigy": {
        "decouple": True,
        "use_bias_correction": True,
        "safeguard_warmup": True,
        "d_coef": 1.0,
        "d0": 1e-6,
    },
    "adafactor": {"scale_parameter": False, "relative_step": False, "warmup_init": False},
    "adamw": {"betas": "0.9,0.999", "decouple": True},
    "adamw8bit": {"betas": "0.9,0.999", "decouple": True},
    "lion8bit": {"betas": "0.9,0.99"},
}


def _optimizer_args(reading: Reading, key: str, value: Any) -> None:
    if not reading.arguments:
        empty = is_empty(value)
        reading.leave(key, "empty" if empty else "not a list of name=value", matters=not empty)
        return
    name = _OPTIMIZERS.get(reading.text("optimizer").lower(), "")
    for argument, given in reading.arguments:
        reading.part = f"{argument}={given}"
        if argument == "weight_decay" and as_number(given) is not None:
            reading.take(key, ("optimizer.weight_decay", as_number(given)))
            continue
        built_in = _BUILT_IN.get(name, {}).get(argument)
        if built_in is not None and _same(given, built_in):
            reading.leave(key, f"as lorasmith's {name} always runs")
        else:
            reading.leave(
                key,
                f"{argument} cannot be set; {name or 'the optimizer'} runs with its usual one",
                matters=True,
            )
    reading.part = ""


def _same(given: str, built_in: object) -> bool:
    if isinstance(built_in, bool):
        return as_boolean(given) is built_in
    if isinstance(built_in, float):
        return as_number(given) == built_in
    return str(given).replace(" ", "").strip("()") == built_in


def _has_custom_schedule(reading: Reading) -> bool:
    stated = any(name == "lr_scheduler_type" for name, _ in reading.parameters)
    return stated or bool(reading.text("lr_scheduler_type"))


def _scheduler(reading: Reading, key: str, value: Any) -> None:
    given = reading.text(key).lower()
    names = {
        "constant": "constant",
        "constant_with_warmup": "constant",
        "cosine": "cosine",
        "linear": "linear",
    }
    if _has_custom_schedule(reading):
        reading.leave(
            key, "a schedule of another library is asked for in its place; constant is used", matters=True
        )
    elif given == "cosine_with_restarts":
        becomes: list[tuple[str, Any]] = [("optimizer.scheduler", "restarts")]
        if "lr_scheduler_num_cycles" not in reading.values:
            becomes.append(("optimizer.restarts", 1))
        reading.take(key, *becomes)
    elif given in names:
        reading.take(key, ("optimizer.scheduler", names[given]))
    elif given == "polynomial" and (reading.number("lr_scheduler_power") or 1) == 1:
        reading.take(key, ("optimizer.scheduler", "linear"), remark="a polynomial of power 1 is a line")
    elif given == "adafactor":
        reading.leave(key, "it keeps the rate that Adafactor sets itself; constant is used")
    else:
        reading.leave(
            key, "not offered; constant is used" if given else "empty; constant is used", matters=bool(given)
        )


def _cycles(reading: Reading, key: str, value: Any) -> None:
    if reading.text("lr_scheduler").lower() != "cosine_with_restarts" or _has_custom_schedule(reading):
        reading.leave(key, "only a schedule with restarts has cycles")
    elif is_empty(value):
        reading.take(key, ("optimizer.restarts", 1), remark="empty means 1 in kohya")
    else:
        reading.plain_number(key, value, "optimizer.restarts")


def _warmup(reading: Reading, key: str, value: Any) -> None:
    """`lr_warmup` is a percentage of all steps, `lr_warmup_steps` a number of steps that wins over it."""
    number = as_number(value)
    if is_empty(value) or number == 0:
        if key == "lr_warmup" and reading.number("lr_warmup_steps") == 0 and number == 0:
            reading.take(key, ("optimizer.warmup_steps", 0))
        else:
            reading.leave(key, "0 or empty")
    elif number is None:
        reading.leave(key, "not a number", matters=True)
    elif reading.text("lr_scheduler").lower() == "constant":
        reading.leave(key, "kohya's constant schedule has no warm-up")
    elif key == "lr_warmup_steps":
        reading.plain_number(key, value, "optimizer.warmup_steps")
    elif reading.number("lr_warmup_steps") > 0:
        reading.leave(key, "lr_warmup_steps is stated, which wins, as in kohya")
    elif _length(reading) == "max_train_steps":
        steps = round(number / 100 * reading.number("max_train_steps"))
        reading.take(key, ("optimizer.warmup_steps", steps), remark=f"{rate_text(number)} % of all steps")
    else:
        reading.leave(
            key,
            f"{rate_text(number)} % of all steps, whose number depends on the pictures; set optimizer.warmup_steps",
            matters=True,
        )


def _length(reading: Reading) -> str:
    """The key that ends a kohya run: max_train_epochs wins over steps, steps over the window's epochs."""
    if reading.number("max_train_epochs") > 0:
        return "max_train_epochs"
    return "max_train_steps" if reading.number("max_train_steps") > 0 else "epoch"


def _epochs(reading: Reading, key: str, value: Any) -> None:
    winner = _length(reading)
    if is_empty(value) or as_number(value) == 0:
        reading.leave(key, "0 or empty")
    elif winner == key:
        reading.plain_number(key, value, "length.steps" if key == "max_train_steps" else "length.epochs")
    elif as_number(value) == reading.number(winner):
        reading.leave(key, f"the same as {winner}")
    else:
        reading.leave(key, f"{winner} is stated, which wins, as in kohya")


OPTIMIZER_RULES: dict[str, Callable[[Reading, str, Any], None]] = {
    "learning_rate": _learning_rate,
    "unet_lr": _learning_rate,
    "text_encoder_lr": _text_encoder_rate,
    "optimizer": _optimizer,
    "optimizer_args": _optimizer_args,
    "lr_scheduler": _scheduler,
    "lr_scheduler_num_cycles": _cycles,
    "lr_warmup": _warmup,
    "lr_warmup_steps": _warmup,
    "epoch": _epochs,
    "max_train_epochs": _epochs,
    "max_train_steps": _epochs,
}
