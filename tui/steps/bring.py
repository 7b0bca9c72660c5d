"""How pictures come up from the person's own machine: the exact line for its shell, and where to find large ones."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from engine.plan import Plan
from engine.runs.folder import home

VARIED = "Varied places, angles, light, expressions; sharp, uncropped, the subject alone; above 4 megapixels is best."


@dataclass(frozen=True)
class Upload:
    """Lines to paste into a shell on the machine where the pictures are; `here` is where they arrive."""

    here: Path
    rsync: str
    scp: str
    note: str = ""


def target_folder(plan: Plan, typed: str) -> Path:
    """Where pictures are to arrive: the folder that is named, else one of lorasmith's own."""
    if plan.pictures.folders:
        return Path(plan.pictures.folders[0].path)
    if typed.startswith(("/", "~")) and (named := Path(os.path.expanduser(typed))).is_absolute():  # noqa: PTH111
        return named
    return home() / "pictures" / (plan.output.name or "pictures")


def upload(folder: Path, env: Mapping[str, str], *, user: str | None = None) -> Upload:
    """The lines for this login: host and port from SSH_CONNECTION, else this machine's name."""
    user = user or _user()
    told = env.get("SSH_CONNECTION", "").split()
    host, port = (told[2], told[3]) if len(told) == 4 else (socket.gethostname(), "22")
    note = "" if len(told) == 4 else (
        "This is no ssh login, so the machine's own name stands in the lines: put the address there that you log in to."
    )  # fmt: skip
    bracketed = f"[{host}]" if ":" in host else host
    place = f"{user}@{bracketed}:{shlex.quote(str(folder) + '/')}"
    through = "" if port == "22" else f" -e 'ssh -p {port}'"
    by_port = "" if port == "22" else f" -P {port}"
    return Upload(
        folder,
        f"rsync -av --progress{through} MY_PICTURES/ {place}",
        f"scp -r{by_port} MY_PICTURES/* {place}",
        note,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"


def search_for(plan: Plan) -> str:
    """Google's picture search for the class word, pictures larger than 4 megapixels only."""
    words = plan.subject.class_prompt.strip() or plan.subject.kind
    return "https://www.google.com/search?" + urlencode({"q": words, "udm": "2", "tbs": "isz:lt,islt:4mp"}, safe=":,")
