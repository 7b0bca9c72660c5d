"""The wizard's captions: read and mended by keys alone, nothing a person wrote lost or overwritten."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from painted_words import photographs
from PIL import Image
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.caption.journal import operations
from engine.caption.plan import CaptionPlan, caption_toml
from engine.runs.folder import create_run
from tui.app import LorasmithApp
from tui.draft import Draft, Keeper, list_drafts, read_draft
from tui.steps import recipe
from tui.steps.captions import CaptionsScreen, captions_missing
from tui.steps.captions_book import typing_of
from tui.steps.step import Step
from tui.steps.wizard import WizardJourney

pytestmark = pytest.mark.asyncio
SIZES = [(80, 24), (160, 50)]
TEXTS = ("a bear on a red ground", "a bear in the snow", "a bear in the grass, pencil sketch", "", "a bear in the snow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five painted pictures; the fourth has no caption, the second and fifth say the same."""
    place = photographs(tmp_path / "bear", "bear", 5)
    for picture, text in zip(sorted(place.glob("*.png")), TEXTS, strict=True):
        if text:
            picture.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
        else:
            picture.with_suffix(".txt").unlink(missing_ok=True)
    return place


def draft_of(folder: Path) -> Draft:
    draft = recipe.new_draft("object").with_text("output.name", "bear").with_folders(str(folder))
    return draft.with_plan({"subject.instance_prompt": "ohwx", "subject.class_prompt": "bear", "base.model": "demo"})


@asynccontextmanager
async def opened(draft: Draft, size: tuple[int, int] = (80, 24)):
    """The step alone, its draft saved as the wizard saves it."""
    keeper = Keeper()
    journey = WizardJourney(
        draft, [Step("captions", "Captions", captions_missing, CaptionsScreen)], save=keeper, keeper=keeper
    )
    app = LorasmithApp()
    async with app.run_test(size=size) as pilot:
        await until(pilot, "see it work")
        app.show_journey(journey)
        await until(pilot, "1▸Captions")
        await holds(pilot, lambda: isinstance(app.screen, CaptionsScreen) and app.screen.ready, "the captions are read")
        yield pilot, journey


def said(folder: Path) -> list[str]:
    """What the caption files say, in the pictures' order; "-" where there is none."""
    files = [picture.with_suffix(".txt") for picture in sorted(folder.glob("*.png"))]
    return [file.read_text("utf-8").strip() if file.exists() else "-" for file in files]


@pytest.mark.parametrize("size", SIZES)
async def test_picture_and_text_stand_beside_each_other_and_all_of_it_fits(folder, size):
    async with opened(draft_of(folder), size) as (pilot, _):
        text = await until(pilot, "5 pictures, 1 without a caption, 5 with a problem", "a bear on a red ground", "▀")
        assert "1 of 5, 6 tokens" in text
        assert "enter edit" in text.replace("⏎", "enter") and "c write" in text and "u undo" in text
        await pilot.press("down")
        await until(pilot, "2 of 5", "Says the same as")
