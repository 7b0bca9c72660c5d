"""Plan files: what is written reads back the same, every mistake is named, a person's comments stay."""

from __future__ import annotations

import dataclasses
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PlanError
from engine.plan import ClassFolder, Network, PictureFolder, Plan
from engine.plan_fields import FIELDS
from engine.plan_file import (
    changed,
    plan_from_text,
    read_plan,
    update_text,
    with_changes,
    write_plan,
)
from engine.plan_values import FOLDER_TYPES, default_of, problem, rate_text, value_of, value_types

TEXTS = [
    "",
    "ohwx woman",
    'a "quoted" \\ word',
    "Ünïcödé 犬 🐕",
    "# no comment",
    "a, b, c",
    "[x]",
    "''' \"\"\"",
    " x ",
]
PATHS = ["pictures", "/data/my pictures/#1", "~/pics.zip", "../up/ohwx", "C:\\pics", "bilder für később"]


def random_value(key: str, dice: random.Random) -> Any:
    if key in FOLDER_TYPES:
        holder = FOLDER_TYPES[key]
        names = [entry.name for entry in dataclasses.fields(holder)]
        return tuple(
            holder(**{name: random_value(f"{key}.{name}", dice) for name in names})
            for _ in range(dice.randrange(4))
        )
    entry, allowed = FIELDS[key], value_types()[key]
    kinds: list[Any] = [*sorted(allowed.types, key=str), *allowed.words]
    choice = dice.choice(kinds)
    if choice is bool:
        return dice.random() < 0.5
    if choice is int:
        return dice.choice(
            [int(entry.low or 0), int(entry.high or 0), dice.randint(int(entry.low or 0), 4000)]
        )
    if choice is float:
        low, high = entry.low or 0.0, entry.high or 1.0
        return float(
            dice.choice([high, 10 ** dice.uniform(-7, 0), round(dice.uniform(low, high), 3) or high])
        )
    if choice is tuple:
        return tuple(dice.choice(TEXTS) for _ in range(dice.randrange(4)))
    if choice is str and entry.pattern:
        return {"pictures.background": "#12aBc9", "captions.extension": ".tags"}.get(key, "my LoRA v2")
    if choice is str:
        return dice.choice(PATHS if key.endswith(".path") else TEXTS)
    return choice


def random_plan(dice: random.Random) -> Plan:
    plan = Plan()
    for key in FIELDS:
        if key.count(".") == 1 and dice.random() < 0.7:
            value = random_value(key, dice)
            if key in FOLDER_TYPES or problem(key, value) is None:
                plan = with_changes(plan, {key: value})
    return plan


def test_a_written_plan_reads_back_the_same() -> None:
    dice = random.Random(1)
    for _ in range(150):
        plan = random_plan(dice)
        text = write_plan(plan)
        assert plan_from_text(text) == plan
        assert all(len(line) <= 110 or "=" in line for line in text.splitlines())


def test_the_default_plan_has_a_comment_beside_rank_alpha_and_rate_with_the_effective_rate() -> None:
    text = write_plan(with_changes(Plan(), {"network.alpha": 8, "optimizer.learning_rate": 2e-4}))
    assert "learning_rate = 2e-4" in text
    assert "effective rate 2e-4 x 8/32 = 5e-5" in text  # 2e-4 * 8 / 32
    assert "alpha = 8" in text and "alpha/rank = 0.25" in text


def test_figures_in_comments_follow_a_change() -> None:
    text = update_text(write_plan(Plan()), {"network.alpha": 4, "network.rslora": True, "network.rank": 16})
    assert "effective rate 1e-4 x 4/sqrt(16) = 1e-4" in text
    assert "alpha/sqrt(rank) = 1" in text


def test_changing_a_text_equals_changing_the_plan() -> None:
    dice = random.Random(2)
    for _ in range(60):
        plan = random_plan(dice)
        text = write_plan(plan)
        target = random_plan(dice)
        keys = dice.sample([key for key in FIELDS if key.count(".") == 1], 6)
        changes = {key: value_of(target, key) for key in keys}
        text = update_text(text, changes)
        assert plan_from_text(text) == with_changes(plan, changes), text


def test_changing_a_text_keeps_comments_order_and_spacing() -> None:
    text = (
        "# my plan for Rex\n\n[network]   # small\nalpha = 4\nrank=8 # enough, I hope\n\n"
        "[pictures]\nflip = true\n\n# the good ones\n[[pictures.folders]]\npath = 'a' # phone\n"
        "repeats = 2\n\n"
        "[[pictures.folders]]\npath = 'b'  # camera\n\n# last words\n[length]\nepochs = 3\n"
    )
    later = update_text(
        text,
        {
            "network.rank": 16,
            "pictures.folders": (PictureFolder("a", 3), PictureFolder("b"), PictureFolder("c")),
        },
    )
    for kept in (
        "# my plan for Rex\n\n[network]   # small\nalpha = 4\n",
        "# enough, I hope",
        "# the good ones",
    ):
        assert kept in later
    assert "path = 'a' # phone\nrepeats = 3\n\n" in later and "path = 'b'  # camera" in later
    assert later.endswith("\n# last words\n[length]\nepochs = 3\n")
    assert plan_from_text(later).pictures.folders[2] == PictureFolder("c")
    none = update_text(later, {"pictures.folders": ()})
    assert plan_from_text(none).pictures.folders == () and plan_from_text(none).length.epochs == 3


@pytest.mark.parametrize(
    "text",
    [
        'network = {rank = 8, alpha = 4}\npictures.folders = [{path = "a"}]\n',
        'network.rank = 8\n[pictures]\nfolders = [ {path="a", repeats=2}, ]\n',
        '[[pictures.folders]]\npath="x"\n[network]\nrank=4\n[[pictures.folders]]\npath="y"\n',
        '[[pictures.folders]]\npath="a"\n[length]\nepochs = 3\n[pictures]\nflip=true',
        "# only a comment",
        "",
    ],
)
def test_any_way_of_writing_a_plan_can_be_changed(text: str) -> None:
    plan = plan_from_text(text)
    for changes in (
        {"network.rank": 16},
        {"network.dropout": 0.1, "pictures.flip": False},
        {"pictures.folders": (PictureFolder("z"), PictureFolder("w", 3))},
        {"pictures.folders": ()},
        {"length.epochs": 5, "samples.prompts": ("a", "b")},
    ):
        assert plan_from_text(update_text(text, changes)) == with_changes(plan, changes)


def test_relative_pictures_lie_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    plan_file = tmp_path / "plan.toml"
    plan_file.write_text(
        '[[pictures.folders]]\npath = "pics"\n[[pictures.folders]]\npath = "~/pics"\n'
        '[[regularization.folders]]\npath = "/abs/women"\n'
        '[base]\nmodel = "models/mine"\nvae = "../vae.safetensors"\n'
    )
    plan = read_plan(plan_file)
    assert [one.path for one in plan.pictures.folders] == [
        str(tmp_path / "pics"),
        str(tmp_path / "home" / "pics"),
    ]
    assert plan.regularization.folders == (ClassFolder("/abs/women"),)
    assert plan.base.model == str(tmp_path / "models" / "mine")
    assert plan.base.vae == str(tmp_path.parent / "vae.safetensors")
    plan_file.write_text('[base]\nmodel = "owner/name"\n')
    assert (
        read_plan(plan_file).base.model == "owner/name"
    )  # a hub name: nothing of that name lies beside the plan
    plan_file.write_text('[base]\nmodel = "sdxl-1.0"\n')
    assert read_plan(plan_file).base.model == "sdxl-1.0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network]\nrank = 0", "network.rank is 0, but must be a whole number from 1 to 1024"),
        (
            "[network]\nrank = 32.0",
            "network.rank is 32.0, but must be a whole number from 1 to 1024; write 32.",
        ),
        ("[network]\nrank = true", "true and false are not numbers"),
        ("[network]\nrank = nan", "network.rank is nan"),
        ('[network]\nalpha = "16"', "write the number without quotes"),
        ("[network]\nalpha = 0", "network.alpha is 0, but must be a number above 0"),
        ("[network]\nalpha = inf", "network.alpha is inf"),
        ('[network]\nrslora = "yes"', "write true without quotes"),
        ("[network]\nrslora = 1", "network.rslora is 1, but must be true or false"),
        ('[network]\ntargets = "lokon"', 'did you mean "locon"?'),
        ("[network]\nrnak = 4", "unknown key network.rnak; did you mean network.rank?"),
        ("[network]\nnetwork_dim = 4", "did you mean network.rank?"),
        ("[network]\nlearning_rate = 4", "did you mean optimizer.learning_rate?"),
        ("[network]\nxyzzy = 4", "known in [network] are targets, rank, alpha"),
        (
            "[optimizer]\nlearning_rate = -1e-4",
            "optimizer.learning_rate is -1e-4, but must be a number above 0",
        ),
        ('[optimizer]\nlearning_rate = "automatic"', "optimizer.learning_rate"),
        ("[optimiser]\nweight_decay = 1", "unknown section [optimiser]; did you mean [optimizer]?"),
        ("[[network]]\nrank = 4", "write [network] on a line"),
        ("rank = 4", "write rank under [network]"),
        ("[captions]\nmax_tokens = 80", "captions.max_tokens is 80, but must be 75, 150 or 225"),
        ('[captions]\nmax_tokens = "75"', "write the number without quotes"),
        ('[captions]\nextension = "txt"', 'an ending such as ".txt"'),
        ('[captions]\nextension = "../x"', "captions.extension"),
        ('[captions]\nprefix = "a\\nb"', "captions.prefix"),
        ('[output]\nname = "a/b"', "output.name"),
        ('[output]\nname = "a\\u001b[2J"', r"a\u001b[2J"),
        ('[pictures]\nbackground = "white"', 'a colour such as "#ffffff"'),
        ('[pictures]\nfolders = ["a"]', "write [[pictures.folders]]"),
        ("[[pictures.folders]]\nrepeats = 2", "[[pictures.folders]] number 1 has no path"),
        ('[[pictures.folders]]\npath = ""', "pictures.folders.path"),
        ('[[pictures.folders]]\npath = "a"\nrepeats = 0', "pictures.folders.repeats is 0"),
        ('[[pictures.folders]]\npath = "a"\nnum_repeats = 2', "did you mean pictures.folders.repeats?"),
        ("[samples]\nprompts = [1]", "samples.prompts"),
        ('[samples]\nprompts = "one"', "a list of texts"),
        ("[machine]\nseed = -1", "machine.seed is -1, but must be a whole number from 0 to 2^63"),
        ("[length]\nepochs = 2026-01-01", "length.epochs is 2026-01-01"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_text(text, "my.toml")
    sentences = str(caught.value).splitlines()
    assert len(sentences) == 1 and sentences[0].startswith("my.toml: ")
    assert said in sentences[0]
    assert "\x1b" not in sentences[0]


def test_all_problems_of_a_file_are_told_together() -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_text('[network]\nrank = 0\nalpha = "x"\n[opt]\n[length]\nepochs = 0\n')
    assert len(str(caught.value).splitlines()) == 4


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "plan.toml"
    broken.write_text("[network]\nrank = 3\nalpha : 4\n")
    with pytest.raises(PlanError, match=r"line 3 .*alpha : 4"):
        read_plan(broken)
    with pytest.raises(PlanError, match="not TOML"):
        update_text("[a", {"network.rank": 3})


def test_files_that_are_no_plans_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="lorasmith plan new"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(PlanError, match="is a folder"):
        read_plan(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"[subject]\ninstance_prompt = 'caf\xe9'\n")
    with pytest.raises(PlanError, match="not UTF-8"):
        read_plan(latin)
    marked = tmp_path / "bom.toml"
    marked.write_bytes(b"\xef\xbb\xbf[network]\r\nrank = 3\r\n")
    assert read_plan(marked).network.rank == 3


def test_an_empty_text_is_the_default_plan() -> None:
    assert plan_from_text("") == Plan()


def test_changed_checks_what_it_is_given() -> None:
    assert changed(Plan(), "network.rank", 16).network == Network(rank=16)
    assert changed(Plan(), "network.alpha", 16).network.alpha == 16.0
    for key, value in (("network.rank", 0), ("network.dim", 4), ("pictures.folders", ("a",)), ("rank", 4)):
        with pytest.raises(PlanError):
            changed(Plan(), key, value)
    with pytest.raises(PlanError, match="path"):
        changed(Plan(), "pictures.folders", (PictureFolder("a\udcff"),))  # a file name that is not UTF-8


def test_every_field_of_the_plan_is_described_and_nothing_else() -> None:
    keys = set()
    for section in dataclasses.fields(Plan):
        for entry in dataclasses.fields(type(getattr(Plan(), section.name))):
            keys.add(f"{section.name}.{entry.name}")
    for folder, holder in FOLDER_TYPES.items():
        keys |= {f"{folder}.{entry.name}" for entry in dataclasses.fields(holder)}
    assert set(FIELDS) == keys
    for key, entry in FIELDS.items():
        assert entry.key == key and entry.meaning.endswith("."), key
        words = value_types()[key].words
        if entry.choices:
            assert {value for value, _ in entry.choices} == {str(word) for word in words}, key
        if {int, float} & value_types()[key].types:
            assert entry.low is not None and entry.high is not None, key
        default = default_of(key)
        if default is not None and key not in FOLDER_TYPES:
            assert problem(key, default) is None, key


def test_rates_are_written_as_people_write_them_and_exactly() -> None:
    assert [rate_text(value) for value in (1e-4, 3e-5, 0.05, 1.0, 1.5e-4, 4e-7, 0.45)] == [
        "1e-4", "3e-5", "0.05", "1", "1.5e-4", "4e-7", "0.45",
    ]  # fmt: skip
    dice = random.Random(3)
    for _ in range(2000):
        value = dice.choice([1, -1]) * 10 ** dice.uniform(-20, 20)
        assert float(rate_text(value)) == value
        assert float(tomllib.loads(f"x = {rate_text(value)}")["x"]) == value
