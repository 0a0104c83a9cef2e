"""A real sshd on a loopback port, and an ssh program on PATH that knows its keys.

The ssh program takes its configuration from the home folder of the password file and not from
``HOME``, so a wrapper of that name hands it the test's own.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commands import checked
from registry import free_port
from tools import SSHD, need

READY_SECONDS = 30.0


@dataclass
class SshServer:
    """Where it listens, and the environment in which ``ssh`` gets in."""

    port: int
    environ: dict[str, str]
    folder: Path

    @property
    def docker_host(self) -> str:
        """The address of the engine behind it."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def forget_key(self) -> None:
        """Let the server accept no key any more."""
        (self.folder / "authorized").write_text("")


@contextmanager
def running_sshd(folder: Path) -> Iterator[SshServer]:
    """Run an sshd of its own in a folder that nobody else can write."""
    need("sshd")
    port = free_port()
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        checked("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "client").write_text(
        f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
        "StrictHostKeyChecking yes\nGlobalKnownHostsFile none\n"
    )
    (folder / "server").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nUsePAM no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin yes\nStrictModes no\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/client "$@"\n'
    )
    (programs / "ssh").chmod(0o755)
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", str(folder / "server")],
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process, folder / "log")
        yield SshServer(port, environ, folder)
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"sshd does not answer: {log.read_text()[-400:]}")
