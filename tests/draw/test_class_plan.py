"""How many class pictures a plan wants, in which shapes, from which prompts: worked out by hand here."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image

from engine.dataset.buckets import bucket_rules
from engine.dataset.class_text import prior_text, without_trigger
from engine.draw.class_advice import class_advice
from engine.draw.class_plan import class_orders, class_prompts, drawn_size, filled, needed
from engine.draw.class_settings import drawing_job, job_text, read_class_job
from engine.errors import DatasetError, PlanError
from engine.estimate import plan_report
from engine.plan import KINDS, BaseChoice, PictureFolder, Pictures, Plan, Regularization, Subject


@pytest.fixture
def plan(tmp_path):
    """Three square pictures and one wide, five times each: 15 and 5 items an epoch."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for index, size in enumerate([(64, 64), (64, 64), (70, 70), (80, 48)]):
        Image.new("RGB", size, (index, 0, 0)).save(folder / f"{index}.png")
    for index, text in enumerate(["an ohwx dog at sea", "ohwx dog, in the snow", "an ohwx dog at sea"]):
        (folder / f"{index}.txt").write_text(text, encoding="utf-8")
    return Plan(
        subject=Subject("animal", "ohwx", "dog"),
        pictures=Pictures(folders=(PictureFolder(str(folder), 5),)),
        base=BaseChoice(model="demo"),
    )


def report(plan):
    return plan_report(plan, native_resolution=64, native_step=16)


def test_an_epoch_takes_one_for_each_item_in_the_buckets_own_proportions(plan):
    need = needed(plan, report(plan))
    assert dict(need.shapes) == {(64, 64): 15, (80, 48): 5} and need.pictures == 20
    assert need.sentence == (
        "20 class pictures: 4 pictures with repeats make 20 an epoch, and one for each makes 20; each is met once an "
        "epoch, 10 times in all."
    )
    half = needed(replace(plan, regularization=Regularization(ratio=0.5)), report(plan))
    assert half.pictures == 10 and "0.5 for each makes 10" in half.sentence
    few = needed(plan, report(plan), 3)
    assert dict(few.shapes) == {(64, 64): 2, (80, 48): 1}
    assert few.sentence.endswith("each is met about 6.7 times an epoch.")


def test_nothing_to_train_and_nothing_wanted_are_said(plan, tmp_path):
    (tmp_path / "empty").mkdir()
    empty = replace(plan, pictures=Pictures(folders=(PictureFolder(str(tmp_path / "empty")),)))
    with pytest.raises(DatasetError, match="hold no usable picture"):
        needed(empty, report(empty))
    with pytest.raises(PlanError, match=r"regularization\.ratio is 0"):
        needed(replace(plan, regularization=Regularization(ratio=0)), report(plan))


def test_prompts_come_from_captions_from_the_kinds_file_or_from_a_persons_own(plan, tmp_path):
    found = report(plan)
    assert class_prompts(plan, found) == ("a dog at sea", "dog, in the snow")
    assert class_prompts(plan, found, "class") == ("dog",)
    own = tmp_path / "prompts.txt"
    own.write_text("# mine\na {class} on the moon\n\n{class}\n", encoding="utf-8")
    assert class_prompts(plan, found, own) == ("a dog on the moon", "dog")
    varied = class_prompts(plan, found, "varied")
    assert len(varied) == 20 and all("dog" in prompt and "{" not in prompt for prompt in varied)
    called_otherwise = replace(plan, subject=Subject("animal", "zwx", "dog"))
    assert class_prompts(called_otherwise, found) == varied  # no caption holds the trigger
    with pytest.raises(PlanError, match="No caption"):
        class_prompts(called_otherwise, found, "captions")
    with pytest.raises(PlanError, match="class_prompt is empty"):
        class_prompts(replace(plan, subject=Subject("animal", "ohwx", " ")), found)
    with pytest.raises(PlanError, match="cannot be read"):
        class_prompts(plan, found, tmp_path / "none.txt")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_prompts_with_its_class_in_each(plan, kind):
    prompts = class_prompts(replace(plan, subject=Subject(kind, "ohwx", "owl")), report(plan), "varied")
    assert len(prompts) >= 20 and all("owl" in prompt and "a owl" not in prompt for prompt in prompts)


def test_a_prompt_file_without_a_prompt_is_refused():
    with pytest.raises(PlanError, match="holds no prompt"):
        filled("# only words\n", "dog", "mine.txt")


def test_the_nth_picture_of_a_prompt_in_a_shape_is_always_the_same(plan):
    found = report(plan)
    prompts, rules = class_prompts(plan, found), bucket_rules(plan.pictures, 64, 16)

    def orders(count):
        return class_orders(needed(plan, found, count), prompts, rules, native=64, step=16, steps=8)

    few, many = orders(8), orders(40)
    assert len(set(many)) == 40 and set(few) <= set(many)
    assert len({order.seed for order in many}) == 40
    assert Counter(order.prompt for order in many) == {prompt: 20 for prompt in prompts}


def test_a_plan_far_below_the_bases_size_draws_large_and_trains_small(plan):
    low = bucket_rules(Pictures(resolution=512))
    assert drawn_size((512, 512), low, 1024, 64) == (1024, 1024)
    wide = drawn_size((640, 384), low, 1024, 64)
    assert wide[0] > 1000 and wide[0] % 64 == 0 == wide[1] % 64
    assert drawn_size((960, 1088), bucket_rules(Pictures()), 1024, 64) == (960, 1088)


def test_the_jobs_file_says_all_of_it(plan, tmp_path):
    found = report(plan)
    orders = class_orders(
        needed(plan, found), class_prompts(plan, found), bucket_rules(plan.pictures, 64, 16), native=64, step=16,
        negative='a "quoted" word', cfg=4.5,
    )  # fmt: skip
    job = drawing_job(plan, orders)
    path = tmp_path / "job.toml"
    path.write_text(job_text(job), encoding="utf-8")
    again = read_class_job(path)
    assert set(again.orders) == set(orders) and again.base == plan.base and again.captioned
    assert job_text(again) == path.read_text(encoding="utf-8")
    path.write_text("kind = 'regularize'\n", encoding="utf-8")
    with pytest.raises(PlanError, match="cannot be read as a job of class pictures"):
        read_class_job(path)


@pytest.mark.parametrize(("caption", "expected"), [
    ("an ohwx dog at sea", "a dog at sea"),
    ("photo of ohwx on a chair", "photo of dog on a chair"),
    ("An OHWX dog and a ohwx dog", "A dog and a dog"),
    ("two sohwxy dogs", None),
    ("a dog", None),
])  # fmt: skip
def test_the_class_takes_the_triggers_place(caption, expected):
    assert without_trigger(caption, "ohwx", "dog") == expected
    assert prior_text(caption, "ohwx", "dog") == (expected or "dog")


def test_a_trigger_that_holds_the_class_is_replaced_whole():
    assert without_trigger("an ohwx dog runs", "ohwx dog", "dog") == "a dog runs"
    assert without_trigger("a ohwx animal", "ohwx", "animal") == "an animal"
    assert prior_text("Dog", "ohwx", "dog") is None  # it cannot be trained and kept at once


@pytest.mark.parametrize(("kind", "way"), [("person", "prior"), ("object", "prior"), ("style", "none")])
def test_the_advice_names_a_way_and_what_all_of_them_cost(plan, kind, way):
    advice = class_advice(replace(plan, subject=Subject(kind, "ohwx", "dog")), report(plan), "NVIDIA GeForce RTX 4090")
    assert advice.way == way
    costs = {one.way: one for one in advice.ways}
    assert costs["none"].epoch == 1 and costs["drawn"].epoch == 2
    assert costs["prior"].epoch == pytest.approx(2.4, abs=0.2)
    assert costs["drawn"].pictures == 20 and costs["drawn"].seconds > 0 and costs["prior"].seconds is None
    if way == "prior":
        assert f"{costs['prior'].epoch:.1f} times as long" in advice.sentence
