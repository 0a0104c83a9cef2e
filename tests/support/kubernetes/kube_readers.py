"""One kubeconfig read by three: kubectl, the ``kubernetes`` package's own loader, and ours.

Each sends ``GET /version``; what an API server got of that is what is compared.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from attrs import frozen
from certificates import authority, certificate, server_context
from spawnery.errors import SpawnerError
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError
from spawnery_kubernetes.settings import KubernetesSettings
from tools import need

PATIENCE: Final = 60.0
_FIELDS: Final = ("compiler", "goVersion", "major", "minor", "platform")
_OF_BUILD: Final = ("buildDate", "gitCommit", "gitTreeState", "gitVersion")
VERSION: Final = dict.fromkeys((*_FIELDS, *_OF_BUILD), "1")
"""What the package takes for the answer to ``GET /version``."""
PACKAGE: Final = """
import sys
from kubernetes import client, config
config.load_kube_config()
api = client.VersionApi()
for _ in range(int(sys.argv[1])):
    try:
        api.get_code()
    except client.ApiException as error:
        print(error.status, error.reason, file=sys.stderr)
"""


@frozen(kw_only=True)
class Asked:
    """A request as a server got it.

    Attributes:
        token: Value of ``Authorization``; None without one.
        acts_as: Value of ``Impersonate-User``; None without one.
    """

    token: str | None
    acts_as: str | None


class Api:
    """A server in the place of the API server, with TLS.

    Args:
        folder: Its certificate's.
        name: What becomes its folder's name.
        accepts: Whether it takes a value of ``Authorization``, else it answers 401.

    Attributes:
        cluster: The cluster's entry of a kubeconfig.
        asked: The requests so far.
    """

    def __init__(
        self, folder: Path, *, name: str = "api", accepts: Callable[[str | None], bool] = bool
    ) -> None:
        self.asked: list[Asked] = []
        own = certificate(authority(folder / f"{name}-ca"), folder / name)
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers["Authorization"]
                api.asked.append(Asked(token=token, acts_as=self.headers["Impersonate-User"]))
                body = json.dumps(VERSION).encode()
                self.send_response(200 if accepts(token) or self.path != "/version" else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_given: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls: ssl.SSLContext = server_context(own, wants_certificate=False)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.cluster: dict[str, Any] = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(own / "ca.pem"),
        }
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def tokens(self) -> list[str | None]:
        """Return the values of ``Authorization`` since the last call."""
        found = [asked.token for asked in self.asked]
        self.asked.clear()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Readers:
    """The three of them in one environment.

    Args:
        folder: Its ``HOME`` and ``TMPDIR``.
    """

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(self.temporary),
        }

    def kubectl(self) -> str:
        """Ask as kubectl does; returns what it prints."""
        need("kubectl")
        return self._run("kubectl", "get", "--raw", "/version")

    def package(self, *, times: int = 1, patience: float = PATIENCE) -> str:
        """Ask by the package's ``load_kube_config`` and a call of it; returns what is printed."""
        return self._run(sys.executable, "-c", PACKAGE, str(times), patience=patience)

    def ours(self, *, times: int = 1, patience: float = PATIENCE) -> str:
        """Ask as the spawner does; returns the texts of its errors."""
        said = []
        try:
            client = KubeClient(resolve_access(KubernetesSettings(), self.environ))
        except SpawnerError as error:
            return str(error)
        for _ in range(times):
            try:
                client.call("GET", "/version", timeout=patience)
            except (ApiError, SpawnerError) as error:
                said.append(str(error))
        client.close()
        return "\n".join(said)

    def _run(self, *words: str, patience: float = PATIENCE) -> str:
        done = subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=patience, check=False
        )
        return done.stdout + done.stderr
