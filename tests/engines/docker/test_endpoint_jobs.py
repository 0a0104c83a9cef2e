"""Whole jobs over each kind of connection: requests, waits, attached logs and events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ssh_server
from certificates import authority, certificate, server_context
from docker_case import DockerCase, eventually, output, running, sh
from spawnery.outcomes import JobState
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")
PATIENCE = 60.0


@pytest.fixture(params=["tcp", "tls", "ssh"])
def reached(request: pytest.FixtureRequest, docker_engine: str, tmp_path: Path) -> Iterator[dict]:
    """The variables by which the engine is reached."""
    if request.param == "tcp":
        with TransportProxy(docker_engine) as proxy:
            yield {"DOCKER_HOST": proxy.address}
    elif request.param == "tls":
        ours = authority(tmp_path / "ours")
        engine, user = certificate(ours, tmp_path / "engine"), certificate(ours, tmp_path / "user")
        context = server_context(engine, wants_certificate=True)
        with TransportProxy(docker_engine, server_tls=context) as proxy:
            tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(user)}
            yield {"DOCKER_HOST": proxy.address, **tls}
    else:
        folder = tmp_path / "ssh"
        folder.mkdir()
        with ssh_server.running_sshd(folder) as server:
            yield {"DOCKER_HOST": server.docker_host, "PATH": server.environ["PATH"]}


def test_the_life_of_jobs(case: DockerCase, reached: dict[str, str]) -> None:
    """Output, exit codes, tails and stops are the same over TCP, TLS and ssh."""
    with case.open(**reached) as spawner:
        assert output(spawner, sh("echo out", job_id="out")) == "out\n"
        spawner.spawn(sh("echo broken >&2; exit 3", job_id="fails"))
        outcome = spawner.wait("fails", PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
        assert "broken" in outcome.log_tail
        spawner.spawn(sh("sleep 600", job_id="stays"))
        running(spawner, "stays")
        assert spawner.stop("stays", grace_seconds=0).state is JobState.CANCELLED
    eventually(lambda: not case.containers())


def test_a_large_log(case: DockerCase, reached: dict[str, str]) -> None:
    """A log of two megabytes in one go comes whole."""
    script = "i=0; while [ $i -lt 20000 ]; do echo $i-" + "x" * 95 + "; i=$((i+1)); done"
    with case.open(**reached) as spawner:
        lines = output(spawner, sh(script, job_id="large")).splitlines()
    assert len(lines) == 20000
    assert lines[-1].startswith("19999-")
