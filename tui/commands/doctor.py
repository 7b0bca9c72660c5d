"""`lorasmith doctor`: what works on this machine, what does not, and what to do."""

from __future__ import annotations

import sys
from argparse import Namespace

from engine.doctor import examine
from tui.arguments import json_argument
from tui.text import count, say, say_json

_MARKS = {"ok": "ok", "note": "note", "warning": "warning", "problem": "PROBLEM"}


doctor_arguments = json_argument


def doctor(asked: Namespace) -> int:
    """Prints every finding; exit code 1 where something does not work."""
    if not asked.json and sys.stderr.isatty():
        print("Looking; loading torch takes some seconds ...", file=sys.stderr, flush=True)
    findings = examine()
    problems = sum(finding.state == "problem" for finding in findings)
    if asked.json:
        say_json({"works": not problems, "findings": list(findings)})
        return 1 if problems else 0
    for finding in findings:
        say(f"{_MARKS[finding.state]:<8} {finding.area}: {finding.fact}", hang=9)
        if finding.advice:
            say(f"-> {finding.advice}", indent=9, hang=12)
    say()
    warnings = sum(finding.state == "warning" for finding in findings)
    if problems:
        say(f"{count(problems, 'problem')} to put right before training.")
    else:
        beside = f", with {count(warnings, 'warning')}" if warnings else ""
        say(f"Everything needed works{beside}.")
    return 1 if problems else 0
