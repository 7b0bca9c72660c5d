"""Sample pictures by Kitty's protocol and by Sixel: what is sent to a real terminal, and what is said without."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from recorded_run import RecordedRun, new_recorded_run

from engine.errors import LorasmithError
from tui.widgets.graphics import choose, through_tmux

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("textual_image") is None, reason="needs textual-image, of the extra `images`"
)
without_library = pytest.mark.skipif(
    importlib.util.find_spec("textual_image") is not None, reason="textual-image is installed"
)
RED = (230, 30, 20)


@pytest.fixture
def run(own_home: Path) -> RecordedRun:
    """A finished training with one red sample picture."""
    made = new_recorded_run()
    made.start()
    made.train(120)
    (made.folder.path / "samples").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), RED).save(made.folder.path / "samples" / "one.png")
    made.event("sample", step=120, epoch=2, files=["samples/one.png"])
    made.finish()
    return made


def one_picture(open_app, own_home, *options: str, **env: str):
    """The monitor, a single sample as large as it goes, once nothing more is drawn."""
    terminal = open_app("watch", "bear", *options, LORASMITH_HOME=str(own_home), **env)
    terminal.until("smoothed", "q leave")
    asked = bytes(terminal.raw)
    terminal.keys("2")
    terminal.until("epoch 2, step 120")
    terminal.keys("z")
    terminal.until("samples/one.png")
    terminal.until_quiet()
    return terminal, asked


def kitty_picture(raw: bytes) -> Image.Image:
    """The picture that was sent in parts, put together as Kitty does."""
    parts = re.findall(rb"\x1b_Gi=\d+,m=[01],f=100,q=2;([A-Za-z0-9+/=]*)\x1b\\", raw)
    return Image.open(io.BytesIO(base64.b64decode(b"".join(parts))))


@needs_library
def test_kitty_gets_the_picture_before_its_place_and_is_asked_nothing(open_app, own_home, run):
    terminal, before = one_picture(open_app, own_home, "--images", "kitty")
    raw = bytes(terminal.raw)
    assert b"\x1b_G" not in before and b"\x1b[16t" not in raw and b"a=q" not in raw
    picture = kitty_picture(raw)
    assert picture.convert("RGB").getpixel((5, 5)) == RED and picture.width == picture.height
    place = raw.decode().index("\U0010eeee")
    assert raw.decode().index("f=100") < raw.decode().index("U=1") < place
    terminal.keys("z")
    terminal.until("z one, all")
    terminal.until_quiet()
    assert b"a=d" in bytes(terminal.raw)[len(raw) :]


@needs_library
def test_sixel(open_app, own_home, run):
    terminal, before = one_picture(open_app, own_home, LORASMITH_IMAGES="sixel")
    sent = re.findall(rb"\x1bP[\d;]*q.*?\x1b\\", bytes(terminal.raw), re.DOTALL)
    assert sent and b"#0;2;90;12;8" in sent[-1]  # the red, in per cent
    assert b"\x1b[c" not in before


@without_library
@pytest.mark.parametrize("way", ["kitty", "sixel"])
def test_without_the_library_one_sentence(open_app, own_home, run, way):
    terminal = open_app("watch", "bear", "--images", way, LORASMITH_HOME=str(own_home))
    assert terminal.ended() == 1
    terminal.until(f"--images {way} needs the package textual-image", "pip install 'lorasmith[images]'")


def test_off_names_the_files(open_app, own_home, run):
    terminal = open_app("watch", "bear", "--images", "off", LORASMITH_HOME=str(own_home))
    terminal.until("smoothed", "q leave")
    terminal.keys("2")
    assert "▀" not in terminal.until("epoch 2, step 120", "one.png")


def test_what_can_be_asked_for():
    assert choose(None, {}) == "half"
    assert choose(None, {"LORASMITH_IMAGES": "kitty"}) == "kitty"
    assert choose("off", {"LORASMITH_IMAGES": "kitty"}) == "off"
    with pytest.raises(LorasmithError, match="LORASMITH_IMAGES is 'iterm': it can be half, kitty, sixel or off"):
        choose(None, {"LORASMITH_IMAGES": "iterm"})


def test_tmux_hands_on_what_is_wrapped():
    assert through_tmux("\x1b_Ga=d\x1b\\") == "\x1bPtmux;\x1b\x1b_Ga=d\x1b\x1b\\\x1b\\"
