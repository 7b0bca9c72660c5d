"""doctor: facts from a process of their own, so that a broken torch is a finding and not a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import doctor

ROOT = Path(__file__).resolve().parents[2]


def broken_torch(folder: Path, code: str) -> dict[str, str]:
    """An environment in which `import torch` does this."""
    (folder / "torch.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise OSError('libcudart.so: cannot open')", "torch cannot be loaded (OSError: libcudart.so: cannot open)"),
        ("import os; os.kill(os.getpid(), 11)", "a process that loads torch was killed by 11"),
        ("import sys; print('half a \\x1b[31mword'); sys.exit(7)", "a process that loads torch ended with code 7"),
    ],
)
def test_a_broken_torch_is_a_finding(tmp_path, monkeypatch, code, sentence):
    for name, value in broken_torch(tmp_path, code).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(doctor, "engine_environment", lambda _: os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    (finding,) = doctor.torch_findings(doctor.look_at_torch())
    assert finding.state == "problem"
    assert finding.fact.startswith(sentence)
    assert finding.advice


def test_a_card_that_torch_cannot_use_is_a_problem(monkeypatch):
    card = doctor.Card("NVIDIA T4", 16 * 10**9, 10**9, "550.1")
    monkeypatch.setattr(doctor, "cards", lambda: (card,))
    findings = list(doctor.graphics({"version": "2.9", "cuda": None, "available": False, "devices": []}))
    assert [finding.state for finding in findings] == ["ok", "problem"]
    assert "built without CUDA" in findings[1].fact
    old = {"name": "NVIDIA T4", "capability": "7.5", "bf16": False}
    findings = list(doctor.graphics({"version": "2.9", "cuda": "12.8", "available": True, "devices": [old]}))
    assert [finding.state for finding in findings] == ["ok", "note"]
    assert "no native bf16" in findings[1].fact


def test_a_card_that_others_fill_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "cards", lambda: (doctor.Card("RTX", 24 * 2**30, 20 * 2**30, "550"),))
    first = next(doctor.graphics({"available": True, "cuda": "12.8", "devices": []}))
    assert first.state == "warning" and "24.0 GiB, 4.0 GiB free" in first.fact


def test_the_terminal_is_read_from_its_environment(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "get_terminal_size", lambda: os.terminal_size((100, 30)))
    monkeypatch.setattr(doctor.locale, "getpreferredencoding", lambda _: "UTF-8")
    (finding,) = doctor.terminal({"TERM": "xterm-\x1b[31m", "TMUX": "/x", "SSH_CONNECTION": "a"})
    assert finding.state == "ok"
    assert finding.fact == "TERM xterm-\\x1b[31m, 100x30, in tmux, in SSH, UTF-8"
    (finding,) = doctor.terminal({})
    assert finding.state == "note"
    monkeypatch.setattr(doctor.shutil, "get_terminal_size", lambda: os.terminal_size((60, 15)))
    assert next(doctor.terminal({"TERM": "xterm"})).state == "warning"
    monkeypatch.setattr(doctor.locale, "getpreferredencoding", lambda _: "ANSI_X3.4-1968")
    assert "C.UTF-8" in next(doctor.terminal({"TERM": "xterm"})).advice


@pytest.mark.parametrize(
    ("kills", "lingers", "state"),
    [(None, False, "ok"), (False, False, "ok"), (True, True, "warning"), (True, False, "warning")],
)
def test_a_login_manager_that_kills_at_log_out_is_told_with_the_way_around(monkeypatch, kills, lingers, state):
    monkeypatch.setattr(doctor, "_kills_user_processes", lambda: kills)
    monkeypatch.setattr(doctor, "_lingers", lambda: lingers)
    (finding,) = doctor.logins()
    assert finding.state == state
    assert ("systemd-run" in finding.advice) == (kills is True)
    assert ("enable-linger" in finding.advice) == (kills is True and not lingers)


def test_a_small_disk_and_a_foreign_one_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: _Usage(10**9))
    (finding,) = doctor.disk()
    assert finding.state == "warning" and finding.fact.startswith("1.0 GB free for ")
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    (finding,) = doctor.disk()
    assert finding.state == "problem" and "LORASMITH_HOME" in finding.advice


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_home_in_a_closed_folder_is_told(monkeypatch, tmp_path):
    closed = tmp_path / "closed"
    monkeypatch.setenv("LORASMITH_HOME", str(closed / "home"))

    def stat(path, **_):
        if str(path).startswith(str(closed / "home")):
            raise PermissionError(13, "Permission denied", str(path))
        return real_stat(path)

    closed.mkdir()
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", stat)  # closed folders are open to root
    (finding,) = doctor.disk()
    assert str(closed / "home") in finding.fact or str(closed) in finding.fact


def test_a_missing_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package-of-anyones"))
    found, missing = doctor.packages()
    assert found.fact.startswith("numpy ") and missing.state == "problem"
    assert "no-such-package-of-anyones" in missing.fact


def test_the_command_prints_every_finding_and_json_the_same():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "tui", "doctor", "--json"], capture_output=True, text=True,
                          env=environment, timeout=200)  # fmt: skip
    report = json.loads(done.stdout)
    areas = {finding["area"] for finding in report["findings"]}
    assert {"Python", "packages", "torch", "GPU", "memory", "disk", "terminal", "log-out"} <= areas
    assert done.returncode == (0 if report["works"] else 1)
    torch = next(finding for finding in report["findings"] if finding["area"] == "torch")
    assert torch["state"] == "ok"
