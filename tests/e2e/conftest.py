"""The command line in a process of its own, on a state directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

LIMIT = 60.0


class Cli:
    """Runs ``spawnery`` with an environment that holds nothing of ours by chance."""

    def __init__(self, folder: Path, spawner: str = "local") -> None:
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SPAWNER_TYPE": spawner,
            "SPAWNERY_STATE_DIR": str(folder / "state"),
            "SPAWNERY_STOP_GRACE_SECONDS": "20",
        }
        for name in ("PYTHONPATH", "COVERAGE_PROCESS_START"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self._started: list[subprocess.Popen[bytes]] = []

    def command(self, *args: str) -> list[str]:
        """Return the command line as a list."""
        return [sys.executable, "-m", "spawnery", *args]

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        stdin: bytes | None = None,
        **more: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end; in ``env``, None takes a variable away."""
        source: dict[str, Any] = (
            {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        )
        return subprocess.run(
            self.command(*args),
            env=self._env(env),
            cwd=self.folder,
            timeout=LIMIT,
            check=False,
            **({"capture_output": True} | source | more),
        )

    def start(
        self, *args: str, env: Mapping[str, str | None] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        """Start it, with pipes for stdout and stderr."""
        defaults: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process = subprocess.Popen(
            self.command(*args), env=self._env(env), cwd=self.folder, **(defaults | more)
        )
        self._started.append(process)
        return process

    def ok(self, *args: str, **more: Any) -> str:
        """Run it, demand exit code 0 and return its stdout as text."""
        done = self(*args, **more)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout.decode()

    def json(self, *args: str, **more: Any) -> Any:
        """Run it with ``--json`` and return the document."""
        return json.loads(self.ok("--json", *args, **more))

    def close(self) -> None:
        """End every process that is left, and every job."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=LIMIT)
        ids = self("ps", "-a", "-q").stdout.decode().split()
        if ids:
            self("rm", "--force", *ids)

    def _env(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        merged = {**self.env, **(changes or {})}
        return {key: value for key, value in merged.items() if value is not None}


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command on the local engine."""
    made = Cli(tmp_path)
    yield made
    made.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Call something until it returns what is true, and return that."""

    def poll(probe: Callable[[], Any]) -> Any:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            found = probe()
            if found:
                return found
            time.sleep(0.05)
        message = f"not true within {LIMIT} seconds: {probe}"
        raise AssertionError(message)

    return poll
