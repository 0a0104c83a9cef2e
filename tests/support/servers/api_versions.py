"""A proxy that plays an engine of other API versions in front of a real one.

It answers as moby does (server/middleware/version.go): a version below the minimum or above its own
is refused with 400, any other request reaches the engine in the engine's own version. Each
connection carries one exchange.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPOKEN = "1.41"
"""The version in which requests reach the engine; every engine of the tests speaks it."""
_VERSIONED = re.compile(rb"^(?P<method>[A-Z]+) /v(?P<version>\d+\.\d+)(?P<rest>/\S*)")
_API_HEADER = re.compile(rb"\r\nApi-Version:[^\r]*", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nConnection:[^\r]*", re.IGNORECASE)
_MOST_HEAD = 1 << 16
_PIECE = 1 << 16


class Versions:
    """What the engine says that it speaks; may change while it is used.

    Attributes:
        newest, minimum: API versions.
        refused: How many requests were refused for their version.
        spoken: Versions that requests came with.
    """

    def __init__(self, newest: str = "1.52", minimum: str = "1.44") -> None:
        self.newest = newest
        self.minimum = minimum
        self.refused = 0
        self.spoken: set[str] = set()

    def refusal(self, version: str) -> str | None:
        """Return why a version is refused, in moby's words."""
        self.spoken.add(version)
        if _number(version) < _number(self.minimum):
            return (
                f"client version {version} is too old. Minimum supported API version is"
                f" {self.minimum}, please upgrade your client to a newer version"
            )
        if _number(version) > _number(self.newest):
            return (
                f"client version {version} is too new. Maximum supported API version is"
                f" {self.newest}"
            )
        return None


@contextmanager
def engine_of_versions(path: str, versions: Versions) -> Iterator[str]:
    """Run the proxy before the engine whose socket is at ``path``; its address."""

    class Handler(socketserver.BaseRequestHandler):
        """One exchange."""

        def handle(self) -> None:
            """Relay a request and its answer."""
            with contextlib.suppress(OSError):
                _exchange(self.request, path, versions)

    with tempfile.TemporaryDirectory(prefix="spv-") as folder:
        place = Path(folder) / "docker.sock"
        server = _Server(str(place), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"unix://{place}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read the head of a message; returns it and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _MOST_HEAD:
        piece = sock.recv(_PIECE)
        if not piece:
            break
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _exchange(client: socket.socket, path: str, versions: Versions) -> None:
    head, rest = _head(client)
    match = _VERSIONED.match(head)
    if match is not None:
        why = versions.refusal(match["version"].decode())
        if why is not None:
            versions.refused += 1
            client.sendall(_answer(why, versions))
            client.shutdown(socket.SHUT_WR)
            while client.recv(_PIECE):  # what is not read would reset the connection
                pass
            return
        head = (
            b"%s /v%s%s" % (match["method"], SPOKEN.encode(), match["rest"]) + head[match.end() :]
        )
    if b"upgrade" not in head.lower():
        head = _CONNECTION.sub(b"", head) + b"\r\nConnection: close"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect(path)
        engine.sendall(head + b"\r\n\r\n" + rest)
        up = threading.Thread(target=_pump, args=(client, engine), daemon=True)
        up.start()
        answer, body = _head(engine)
        header = b"\r\nApi-Version: " + versions.newest.encode()
        client.sendall(_API_HEADER.sub(header, answer) + b"\r\n\r\n" + body)
        _pump(engine, client)
        # The client may go on sending into a hijacked connection; it is at its end now.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        up.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _answer(why: str, versions: Versions) -> bytes:
    body = json.dumps({"message": why}).encode()
    return (
        b"HTTP/1.1 400 Bad Request\r\nApi-Version: %s\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (versions.newest.encode(), len(body), body)
    )
