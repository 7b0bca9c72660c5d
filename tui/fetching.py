"""The line that fetches files from the server, to be typed on the person's own computer."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from pathlib import Path

from engine.errors import shown


def fetch_command(path: Path) -> str:
    """The `scp` line that fetches a file to the person's computer, by the address they logged in with."""
    client = os.environ.get("SSH_CONNECTION", "").split()
    host, port = (client[2], client[3]) if len(client) == 4 else (socket.gethostname(), "22")
    host = f"[{host}]" if ":" in host else host
    option = "" if port == "22" else f"-P {shlex.quote(port)} "
    return f"scp {option}{shlex.quote(f'{_user()}@{host}:{shown(path)}')} ."


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user without an entry in the password file
