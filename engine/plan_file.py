"""Plans as TOML files a person would write: every mistake named, every value commented, comments kept."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import PlanError, shown
from engine.plan import Plan, effective_rate, learning_rate
from engine.plan_fields import FIELDS, SECTIONS
from engine.plan_values import (
    FOLDER_TYPES,
    default_of,
    nearest_key,
    normal,
    problem,
    rate_text,
    sections,
    value_of,
    value_shown,
)

_LARGEST_FILE = 4 * 2**20
_WIDTH = 110


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file; paths in it are relative to the file's folder, `~` is the home folder.

    Raises PlanError: all of the file's problems, a line and a sentence each.
    """
    path = Path(path).expanduser()
    return plan_from_text(read_text(path), path, folder=path.absolute().parent)


def read_text(path: Path) -> str:
    """A plan file's text; PlanError if it is missing, not a file, unreadable or not UTF-8."""
    name = shown(path)
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_FILE:
            raise PlanError(f"{name} is larger than 4 MB and cannot be a plan; name a plan file (.toml).")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise PlanError(f"There is no plan file {name}; make one with `lorasmith plan new`.") from None
    except IsADirectoryError:
        raise PlanError(f"{name} is a folder; name the plan file (.toml) in it.") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise PlanError(f"{name} cannot be read: {error.strerror}.") from None


def plan_from_text(text: str, where: object = "the plan", *, folder: Path | None = None) -> Plan:
    """The plan in a TOML text. `where` names it in errors; paths are taken from `folder`, if given.

    Raises PlanError with one sentence a line for each problem of the text.
    """
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(_syntax_sentence(str(error), text, where)) from None
    problems: list[str] = []
    plan = _plan_from_tables(tables, folder, problems)
    if problems:
        raise PlanError("\n".join(f"{shown(where)}: {one}" for one in problems))
    return plan


def _syntax_sentence(message: str, text: str, where: object) -> str:
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    lines = text.splitlines()
    if found and int(found[1]) <= len(lines):
        number = int(found[1])
        what = message.replace(found[0], "").strip().rstrip(".")
        line = shown(lines[number - 1].strip()[:80])
        return f"{shown(where)}: line {number} is not TOML ({shown(what)}): {line} - correct that line."
    return f"{shown(where)}: not TOML: {shown(message)}; correct the text there."


def _plan_from_tables(tables: Mapping[str, Any], folder: Path | None, problems: list[str]) -> Plan:
    built: dict[str, Any] = {}
    known = sections()
    for name, table in tables.items():
        if name not in known:
            problems.append(_unknown_section(name, table))
        elif not isinstance(table, dict):
            problems.append(
                f"{name} is {value_shown(table)}, but must be a section: write [{name}] on a line."
            )
    for name, holder in known.items():
        table = tables.get(name)
        built[name] = (
            holder(**_section_values(name, table, folder, problems)) if isinstance(table, dict) else holder()
        )
    return Plan(**built)


def _unknown_section(name: str, value: Any) -> str:
    name = shown(name)
    if not isinstance(value, dict):
        near = nearest_key(name)
        hint = _under(near) if near else "every key stands under a section such as [network]"
        return f"unknown key {name}; {hint}."
    near_section = difflib.get_close_matches(name, sections(), 1, 0.6)
    if near_section:
        return f"unknown section [{name}]; did you mean [{near_section[0]}]?"
    return f"unknown section [{name}]; known are {', '.join(sections())}."


def _under(key: str) -> str:
    section, _, name = key.rpartition(".")
    return (
        f"write {name} under [{section}]"
        if section not in FOLDER_TYPES
        else f"write {name} under [[{section}]]"
    )


def _section_values(
    prefix: str, table: Mapping[str, Any], folder: Path | None, problems: list[str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{prefix}.{name}"
        if key not in FIELDS:
            problems.append(_unknown_key(prefix, name))
        elif key in FOLDER_TYPES:
            values[name] = _folders(key, value, folder, problems)
        elif (sentence := problem(key, value)) is not None:
            problems.append(sentence)
        else:
            values[name] = _resolved(key, normal(key, value), folder)
    return values


def _unknown_key(prefix: str, name: str) -> str:
    unknown = shown(f"{prefix}.{name}")
    near = nearest_key(f"{prefix}.{name}")
    if near is None:
        names = [key.rpartition(".")[2] for key in FIELDS if key.rpartition(".")[0] == prefix]
        return f"unknown key {unknown}; known in [{prefix}] are {', '.join(names)}."
    return f"unknown key {unknown}; did you mean {near}?"


def _folders(key: str, value: Any, folder: Path | None, problems: list[str]) -> tuple[Any, ...]:
    holder = FOLDER_TYPES[key]
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        problems.append(
            f"{key} is {value_shown(value)}, but must be tables; "
            f'write [[{key}]] and under it path = "a folder".'
        )
        return ()
    found = []
    for number, one in enumerate(value, start=1):
        before = len(problems)
        values = _section_values(key, one, folder, problems)
        if len(problems) == before and "path" not in values:
            problems.append(f'[[{key}]] number {number} has no path; write path = "the folder of pictures".')
        if len(problems) == before:
            found.append(holder(**values))
    return tuple(found)


def _resolved(key: str, value: Any, folder: Path | None) -> Any:
    """A path made absolute: `~` is the home folder, a relative path starts at the plan file's folder."""
    if not isinstance(value, str) or not value:
        return value
    is_folder, is_model = key.endswith(".folders.path"), key in ("base.model", "base.vae")
    if not (is_folder or is_model):
        return value
    if folder is None:
        return value
    if value.startswith("~"):
        value = os.path.expanduser(value)  # noqa: PTH111 - an unknown ~user stays as it is instead of raising
    if Path(value).is_absolute():
        return value
    if is_model and not _is_model_path(value, folder):
        return value
    return os.path.normpath(folder / value)


def _is_model_path(value: str, folder: Path) -> bool:
    """Whether a base's name is a path; else it is a hub name, a short name or a file in the bases folder."""
    if value.startswith("."):
        return True
    ends_as_file = value.endswith(".safetensors")
    if "/" in value:
        return ends_as_file or (folder / value).exists()
    return ends_as_file and (folder / value).exists()


def changed(plan: Plan, key: str, value: Any) -> Plan:
    """The plan with one value changed; PlanError for an unknown key or a bad value."""
    return with_changes(plan, {key: value})


def with_changes(plan: Plan, changes: Mapping[str, Any]) -> Plan:
    """The plan with several values changed; PlanError names every unknown key and bad value."""
    _refuse_bad(changes)
    for key, value in changes.items():
        section, name = key.split(".")
        part = dataclasses.replace(getattr(plan, section), **{name: normal(key, value)})
        plan = dataclasses.replace(plan, **{section: part})
    return plan


def _refuse_bad(changes: Mapping[str, Any]) -> None:
    problems = []
    for key, value in changes.items():
        if key.count(".") != 1 or key not in FIELDS:
            near = nearest_key(key)
            problems.append(f"unknown key {shown(key)}" + (f"; did you mean {near}?" if near else "."))
        elif key in FOLDER_TYPES:
            holder = FOLDER_TYPES[key]
            if not isinstance(value, (list, tuple)) or not all(isinstance(one, holder) for one in value):
                problems.append(f"{key} is {value_shown(value)}, but must be a tuple of {holder.__name__}.")
                continue
            for one in value:
                pairs = (
                    (f"{key}.{entry.name}", getattr(one, entry.name)) for entry in dataclasses.fields(holder)
                )
                problems += [sentence for pair in pairs if (sentence := problem(*pair))]
        elif (sentence := problem(key, value)) is not None:
            problems.append(sentence)
    if problems:
        raise PlanError("\n".join(problems))


def _regularized(plan: Plan) -> bool:
    return bool(plan.regularization.folders) or plan.regularization.prior_prediction


# Values that mean nothing while another stands as it does: left out of a file while they are the default.
_MEANINGLESS = {
    "base.vae": lambda plan: True,
    "captions.prefix": lambda plan: True,
    "pictures.leave_out": lambda plan: True,
    "captions.keep_tokens": lambda plan: not plan.captions.shuffle,
    "regularization.ratio": lambda plan: not _regularized(plan),
    "regularization.weight": lambda plan: not _regularized(plan),
    "network.conv_rank": lambda plan: plan.network.targets != "locon",
    "network.conv_alpha": lambda plan: plan.network.targets != "locon",
    "optimizer.text_encoder_learning_rate": lambda plan: not plan.network.train_text_encoders,
    "optimizer.text_encoder_2_learning_rate": lambda plan: not plan.network.train_text_encoders,
    "optimizer.restarts": lambda plan: plan.optimizer.scheduler != "restarts",
    "loss.multires_noise_discount": lambda plan: plan.loss.multires_noise_iterations == 0,
    "output.name": lambda plan: True,
}


def write_plan(plan: Plan, *, head: str = "") -> str:
    """The plan as TOML: every value that means something, each with a comment unless its name says it all.

    `head` is put on top as comment lines. Reading the text gives the same plan. Raises PlanError for values
    that no file may hold (a rank of 0, a path that is not UTF-8).
    """
    _refuse_bad({key: value_of(plan, key) for key in FIELDS if key.count(".") == 1})
    opening = head or "A lorasmith plan. Train it with: lorasmith train THIS_FILE"
    blocks = ["\n".join(f"# {line}".rstrip() for line in opening.splitlines())]
    for section in sections():
        lines = _section_lines(plan, section)
        if lines:
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _section_lines(plan: Plan, section: str) -> list[str]:
    pairs: list[tuple[str, str]] = []
    for key in FIELDS:
        if key.rpartition(".")[0] != section or key in FOLDER_TYPES:
            continue
        value = value_of(plan, key)
        if key in _MEANINGLESS and value == default_of(key) and _MEANINGLESS[key](plan):
            continue
        pairs.append((f"{key.rpartition('.')[2]} = {toml_value(key, value)}", comment_for(plan, key)))
    folders = f"{section}.folders"
    tables = _folder_lines(folders, getattr(plan, section).folders) if folders in FOLDER_TYPES else []
    if section == "pictures" and not tables:
        tables = [
            "",
            "# [[pictures.folders]]",
            '# path = "my pictures"  # one such pair of lines for each folder or .zip',
        ]
    if not pairs and not tables:
        return []
    return [f"# {SECTIONS[section]}", f"[{section}]", *_with_comments(pairs), *tables]


def _folder_lines(key: str, folders: Iterable[Any]) -> list[str]:
    lines: list[str] = []
    for number, one in enumerate(folders):
        pairs = []
        for entry in dataclasses.fields(one):
            name = f"{key}.{entry.name}"
            comment = FIELDS[name].short if number == 0 else ""
            pairs.append((f"{entry.name} = {toml_value(name, getattr(one, entry.name))}", comment))
        lines += ["", f"[[{key}]]", *_with_comments(pairs)]
    return lines


def _with_comments(pairs: list[tuple[str, str]]) -> list[str]:
    """Comments stand in a column behind the values; where one does not fit, on the line above."""
    short = [len(text) for text, comment in pairs if comment and "\n" not in text and len(text) <= 40]
    column = max(short, default=0) + 2
    lines = []
    for text, comment in pairs:
        if not comment:
            lines.append(text)
        elif "\n" in text or len(text) + 2 + len(comment) + 2 > _WIDTH:
            lines += [f"# {comment}", text]
        else:
            lines.append(f"{text:<{column}}# {comment}" if len(text) < column else f"{text}  # {comment}")
    return lines


def comment_for(plan: Plan, key: str) -> str:
    """The comment beside a value: its meaning, with the figure that follows from alpha and rate."""
    if key == "network.alpha":
        below = "sqrt(rank)" if plan.network.rslora else "rank"
        return f"scales the update by alpha/{below} = {rate_text(round(plan.network.scale(), 6))}"
    if key == "optimizer.learning_rate":
        return f"{FIELDS[key].short}; {effective_words(plan)}"
    return FIELDS[key].short


def effective_words(plan: Plan) -> str:
    """The effective rate in words: "effective rate 1e-4 x 16/32 = 5e-5"."""
    rate, network = learning_rate(plan), plan.network
    below = f"sqrt({network.rank})" if network.rslora else str(network.rank)
    product = rate_text(float(f"{effective_rate(plan):.3g}"))
    return f"effective rate {rate_text(rate)} x {rate_text(network.alpha_value)}/{below} = {product}"


def toml_value(key: str, value: Any) -> str:
    """A value as TOML text, rates as people write them (1e-4), several prompts a line each."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(
            value, ensure_ascii=False
        )  # TOML's basic strings; control characters are refused before
    if isinstance(value, float):
        return rate_text(value)
    if isinstance(value, (tuple, list)):
        if not value:
            return "[]"
        return "[\n" + "".join(f"    {toml_value(key, one)},\n" for one in value) + "]"
    return str(value)


def update_text(text: str, changes: Mapping[str, Any]) -> str:
    """A plan's text with values changed; a person's comments, order and spacing stay.

    Figures in lorasmith's own comments are brought up to date. Raises PlanError for bad TOML, keys, values.
    """
    import tomlkit
    import tomlkit.exceptions

    _refuse_bad(changes)
    try:
        document = tomlkit.parse(text)
    except tomlkit.exceptions.TOMLKitError as error:
        raise PlanError(f"The plan is not TOML: {shown(error)}; correct the text there.") from None
    for key, value in changes.items():
        section, name = key.split(".")
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        if key in FOLDER_TYPES:
            _replace_folders(table, value)
        else:
            _replace_value(table, name, tomlkit.value(toml_value(key, normal(key, value))))
    return _fresh_figures(tomlkit.dumps(document))


def _replace_value(section: Any, name: str, item: Any) -> None:
    """Sets a value; a comment behind it stays in its column if there is room."""
    from tomlkit.container import Container

    container = getattr(section, "value", None)  # a table written in several places has none
    old = container.item(name).as_string() if isinstance(container, Container) and name in section else None
    section[name] = item
    if old is not None and isinstance(container, Container) and "\n" not in old + item.as_string():
        trivia = container.item(name).trivia
        if trivia.comment:
            trivia.comment_ws = " " * max(1, len(old) + len(trivia.comment_ws) - len(item.as_string()))


def _replace_folders(section: Any, folders: Iterable[Any]) -> None:
    """Changes [[section.folders]] table by table, so that comments stay with the folder they stand beside."""
    import tomlkit
    from tomlkit.container import OutOfOrderTableProxy
    from tomlkit.items import AoT

    old = section.get("folders")
    # Written inline, or in several places of the text, it cannot be changed table by table.
    if not isinstance(old, AoT) or isinstance(section, OutOfOrderTableProxy):
        section.pop("folders", None)
        old = tomlkit.aot()
    values = [dataclasses.asdict(one) for one in folders]
    # What follows the last table (a blank line, the next section's comment) belongs to it in tomlkit.
    tail = _cut_tail(old[-1]) if len(old) else []
    while len(old) > len(values):
        del old[-1]
    for number, one in enumerate(values):
        if number == len(old):
            if number:
                old[-1].add(tomlkit.nl())
            old.append(tomlkit.table())
        for name, value in one.items():
            if old[number].get(name) != value:
                old[number][name] = value
    if values:
        for item in tail or [tomlkit.nl()]:
            old[-1].add(item)
        if "folders" not in section:
            section["folders"] = old
    else:
        section.pop("folders", None)


def _cut_tail(table: Any) -> list[Any]:
    body, tail = table.value.body, []
    while body and body[-1][0] is None:
        tail.insert(0, body.pop()[1])
    return tail


_FIGURES = re.compile(r"effective rate \S+ x \S+/\S+ = [0-9.e+-]+")
_SCALE = re.compile(r"(scales the update by alpha/)(?:sqrt\(rank\)|rank) = [0-9.e+-]+")


def _fresh_figures(text: str) -> str:
    """The figures that lorasmith's own comments state, worked out again from the text's values."""
    try:
        plan = plan_from_text(text)
    except PlanError:
        return text  # another value is still wrong: the figures cannot be known, the change itself is good
    text = _FIGURES.sub(effective_words(plan), text)
    return _SCALE.sub(lambda found: comment_for(plan, "network.alpha"), text)
