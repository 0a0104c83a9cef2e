"""A connection through the ssh program: ``ssh HOST docker system dial-stdio``.

What the docker command does too (github.com/docker/cli, cli/connhelper), so keys, agents, jump
hosts and known hosts are those of the user's own ssh configuration.

The docker package (7.1, 7.2) knows no ssh without paramiko, which it does not bring. With it, also
with ``use_ssh_client``, each request starts an ssh program of its own, which may ask on our
terminal, has no time limit, and whose words are in no error.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spawnery_docker.reach.endpoint import Endpoint

_REMOTE: Final = ("docker", "system", "dial-stdio")
_PING: Final = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
_SAID_LIMIT: Final = 500
_END_SECONDS: Final = 5.0


class SshSocket(socket.socket):
    """Our end of the pipe to an ssh program, which ends with it."""

    process: subprocess.Popen[bytes]

    def _real_close(self) -> None:
        """Close for good: called by ``socket.close`` when no file of the socket is open."""
        super()._real_close()  # type: ignore[misc]
        process: subprocess.Popen[bytes] | None = getattr(self, "process", None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)


def dial(endpoint: Endpoint, timeout: float) -> socket.socket:
    """Start the ssh program and make sure that an engine answers behind it.

    Args:
        endpoint: An ``ssh`` endpoint.
        timeout: Limit in seconds; the socket keeps it as its own.

    Raises:
        OSError: The program could not be started, or ended without an engine's answer.
    """
    ours, theirs = socket.socketpair()
    sock = SshSocket(ours.family, ours.type, ours.proto, fileno=ours.detach())
    with tempfile.TemporaryFile() as said:
        try:
            with theirs:
                sock.process = _start(endpoint, theirs, said, timeout)
            sock.settimeout(timeout)
            _expect_answer(sock)
        except OSError as error:
            sock.close()
            raise OSError(0, _why(error, said)) from None
        except BaseException:
            sock.close()
            raise
    return sock


def _start(
    endpoint: Endpoint, pipe: socket.socket, said: IO[bytes], timeout: float
) -> subprocess.Popen[bytes]:
    user, _, host = endpoint.address.rpartition("@")
    name, _, port = host.partition("]:" if host.startswith("[") else ":")
    command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, int(timeout))}"]
    command += [*(["-l", user] if user else []), *(["-p", port] if port else [])]
    return subprocess.Popen(  # noqa: S603 - the docker command's own way
        [*command, "--", name.strip("[]"), *_REMOTE],
        stdin=pipe.fileno(),
        stdout=pipe.fileno(),
        stderr=said,
        env={**endpoint.environ} if endpoint.environ else None,
        start_new_session=True,
    )


def _expect_answer(sock: socket.socket) -> None:
    """Ask for a sign of life, so that what ssh has to say is told here and not as a lost reply."""
    sock.sendall(_PING)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = sock.recv(4096)
        if not data:
            raise ConnectionResetError(0, "the program ended without an answer")
        answer += data


def _why(error: OSError, said: IO[bytes]) -> str:
    said.seek(0)
    text = " ".join(said.read(_SAID_LIMIT).decode("utf-8", "replace").split())
    if isinstance(error, FileNotFoundError):
        return "there is no ssh program on PATH"
    what = "no answer in time" if isinstance(error, TimeoutError) else "ssh ended"
    return f"{what}: {text}" if text else f"{what}: {error.strerror or error}"
