"""A real sshd on loopback with keys of its own, and logins to it in which `lorasmith` has been typed."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from terminal import ROOT, Terminal

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
PrintLastLog no
"""


@dataclass(frozen=True)
class Server:
    """An sshd of this test's own, with its own keys."""

    port: int
    folder: Path

    def login(self, home: Path, size: tuple[int, int] = (80, 24)) -> Terminal:
        """An ssh client in a terminal, in whose shell `lorasmith` has been typed."""
        options = {
            "IdentityFile": self.folder / "user_key", "UserKnownHostsFile": "/dev/null", "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no", "LogLevel": "ERROR", "BatchMode": "yes",
        }  # fmt: skip
        stated = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        here = f"{getpass.getuser()}@127.0.0.1"
        client = Terminal(["ssh", "-F", "none", "-tt", *stated, "-p", str(self.port), here, "sh"], size=size)
        env = {"LORASMITH_HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        stated_env = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        client.keys(f"cd {shlex.quote(str(ROOT))} && {stated_env} {shlex.quote(sys.executable)} -m tui\n")
        return client


@contextlib.contextmanager
def serving(folder: Path, program: Callable[[str], str]) -> Iterator[Server]:
    """Starts sshd with its keys in `folder`; `program` finds what it is made of."""
    sshd, keygen = program("sshd"), program("ssh-keygen")
    program("ssh")
    for key in ("host_key", "user_key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of root locks itself in
    process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE)
    try:
        yield Server(answering(port, process), folder)
    finally:
        process.terminate()
        process.communicate()


def answering(port: int, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return port
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    raise AssertionError("sshd does not answer")


def screens(home: Path) -> set[int]:
    """The processes that have this home's screens open."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            said, env = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            if said.endswith(b"-m\0tui\0") and f"LORASMITH_HOME={home}\0".encode() in env:
                found.add(int(entry.name))
    return found
