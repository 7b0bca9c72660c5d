"""The trainings that prove the choice: each is a sound plan of its own, and no two of them are one."""

from __future__ import annotations

from engine.lab.overfit import TRIALS, overfit_plan
from engine.plan_file import plan_from_text, write_plan


def test_each_trial_is_a_plan_by_its_program():
    for trial in TRIALS:
        plan, program = overfit_plan(trial), trial.program
        assert plan_from_text(write_plan(plan)) == plan
        assert plan.optimizer.learning_rate == program.rate and plan.length.epochs == program.epochs
        assert [folder.repeats for folder in plan.pictures.folders] == [program.repeats]
        assert plan.machine.seed == trial.seed and plan.length.save_every_epochs == 1


def test_ten_trials_of_three_subjects_each_by_several_programs():
    assert len({trial.name for trial in TRIALS}) == len(TRIALS) == 10
    programs = {name: {t.program for t in TRIALS if t.subject == name} for name in {t.subject for t in TRIALS}}
    assert len(programs) == 3 and min(map(len, programs.values())) >= 3
    assert len({trial.program.epochs for trial in TRIALS}) > 1 and len({trial.program.rate for trial in TRIALS}) > 1
