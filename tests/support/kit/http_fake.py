"""The fake whose changes to the engine go over HTTP, through the fault proxy, from any process.

The engine is a file. Reading it is done directly; create, start, stop and remove are requests to
a server of the test, so that requests and replies can be lost, and their callers killed.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from attrs import asdict, evolve, frozen
from spawnery.contract import setting
from spawnery.errors import Ambiguous, EngineUnreachable, JobRunning, NameConflict, SpecConflict
from spawnery.testing.bench import FaultPoint
from spawnery.testing.fake import FakeEngine, FakeSettings, FakeSpawner, plugin
from spawnery.testing.fake.bench import FakeFileBench
from spawnery.testing.fake.home import FileHome
from spawnery.testing.fake.job import FakeJob
from spawnery.testing.proxy import TransportProxy

if TYPE_CHECKING:
    from spawnery.contract import SpawnerRuntime

_CONFLICTS = {kind.__name__: kind for kind in (NameConflict, SpecConflict, JobRunning)}


@frozen(kw_only=True)
class HttpSettings(FakeSettings):
    """Where the server listens."""

    server: str = setting("tcp://127.0.0.1:1", description="The address of the server.")


class HttpEngine(FakeEngine):
    """Asks the server for every change."""

    def __init__(self, path: str, server: str) -> None:
        super().__init__(FileHome(Path(path)))
        self._where = urlsplit(server)

    def create(self, wanted: FakeJob) -> tuple[FakeJob, bool]:
        """Make an object."""
        job, made = self._ask("create", {"wanted": asdict(wanted)})
        return FakeJob(**job), made

    def start(self, name: str, engine_id: str, *, owner: str, follow: bool) -> None:
        """Start it."""
        self._ask("start", {"name": name, "engine_id": engine_id, "owner": owner, "follow": follow})

    def stop(
        self, name: str, instance: str, *, grace_seconds: float, engine_id: str | None = None
    ) -> None:
        """Stop it."""
        given = {"name": name, "instance": instance, "grace_seconds": grace_seconds}
        self._ask("stop", {**given, "engine_id": engine_id})

    def remove(self, name: str, instance: str, *, engine_id: str | None = None) -> None:
        """Remove it."""
        self._ask("remove", {"name": name, "instance": instance, "engine_id": engine_id})

    def _ask(self, what: str, given: Mapping[str, Any]) -> Any:
        line = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=30)
        try:
            line.connect()
        except OSError as error:
            msg = f"nothing listens at {self._where.netloc}"
            raise EngineUnreachable(msg) from error
        try:
            line.request("POST", f"/{what}", json.dumps(given))
            answer = line.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            msg = f"no reply to {what}"
            raise Ambiguous(msg) from error
        finally:
            line.close()
        if answer.status == HTTPStatus.CONFLICT:
            said = json.loads(body)
            raise _CONFLICTS[said["kind"]](said["message"], hint="choose another job id")
        if answer.status != HTTPStatus.OK:
            msg = f"{what} was answered with {answer.status}"
            raise Ambiguous(msg)
        return json.loads(body)


def _act(engine: FakeEngine, what: str, given: dict[str, Any]) -> Any:
    if what == "create":
        job, made = engine.create(FakeJob(**given["wanted"]))
        return asdict(job), made
    return getattr(engine, what)(**given)


class EngineServer(ThreadingHTTPServer):
    """Makes the changes that are asked for."""

    daemon_threads = True

    def __init__(self, engine: FakeEngine) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"tcp://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: EngineServer

    def do_POST(self) -> None:
        """Make one change."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = HTTPStatus.OK
        try:
            result = _act(self.server.engine, self.path.strip("/"), given)
        except tuple(_CONFLICTS.values()) as error:
            status = HTTPStatus.CONFLICT
            result = {"kind": type(error).__name__, "message": error.message}
        body = json.dumps(result).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: Any) -> None:
        """Say nothing."""


class HttpBench(FakeFileBench):
    """All that a bench needs for the sweep of requests: a proxy, and ``faults_shared``."""

    plugin_path = "http_fake:PLUGIN"
    faults_shared = True
    fault_points: ClassVar[Mapping[str, FaultPoint]] = {
        point: FaultPoint("POST", f"^/{point}$") for point in ("create", "start", "stop", "remove")
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = EngineServer(self.engine)
        self._proxy = TransportProxy(self._server.address)

    def environ(self) -> dict[str, str]:
        """Let other processes find this module."""
        return {**super().environ(), "PYTHONPATH": str(Path(__file__).parent)}

    def settings(self) -> Mapping[str, str]:
        """Lead the spawner through the proxy."""
        return {**super().settings(), "SPAWNERY_FAKE_SERVER": self._proxy.address}

    def faults(self) -> TransportProxy:  # type: ignore[override]
        """Return the proxy before the engine."""
        return self._proxy

    def close(self) -> None:
        """End the server."""
        self._proxy.close()
        self._server.shutdown()
        self._server.server_close()
        super().close()


def _create(settings: HttpSettings, runtime: SpawnerRuntime) -> FakeSpawner:
    return FakeSpawner(HttpEngine(settings.engine or "", settings.server), settings, runtime)


PLUGIN = evolve(plugin, settings=HttpSettings, create=_create)
