"""The docker command as the reference: what it sends, and where, for given files and variables."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from raw_server import RawServer, says, whole
from tools import need

_SECONDS = 60.0
_NOTHING = whole(b"[]", Api_Version="1.41", Ostype="linux", Content_Type="application/json")


def stand_in() -> RawServer:
    """Return an engine that answers everything with an empty list."""
    return RawServer(says(_NOTHING))


def docker_command(environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the docker command with these variables and no other ones."""
    need("docker")
    return subprocess.run(
        [shutil.which("docker") or "docker", *words],
        env={"PATH": "/usr/bin:/bin", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def dialled(environ: Mapping[str, str], *words: str) -> str:
    """Return what the docker command says of an engine that is not there."""
    return docker_command(environ, *words, "ps").stderr


def sent_for(image: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials that the docker command sends with a pull, empty for none."""
    with stand_in() as engine:
        host = engine.address.replace("http", "tcp")
        docker_command({**environ, "DOCKER_HOST": host}, "pull", image)
        asked = next(asked for asked in engine.asked if asked.startswith(b"POST"))
    found = re.search(rb"(?im)^x-registry-auth: *(\S*)\r", asked)
    decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(found[1])) if found else {}
    return decoded


class _Empty(BaseHTTPRequestHandler):
    """Answers everything with an empty list."""

    def do_GET(self) -> None:
        self.send_response(200)
        for name, value in {"Api-Version": "1.41", "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"[]")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those who do not speak TLS, or believe us."""


@contextmanager
def secured_stand_in(context: ssl.SSLContext) -> Iterator[str]:
    """Run an engine behind TLS that answers everything with an empty list; yields its address."""
    with _Quiet(("127.0.0.1", 0), _Empty) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(_SECONDS)


def write_context(
    folder: Path, name: str, docker: Mapping[str, object] | None, tls: Mapping[str, Path]
) -> None:
    """Write a context as the docker command keeps it.

    Args:
        folder: The one of ``DOCKER_CONFIG``; it gets a ``config.json`` too.
        name: Of the context.
        docker: Its docker endpoint, None for none.
        tls: Files to be copied, by the name that they have there.
    """
    number = hashlib.sha256(name.encode()).hexdigest()
    place = folder / "contexts" / "meta" / number
    place.mkdir(parents=True)
    endpoints = {} if docker is None else {"docker": docker}
    meta = {"Name": name, "Metadata": {}, "Endpoints": endpoints}
    (place / "meta.json").write_text(json.dumps(meta))
    (folder / "config.json").write_text("{}")
    if tls:
        certificates = folder / "contexts" / "tls" / number / "docker"
        certificates.mkdir(parents=True)
        for file, source in tls.items():
            (certificates / file).write_bytes(source.read_bytes())
