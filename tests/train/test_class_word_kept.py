"""The class word on the small base, with ground truth: plain training turns it into the subject; two ways keep it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from training_runs import forked

from engine.plan import ClassFolder, Regularization


def last_epoch(regularization: Regularization, name: str) -> Path:
    """The demo, trained to its end with this regularization."""
    from engine.demo import copy_pictures, demo_plan
    from engine.plan_file import write_plan
    from engine.runs.folder import create_run
    from engine.runs.job import run_job
    from engine.train.recipe import run

    plan = demo_plan()
    plan = replace(plan, samples=replace(plan.samples, prompts=()), regularization=regularization)
    folder = create_run(name, write_plan(plan))
    copy_pictures(folder.path)
    assert forked(lambda: run_job(folder, run)) == 0
    return sorted(folder.checkpoints.iterdir())[-1]


def drawn_classes() -> Path:
    """What `lorasmith regularize` draws for the demo's plan."""
    from engine.demo import copy_pictures, demo_plan
    from engine.draw.class_job import run
    from engine.draw.class_settings import class_setup, job_text, pictures_of
    from engine.plan import PictureFolder, Pictures
    from engine.runs.folder import create_run, home
    from engine.runs.job import run_job

    home().mkdir(parents=True, exist_ok=True)
    plan = demo_plan()
    plan = replace(plan, pictures=Pictures(folders=(PictureFolder(str(copy_pictures(home())), 8),)))
    folder = create_run("classes", job_text(class_setup(plan, steps=12, cfg=4.5).job), kind="regularize")
    assert forked(lambda: run_job(folder, run, verb="regularize")) == 0
    return pictures_of(folder)


@pytest.mark.slow
def test_class_pictures_and_prior_prediction_keep_the_class_word_and_the_subject():
    from engine.lab.truth import TruthTeller, table

    teller = TruthTeller("fox", "ohwx", "animal")
    files = {
        "plain": last_epoch(Regularization(), "plain"),
        "drawn class pictures": last_epoch(Regularization(folders=(ClassFolder(str(drawn_classes())),)), "drawn"),
        "prior prediction": last_epoch(Regularization(prior_prediction=True), "prior"),
    }
    truths = {name: teller.tell(file) for name, file in files.items()}
    shown = table(list(truths.items()))
    plain = truths.pop("plain")
    assert plain.class_word < 0.3, shown
    for name, truth in truths.items():
        assert truth.class_word > plain.class_word + 0.4, (name, shown)
        assert truth.fidelity > plain.fidelity - 0.08, (name, shown)
        assert truth.flexibility > plain.flexibility, (name, shown)
