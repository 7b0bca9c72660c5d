"""A real browser without a window: Chromium, spoken to in its DevTools protocol over two pipes, so that no port is
opened and no library is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars", "--mute-audio",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--disable-dev-shm-usage", "--force-color-profile=srgb",
)  # fmt: skip
_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27, "Tab": 9}
_PATIENCE = 60  # seconds for one answer: the machine may be busy


def find_browser() -> str | None:
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class PageError(AssertionError):
    """The page's script failed where a test called into it."""


@dataclass
class Browser:
    """One page. `errors` are console errors and uncaught exceptions; `requests` every address it asked for."""

    commands: int
    answers: int
    session: str = ""
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _last: int = 0
    _rest: bytes = b""

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def open(self, page: Path, size: tuple[int, int] = (1440, 900), dark: bool = False) -> None:
        """Opens a file and waits until its script has drawn everything."""
        self.errors.clear()
        self.requests.clear()
        self.look(size, dark)
        self.send("Page.navigate", url=page.absolute().as_uri())
        self.until("document.readyState === 'complete' && !document.getElementById('content').hidden")

    def look(self, size: tuple[int, int], dark: bool = False) -> None:
        """Sets the window's size and the colours that the system asks for."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; PageError where it throws."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise PageError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never became true: {expression}"

    def key(self, name: str) -> None:
        """Presses and releases a key: a letter, or a name such as ArrowLeft."""
        text = {"Enter": "\r"}.get(name, name if len(name) == 1 else "")
        code = _KEYS.get(name, ord(name[0].upper()))
        common = {"key": name, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, to: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        shot: dict[str, Any] = {"format": "png"}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            shot |= {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        to.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", **shot)["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.answers], [], [], _PATIENCE)
            block = os.read(self.answers, 1 << 20) if ready else b""
            assert block, "the browser does not answer"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["type"] in {"error", "warning", "assert"}:
                self.errors.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in {"error", "warning"}:
                self.errors.append(told["entry"]["text"])


@contextlib.contextmanager
def browser(program: str, folder: Path) -> Iterator[Browser]:
    """Starts Chromium with a profile in `folder` and ends it."""
    reading, commands = os.pipe()
    answers, writing = os.pipe()
    process = subprocess.Popen(
        _command(program, folder, reading, writing), pass_fds=(reading, writing), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    os.close(reading)
    os.close(writing)
    try:
        page = Browser(commands, answers)
        target = page.send("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        yield page
    finally:
        os.close(commands)  # the browser ends when nobody commands it any more
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)


def _command(program: str, folder: Path, reading: int, writing: int) -> Sequence[str]:
    """Chromium listens on descriptor 3 and answers on 4: the shell puts our pipes there."""
    flags = " ".join((*_FLAGS, f"--user-data-dir='{folder}/profile'"))
    return ["/bin/bash", "-c", f"exec {program} {flags} about:blank 3<&{reading} 4>&{writing}"]
