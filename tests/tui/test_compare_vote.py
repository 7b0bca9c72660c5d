"""Blind votes: pairs without names, votes that enter the result, which is told at the end."""

from __future__ import annotations

import json

import pytest
from pilots import holds, text_of, until

from engine.compare.again import unvote, vote_all, votes_of
from engine.compare.report import read_report
from engine.select.record import read_votes
from tui.app import LorasmithApp
from tui.compare.vote import VoteView

pytestmark = pytest.mark.asyncio


def opened(run, size=(80, 24)):
    return LorasmithApp(run, look_seconds=0.05).run_test(size=size)


def pairs(run) -> list:
    return json.loads((run.compare / "report.json").read_text("utf-8"))["ask"]


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_nothing_tells_which_is_which(comparison_run, size):
    run = comparison_run("too_close")
    async with opened(run, size) as pilot:
        await until(pilot, "too close to call", "4 Vote 5 pairs")
        await pilot.press("4")
        text = await until(pilot, "← left", "your photograph", "right →", "pair 1 of 5", "▀")
        assert "The choice is hidden while you vote." in text
        assert "epoch" not in text.lower() and "too close" not in text


async def test_a_round_of_votes_enters_the_result_which_is_told_at_its_end(comparison_run):
    run = comparison_run("too_close")
    asked = pairs(run)
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        # Whatever the side, the vote is for the later epoch; one is skipped, one is no difference.
        for number, (left, right) in enumerate(asked):
            await until(pilot, f"pair {number + 1} of 5")
            key = "s" if number == 1 else "equals_sign" if number == 2 else "left" if left > right else "right"
            await pilot.press(key)
        text = await until(pilot, "4 votes cast.", "Before: epoch 3: too close to call", "Now: epoch")
        assert "The result has" in text
    votes = read_votes(run.compare / "votes.jsonl")
    assert len(votes) == 4 and sum(vote.better is None for vote in votes) == 1
    assert all(vote.better is None or vote.better == max(vote.left, vote.right) for vote in votes)
    assert read_report(run.compare).votes == 4


async def test_the_last_vote_is_taken_back_and_its_pair_asked_again(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        assert "take back" not in await until(pilot, "pair 1 of 5")
        await pilot.press("left", "right", "s")
        await until(pilot, "pair 4 of 5, 2 votes cast", "u take back")
        await pilot.press("u")
        await until(pilot, "pair 2 of 5, 1 vote cast", "Taken back. 1 vote left.")
        await pilot.press("left", "u", "u", *["right"] * 5)  # typed ahead: each meets what the one before has left
        await until(pilot, "5 votes cast.")
        await pilot.press("u")
        await until(pilot, "pair 5 of 5, 4 votes cast", "Taken back. 4 votes left.")
    first, *others = read_votes(run.compare / "votes.jsonl")
    assert len(others) == 3 and all(vote.better == vote.right for vote in (first, *others))


async def test_votes_of_another_day_are_taken_back_too_each_window_its_own_first(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        await pilot.press("left")
        await until(pilot, "pair 2 of 5, 1 vote cast")
        vote_all(run.compare, votes_of("5=6"))  # the other window's
        await pilot.press("u")
        await until(pilot, "pair 1 of 5", "Taken back. 1 vote left.")
        assert [vote.better for vote in read_votes(run.compare / "votes.jsonl")] == [None]
        await pilot.press("u")
        await until(pilot, "Taken back. 0 votes left.")
        await holds(pilot, lambda: "take back" not in text_of(pilot), "nothing left to take back")
    assert not read_votes(run.compare / "votes.jsonl") and read_report(run.compare).votes == 0


async def test_a_vote_that_another_window_took_back_is_not_said_to_be_taken_back(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        await pilot.press("left")
        await holds(pilot, lambda: read_votes(run.compare / "votes.jsonl"), "the vote written")
        unvote(run.compare)
        await pilot.press("u")
        text = await until(pilot, "pair 1 of 5", "That vote was taken back already. 0 votes left.")
        assert "Taken back." not in text


async def test_a_further_round_asks_what_is_still_open(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        await pilot.press(*"sssss")
        await until(pilot, "The round is over without a vote", "enter asks about 5 more pairs")
        await pilot.press("enter")
        await until(pilot, "pair 1 of 5")


async def test_other_prompts_of_the_same_pair(comparison_run):
    async with opened(comparison_run("too_close")) as pilot:
        await pilot.press("4")
        first = await until(pilot, "other prompts (1 of ")
        await pilot.press("down")
        second = await until(pilot, "other prompts (2 of ", "pair 1 of 5")
        assert first.splitlines()[4] != second.splitlines()[4]
        await pilot.press("up", "up")
        await until(pilot, "pair 1 of 5")


async def test_a_vote_that_cannot_be_written_is_said_and_not_counted(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        (run.compare / "votes.jsonl").mkdir()
        await pilot.press("left")
        await until(pilot, "pair 2 of 5", "could not be written")
        view = pilot.app.screen.query_one(VoteView)
        await holds(pilot, lambda: view.ballot.cast == 0 and not view.pending, "the vote taken back")


async def test_keys_typed_ahead_are_all_counted(comparison_run):
    run = comparison_run("too_close")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "pair 1 of 5")
        await pilot.press(*["left"] * 5)
        await until(pilot, "5 votes cast.")
        await pilot.press("left", "right", "s")  # the round is over: nothing more is cast
        assert "5 votes cast." in text_of(pilot)
    assert len(read_votes(run.compare / "votes.jsonl")) == 5


async def test_a_clear_choice_asks_nothing(comparison_run):
    async with opened(comparison_run()) as pilot:
        await pilot.press("4")
        text = await until(pilot, "There is nothing to vote on: the measures are sure enough")
        assert "left is better" not in text
