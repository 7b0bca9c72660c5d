"""The wizard with four of its steps, pictures for it, and no engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from pilots import until

from tui import drafts_screen
from tui.app import LorasmithApp
from tui.steps import review, wizard

SIZES = [(80, 24), (100, 30), (160, 50)]


@pytest.fixture(autouse=True)
def four_steps(monkeypatch) -> None:
    """Subject, pictures, parameters and review, numbered 1 to 4; the steps between them have tests of their own."""
    mine = [step for step in wizard.steps() if step.id in {"subject", "pictures", "parameters", "review"}]
    for module in (wizard, drafts_screen):
        monkeypatch.setattr(module, "steps", lambda: mine)


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    """Eleven painted pictures, one of them cut by its bucket."""
    place = tmp_path_factory.mktemp("painted")
    for at in range(11):
        size = (200, 90) if at == 3 else (128, 128)
        image = Image.new("RGB", size, (20 * at, 140, 80))
        image.paste((250, 40, 10), (30, 20, 80, 70))
        image.save(place / f"{at}.png")
    return place


@pytest.fixture
def pictures(painted, tmp_path) -> Path:
    return Path(shutil.copytree(painted, tmp_path / "pictures"))


@pytest.fixture
def begun(monkeypatch) -> list[str]:
    """The runs that would have been started: no engine is."""
    runs: list[str] = []
    monkeypatch.setattr(review, "start_engine", lambda run, verb: runs.append(run.name))
    return runs


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def any_size(request) -> tuple[int, int]:
    return request.param


@pytest_asyncio.fixture
async def pilot(request):
    size = request.getfixturevalue("any_size") if "any_size" in request.fixturenames else (80, 24)
    async with LorasmithApp(look_seconds=0.05).run_test(size=size) as pilot:
        await until(pilot, "see it work")
        yield pilot
