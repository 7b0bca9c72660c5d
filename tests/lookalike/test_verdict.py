"""Which figures make a word rare, taken or known."""

from __future__ import annotations

import pytest

from engine.lookalike.consistency import Consistency
from engine.lookalike.jobs import bank_job, pictures_to_draw, words_job
from engine.lookalike.words_job import judge
from engine.plan import BaseChoice, PictureFolder, Pictures, Plan, Subject


def figures(own_z: float | None, alike: float | None = 0.6, seen: int = 12) -> Consistency:
    return Consistency(seen, alike, 0.0, 0.3, own_z)


@pytest.mark.parametrize(
    ("own_z", "nearness", "verdict"),
    [
        (1.4, 0.9, "rare"), (2.9, 0.9, "unclear"), (None, 0.9, "rare"),
        (3.1, 0.5, "known"), (3.1, 0.3, "taken"), (3.1, None, "known"),
    ],
)
def test_whole_pictures_are_judged_by_their_own_look_and_their_class(own_z, nearness, verdict):
    assert judge(figures(own_z), None, 0.0, 12, nearness, None if nearness is None else 0.4) == verdict


@pytest.mark.parametrize(
    ("faces", "whole_z", "verdict"),
    [
        (figures(5.0, alike=0.7), 0.0, "known"),
        (figures(5.0, alike=0.3), 0.0, "rare"),  # alike, but less than one person's pictures would be
        (figures(5.0, alike=0.3), 4.0, "taken"),  # many faces in one uniform
        (figures(5.0, alike=0.7, seen=5), 4.0, "taken"),  # most pictures show no face
        (figures(None, alike=None, seen=0), 4.0, "taken"),
        (figures(None, alike=None, seen=0), 0.0, "rare"),
    ],
)
def test_a_person_s_word_is_known_by_a_face_that_stays_the_same(faces, whole_z, verdict):
    assert judge(figures(whole_z), faces, 0.5, 12, 0.1, 0.4) == verdict


def test_what_is_to_be_drawn_is_counted_beforehand(tmp_path):
    plan = Plan(
        subject=Subject("person", "ohwx", "woman"), pictures=Pictures((PictureFolder(str(tmp_path)),)),
        base=BaseChoice("sdxl-1.0"),
    )  # fmt: skip
    assert pictures_to_draw(words_job(plan)) == 12 * 11 + 12
    names = [f"Name {at}" for at in range(100)]
    assert pictures_to_draw(bank_job(plan, names)) == 100 * 4 + 12 * 8 + 16 * 12 + 120
