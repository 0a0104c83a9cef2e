"""Running this very Python in a container: its files are mounted into an image of links only.

Building an image with a Python takes a minute; mounting the one that runs the tests takes none.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from engine_probe import UnixHTTPConnection

LINKS = ("bin", "lib", "lib64", "sbin")
DONE_SECONDS = 90.0


class Engine:
    """The raw API of an engine behind a unix socket, for what tests prepare and look at."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        fine: Sequence[int] = (200, 201, 204, 304),
    ) -> Any:
        """Send a request; its JSON answer, or its bytes where it is none."""
        raw = isinstance(body, bytes)
        data = body if raw or body is None else json.dumps(body).encode()
        kind = "application/x-tar" if raw else "application/json"
        target = f"/v1.41{path}{'?' + urlencode(query) if query else ''}"
        connection = UnixHTTPConnection(self.socket_path)
        connection.timeout = DONE_SECONDS
        try:
            connection.request(method, target, body=data, headers={"Content-Type": kind})
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status not in fine:
            raise AssertionError(f"{method} {path}: {answer.status} {found[:300]!r}")
        try:
            return json.loads(found) if found else None
        except ValueError:
            return found

    @contextmanager
    def network(self, name: str | None = None, **labels: str) -> Iterator[str]:
        """Make a network and take it away."""
        name = name or f"spawnery-test-{uuid.uuid4().hex[:8]}"
        self.ask("POST", "/networks/create", {"Name": name, "Labels": labels})
        try:
            yield name
        finally:
            self.ask("DELETE", f"/networks/{name}", fine=(204, 404))

    @contextmanager
    def container(self, config: Mapping[str, Any], *more_networks: str) -> Iterator[str]:
        """Make a container that is not started yet, join more networks, take it away."""
        made = self.ask("POST", "/containers/create", config)["Id"]
        try:
            for name in more_networks:
                self.ask("POST", f"/networks/{name}/connect", {"Container": made})
            yield made
        finally:
            self.ask("DELETE", f"/containers/{made}", query={"force": "1"}, fine=(204, 404))

    def output(self, container: str) -> str:
        """Start a container that has a terminal, wait for its end, and return what it wrote."""
        self.ask("POST", f"/containers/{container}/start")
        until = time.monotonic() + DONE_SECONDS
        while self.ask("GET", f"/containers/{container}/json")["State"]["Running"]:
            assert time.monotonic() < until, "the container does not end"
            time.sleep(0.05)
        query = {"stdout": "1", "stderr": "1"}
        log = self.ask("GET", f"/containers/{container}/logs", query=query)
        return log.decode() if isinstance(log, bytes) else json.dumps(log)


@contextmanager
def python_image(engine: Engine) -> Iterator[str]:
    """An image of links into ``/usr``, where the machine's own files are mounted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name in ("tmp", "run", "var/run"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
    tag = uuid.uuid4().hex[:8]
    name = f"spawnery-test/python:{tag}"
    query = {"fromSrc": "-", "repo": "spawnery-test/python", "tag": tag}
    engine.ask("POST", "/images/create", buffer.getvalue(), query=query)
    try:
        yield name
    finally:
        engine.ask("DELETE", f"/images/{name}", query={"force": "1"}, fine=(200, 404, 409))


def python_config(
    engine: Engine, image: str, script: str, *arguments: str, **host_config: Any
) -> dict[str, Any]:
    """Return the create body of a container that runs a script with our packages.

    Args:
        engine: Its socket is mounted at the usual place.
        image: Of ``python_image``.
        script: Python.
        arguments: ``sys.argv[1:]``.
        host_config: Further fields of ``HostConfig``.
    """
    found = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path("/usr")}
    found |= {Path(path).resolve() for path in sys.path if path and Path(path).is_dir()}
    wanted = sorted(path for path in found if not any(up in found for up in path.parents))
    binds = [f"{path}:{path}:ro" for path in wanted]
    return {
        "Image": image,
        # Not by a link: what it points to may be in a folder that is not mounted.
        "Cmd": [str(Path(sys.executable).resolve()), "-c", script, *arguments],
        "Env": [
            "PYTHONPATH=" + os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE=1",
            "HOME=/tmp",
        ],
        "Tty": True,
        "HostConfig": {
            "Binds": [*binds, f"{engine.socket_path}:/var/run/docker.sock"],
            **host_config,
        },
    }
