"""Pieces of work side by side: in order, no further ahead than they may be, and ended together."""

from __future__ import annotations

import os
import threading
import time

import pytest
import torch

from engine.base.threads import TINY_MODEL_BYTES, fit_at_once, in_order


def nothing():
    pass


def test_a_large_base_a_card_and_a_person_who_says_how_many_threads_have_one_batch_at_a_time(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert fit_at_once(TINY_MODEL_BYTES, cpu) == fit_at_once(1, torch.device("cuda")) == 1
    for cores, expected in (({0}, 1), ({0, 1, 2}, 3), (set(range(64)), 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert fit_at_once(1, cpu) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert fit_at_once(1, cpu) == 1


def test_results_come_in_the_items_order_whichever_is_ready_first():
    def work(item, brake):
        time.sleep(0.05 if item % 2 == 0 else 0)
        return item

    assert list(in_order(work, range(6), 3, nothing)) == list(range(6))
    assert list(in_order(work, [], 3, nothing)) == []


def test_no_more_is_begun_than_fits_and_a_stop_is_asked_for_before_each_result():
    begun, asked = [], []
    results = in_order(lambda item, brake: begun.append(item), range(20), 2, lambda: asked.append(len(begun)))
    for taken in range(1, 6):
        next(results)
        time.sleep(0.02)  # whoever takes them is slow, or paused
        assert len(begun) <= taken + 2 and len(asked) >= taken
    results.close()
    assert len(begun) <= 8 and not [one for one in threading.enumerate() if one.name.startswith("in-order")]


def test_an_error_passes_on_and_the_others_are_stopped_by_their_brake():
    beside, braked = threading.Event(), threading.Event()

    def work(item, brake):
        if item == 0:
            assert beside.wait(60)
            raise ValueError("the first")
        try:
            beside.set()
            while True:
                brake()
                time.sleep(0.01)
        except BaseException:
            braked.set()
            raise

    with pytest.raises(ValueError, match="the first"):
        list(in_order(work, range(4), 2, nothing))
    assert braked.is_set()
