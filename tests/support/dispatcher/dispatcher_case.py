"""A dispatcher as a process of its own, to be killed and started again."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from redis_case import free_port
from slack_server import APP_TOKEN, SECRET, TOKEN

T = TypeVar("T")

PATIENCE = 90.0
UNLIMITED = """
[limits]
jobs = 5000
per_project = 5000
per_user = 5000
per_channel = 5000
queue = 5000
"""
"""Lines of dispatcher.toml under which no job waits and none is refused."""
DEMO_AGENT = [sys.executable, "-m", "spawnery_agent.demo"]


def until(
    look: Callable[[], T],
    *,
    why: str,
    seconds: float = PATIENCE,
    instead: Callable[[], object] | None = None,
) -> T:
    """Ask again until the answer is true; returns it. ``instead`` tells what there was."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() >= end:
            told = f"; there was: {instead()}" if instead is not None else ""
            raise AssertionError(f"waited {seconds:g} s in vain: {why}{told}")
        time.sleep(0.05)
    return found


def instance_of(folder: Path) -> str:
    """Return the instance of the dispatchers in a folder, unlike that of any other test's.

    Tests share engines: what another one left behind is not to be taken for one's own.
    """
    return f"case-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


class Dispatcher:
    """``spawnery-dispatcher serve`` with a configuration of a test's own.

    Args:
        folder: For configuration, state and log; dispatchers side by side are of one instance.
        redis_url: Its Redis.
        slack_api: Address of Slack's API; Slack is off without one.
        intake: How Slack's events come in.
        spawner: ``SPAWNER_TYPE``.
        extra: Further lines of dispatcher.toml.
        environ: Further variables.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        slack_api: str = "",
        intake: str = "events",
        spawner: str = "local",
        project: str | None = None,
        extra: str = "",
        environ: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "dispatcher.log"
        self._process: subprocess.Popen[bytes] | None = None
        demo = f'command = {json.dumps(DEMO_AGENT)}\nforward = ["DEMO_TOKEN"]'
        slack = f'intake = "{intake}"\napi_url = "{slack_api}"\nupdate_seconds = 0.1'
        config = folder / "dispatcher.toml"
        config.write_text(
            "\n".join(
                [
                    f'instance = "{instance_of(folder.parent)}"',
                    'default_project = "demo"',
                    f'[redis]\nurl = "{redis_url}"',
                    f"[server]\nport = {self.port}",
                    f"[slack]\n{slack}" if slack_api else "",
                    f"[projects.demo]\n{demo if project is None else project}",
                    extra,
                ]
            )
        )
        self.environ = {
            **{k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}},
            "SPAWNER_TYPE": spawner,
            "SPAWNERY_STATE_DIR": str(folder / "state"),
            "SPAWNERY_SETTLE_SECONDS": "0.5",
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "DISPATCHER_CONFIG": str(config),
            "DEMO_TOKEN": "planted-secret-0123456789",
            **(environ or {}),
        }

    def start(self, **environ: str) -> None:
        """Start it and wait until it takes messages."""
        self.launch(**environ)
        until(lambda: self.get("/readyz")[0] == 200, why=f"the dispatcher is ready ({self.log})")

    def launch(self, **environ: str) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spawnery_dispatcher", "serve"],
                env={**self.environ, **environ},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Crash it."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(60)
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def wait_dead(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process is not None
        self._process.wait(PATIENCE)
        self._process = None

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """GET a path; status 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """POST JSON to a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request("POST", path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text
        finally:
            connection.close()
