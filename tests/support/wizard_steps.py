"""One step of the wizard, or a few, alone in the app: its draft saved as the wizard saves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from painted_pictures import painted_folder
from pilots import until
from textual.pilot import Pilot

from tui.app import LorasmithApp
from tui.draft import Draft, Keeper
from tui.steps import recipe
from tui.steps.step import Step
from tui.steps.wizard import WizardJourney


def draft_of(kind: str, folder: Path, class_prompt: str, base: str = "demo") -> Draft:
    """A draft called bear, of the pictures in `folder`, with the trigger ohwx."""
    made = recipe.new_draft(kind).with_text("output.name", "bear").with_folders(str(folder))
    return made.with_plan(
        {"subject.instance_prompt": "ohwx", "subject.class_prompt": class_prompt, "base.model": base}
    )


def painted_draft(kind: str, folder: Path, class_prompt: str, base: str = "demo") -> Draft:
    """As above, of five painted pictures that are made there."""
    return draft_of(kind, painted_folder(folder, 5), class_prompt, base)


@asynccontextmanager
async def opened(
    draft: Draft, steps: Sequence[Step[Draft]], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[None], WizardJourney]]:
    """The first of these steps on the screen."""
    keeper = Keeper()
    journey = WizardJourney(draft, steps, save=keeper, keeper=keeper)
    app = LorasmithApp()
    async with app.run_test(size=size) as pilot:
        await until(pilot, "q leave")
        app._show_in("plan", journey.screen(0))
        await until(pilot, f"1▸{steps[0].title}")
        yield pilot, journey
