"""Real registries on loopback (Debian's docker-registry), and one that misbehaves on order.

Images are made here and put into the registry over HTTP, so the engine has to pull them.
"""

from __future__ import annotations

import base64
import ctypes
import gzip
import hashlib
import http.client
import io
import json
import os
import secrets
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from tools import BUSYBOX, need

T = TypeVar("T")
PROGRAM = "docker-registry"
USER, PASSWORD = "agent", "planted-Registry-Pass-1"
# bcrypt of PASSWORD; made with: htpasswd -nbBC 5 agent planted-Registry-Pass-1
HTPASSWD = "agent:$2y$05$63S/tk0IQaJ3X3Y6PTflquZb561cOY4tDqOYhXF7b3Cq1DQJVsXWa"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
READY_SECONDS = 30.0
CLONE_NEWNET = 0x40000000


def digest_of(data: bytes) -> str:
    """Return the digest under which a registry keeps some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Image:
    """An image as a registry keeps it: a manifest and its blobs."""

    manifest: bytes
    blobs: dict[str, bytes]
    kind: str = MANIFEST

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return digest_of(self.manifest)


def make_image(
    *, config: dict[str, object] | None = None, padding: int = 0, layers: int = 1
) -> Image:
    """Make an image with a busybox in it that no engine has yet.

    Args:
        config: ``User``, ``WorkingDir``, ``Env``, ``Cmd``, ...
        padding: Random bytes in each layer, so that a pull takes time.
        layers: How many layers.
    """
    need("busybox")
    tars = [_layer(number, padding) for number in range(layers)]
    packed = [gzip.compress(tar, 1) for tar in tars]
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/sh", "-c", "exit 0"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        "history": [{"created_by": "test"} for _ in tars],
    }
    text = json.dumps(described).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(text), "digest": digest_of(text)},
        "layers": [
            {"mediaType": LAYER, "size": len(data), "digest": digest_of(data)} for data in packed
        ],
    }
    blobs = {digest_of(data): data for data in (text, *packed)}
    return Image(json.dumps(manifest).encode(), blobs)


def _layer(number: int, padding: int) -> bytes:
    """Return a tar with busybox (in the first one) and something that is in no other layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        if number == 0:
            program = tarfile.TarInfo("bin/busybox")
            data = BUSYBOX.read_bytes()
            program.size, program.mode = len(data), 0o755
            tar.addfile(program, io.BytesIO(data))
            for name in ("sh", "true", "sleep", "echo"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        unique = tarfile.TarInfo(f"unique-{number}")
        unique.size = padding + 32
        tar.addfile(unique, io.BytesIO(secrets.token_bytes(unique.size)))
    return buffer.getvalue()


@dataclass
class Registry:
    """A registry that listens on a port of 127.0.0.1."""

    port: int
    login: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        """How image references name it."""
        return f"127.0.0.1:{self.port}"

    def put(self, repository: str, tag: str, image: Image) -> str:
        """Upload an image; the reference to pull it by."""
        for digest, data in image.blobs.items():
            _, headers, _ = self._ask("POST", f"/v2/{repository}/blobs/uploads/", 202)
            place = headers["Location"].partition(self.host)[2] or headers["Location"]
            mark = "&" if "?" in place else "?"
            self._ask("PUT", f"{place}{mark}digest={digest}", 201, data, "application/octet-stream")
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", 201, image.manifest, image.kind)
        return f"{self.host}/{repository}:{tag}"

    def _ask(
        self, method: str, path: str, wanted: int, body: bytes = b"", kind: str = ""
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Content-Type": kind} if kind else {}
        if self.login:
            word = base64.b64encode(":".join(self.login).encode()).decode()
            headers["Authorization"] = f"Basic {word}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != wanted:
            raise AssertionError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return answer.status, answer.headers, data


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running_registry(folder: Path, *, password: bool = False) -> Iterator[Registry]:
    """Run a registry of its own in a folder; with a password for ``USER`` where asked."""
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if password:
        (folder / "htpasswd").write_text(HTPASSWD + "\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    # JSON is YAML, which is what the registry reads.
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(folder / "config.yml")],
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process, folder / "log")
        yield Registry(port, (USER, PASSWORD) if password else None)
    finally:
        process.terminate()
        try:
            process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
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
    raise AssertionError(f"the registry does not answer: {log.read_text()[-400:]}")


@dataclass
class Answer:
    """What a misbehaving registry says."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Return an error as registries send it (docs of distribution: errors)."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, body, {"Content-Type": "application/json", **headers})


@dataclass
class BadRegistry:
    """A registry of our own that serves images, slowly or wrongly where it is told to.

    Attributes:
        port: Where it listens.
        images: ``repository`` to image; any tag and its digest find it.
        answer: Called with method and path first; what it returns is sent instead.
        pause: Seconds between pieces of 64 KiB of a blob.
        corrupt: Serve blobs of layers with the right length and wrong bytes.
    """

    port: int
    images: dict[str, Image] = field(default_factory=dict)
    answer: Callable[[str, str], Answer | None] = lambda _method, _path: None
    pause: float = 0.0
    corrupt: bool = False
    cut: threading.Event = field(default_factory=threading.Event)
    """Set when a reader of a blob went away before its end."""

    @property
    def host(self) -> str:
        """How image references name it."""
        return f"127.0.0.1:{self.port}"


def in_engines_network(make: Callable[[], T], namespace: str | None = None) -> T:
    """Bind in the engine's network namespace: a socket stays in the one that its maker was in.

    That is the one that is named, else the one of ``SPAWNERY_TEST_DOCKER_NETNS``, else ours.
    """
    place = namespace or os.environ.get("SPAWNERY_TEST_DOCKER_NETNS")
    made: list[T] = []

    def run() -> None:
        if place:
            with Path(f"/var/run/netns/{place}").open("rb") as there:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
        made.append(make())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(READY_SECONDS)
    return made[0]


@contextmanager
def bad_registry(namespace: str | None = None) -> Iterator[BadRegistry]:
    """Run a ``BadRegistry`` on the loopback that the engine sees; see ``in_engines_network``."""
    server = in_engines_network(lambda: ThreadingHTTPServer(("127.0.0.1", 0), _Handler), namespace)
    server.daemon_threads = True
    registry = BadRegistry(server.server_address[1])
    server.registry = registry  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join(READY_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    """``/v2/``, manifests and blobs, for the engine's pulls."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"
    """What is no HTTP gets an answer with a status line: engines that try TLS first know by it."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _serve(self) -> None:
        registry: BadRegistry = self.server.registry  # type: ignore[attr-defined]
        answer = registry.answer(self.command, self.path)
        if answer is None:
            answer = self._find(registry)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        slow = "/blobs/" in self.path and registry.pause > 0
        step = 64 * 1024 if slow else max(1, len(answer.body))
        try:
            for at in range(0, len(answer.body), step):
                self.wfile.write(answer.body[at : at + step])
                if slow:
                    time.sleep(registry.pause)
        except OSError:
            registry.cut.set()
            self.close_connection = True

    def _find(self, registry: BadRegistry) -> Answer:
        if self.path.rstrip("/") == "/v2":
            return Answer(200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
        _, _, rest = self.path.partition("/v2/")
        for word in ("/manifests/", "/blobs/"):
            repository, found, name = rest.partition(word)
            image = registry.images.get(repository)
            if not found or image is None:
                continue
            if word == "/manifests/":
                headers = {"Content-Type": image.kind, "Docker-Content-Digest": image.digest}
                return Answer(200, image.manifest, headers)
            data = image.blobs.get(name)
            if data is not None:
                is_layer = not data.startswith(b"{")
                body = bytes(len(data)) if registry.corrupt and is_layer else data
                return Answer(200, body, {"Content-Type": "application/octet-stream"})
        return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
