"""A Compose project of ours on the machine's engine, with Slack beside it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from docker_bridge import host_address
from redis_case import free_port
from service_images import make_images
from slack_server import SECRET, TOKEN, SlackServer
from tools import need

ROOT: Final = Path(__file__).resolve().parents[3]
PLANTED: Final = "planted-token-0123456789abcdef"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - containers do not reach the loopback interface


def docker(*words: str, **environ: str) -> str:
    """Run the docker command in the root of the repository; returns what it prints."""
    done = attempt(*words, **environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the docker command, which may fail."""
    return subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def agents() -> list[str]:
    """Return the names of the containers of agents."""
    return docker("ps", "-a", "--filter", "name=agentsmith-demo-", "--format", "{{.Names}}").split()


class Project:
    """A project that is up.

    Attributes:
        name: Compose's name of it.
        slack: The Slack that its dispatcher talks to.
        port: Where its dispatcher listens.
    """

    def __init__(
        self, name: str, files: Sequence[str], slack: SlackServer, environ: dict[str, str]
    ) -> None:
        self.name = name
        self.slack = slack
        self.port = int(environ["DISPATCHER_PORT"])
        self._words = ("compose", "-p", name, *(word for file in files for word in ("-f", file)))
        self._environ = environ

    def run(self, *words: str) -> str:
        """Run a command of Compose; returns what it prints."""
        return docker(*self._words, *words, **self._environ)

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Compose, which may fail."""
        return attempt(*self._words, *words, **self._environ)

    def up(self) -> None:
        """Bring it up, and wait until all of it is healthy."""
        self.run("up", "-d", "--no-build", "--wait", "--wait-timeout", "180")


def read_config(*files: str) -> dict[str, Any]:
    """Return what Compose reads from files in the root of the repository."""
    need("docker compose")
    words = [word for file in files for word in ("-f", file)]
    return dict(json.loads(docker("compose", *words, "config", "--format", "json")))


@contextmanager
def project(name: str, folder: Path, *files: str, **environ: str) -> Iterator[Project]:
    """Bring a project up, and down at the end; images are made on this machine.

    Args:
        name: Compose's name of it.
        folder: For its configuration.
        files: Compose files in the root of the repository.
        environ: Further variables for Compose.
    """
    need("docker compose")
    make_images()
    with SlackServer(_EVERYWHERE) as slack:
        config = folder / "dispatcher.toml"
        example = (ROOT / "examples" / "dispatcher.toml").read_text()
        api = f'api_url = "http://{host_address()}:{slack.port}/api/"'
        config.write_text(example.replace('intake = "events"', f'intake = "events"\n{api}'))
        given = {
            "DISPATCHER_TOML": str(config),
            "DISPATCHER_PORT": str(free_port()),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "GITHUB_TOKEN": PLANTED,
            "ANTHROPIC_API_KEY": "",
            **environ,
        }
        made = Project(name, files, slack, given)
        try:
            made.up()
            yield made
        finally:
            made.run("down", "-v", "-t", "5")
