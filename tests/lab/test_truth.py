"""Overtraining on the small base, with ground truth: fidelity rises and stays, flexibility falls."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_runs import forked

from engine.lab.truth import Truth, TruthTeller, table


def test_the_untouched_base_is_flexible_and_knows_no_fox():
    truth = TruthTeller("fox", "ohwx", "animal", count=4, steps=10).tell(None)
    assert truth.fidelity < 0.3 and truth.flexibility > 0.9, truth


def test_flexibility_is_the_mean_of_its_parts():
    truth = Truth(fidelity=0.8, ground=1.0, style=0.5, class_word=0.0, others=0.5)
    assert truth.flexibility == 0.5
    assert table([("epoch 1", truth)]).splitlines()[-1] == "| epoch 1 | 0.80 | 50% | 100% | 50% | 0% | 50% |"


@pytest.mark.slow
def test_the_demo_trained_past_its_best_gains_the_subject_and_loses_freedom(own_home: Path):
    from dataclasses import replace

    from engine.demo import copy_pictures, demo_plan
    from engine.plan_file import write_plan
    from engine.runs.folder import create_run
    from engine.runs.job import run_job
    from engine.train.recipe import run

    plan = demo_plan()
    folder = create_run("demo", write_plan(replace(plan, samples=replace(plan.samples, prompts=()))))
    copy_pictures(folder.path)
    assert forked(lambda: run_job(folder, run)) == 0

    teller = TruthTeller("fox", "ohwx", "animal")
    truths = [teller.tell(None)] + [teller.tell(path) for path in sorted(folder.checkpoints.iterdir())]
    fidelity, flexibility = [t.fidelity for t in truths], [t.flexibility for t in truths]
    shown = table([(f"epoch {at}", truth) for at, truth in enumerate(truths)])
    # The order that is often claimed: the subject is there by epoch 4, hardly nearer at 10; freedom is lost for good.
    assert fidelity[0] < 0.3 and fidelity[4] > 0.7, shown
    assert abs(fidelity[10] - max(fidelity[4:])) < 0.1, shown
    assert flexibility[0] > 0.9 and max(flexibility[5:]) < flexibility[0] - 0.1, shown
    assert flexibility[1] > flexibility[10], shown
