"""Whole jobs over each kind of connection: requests, waits, attached logs and events."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ssh_server
from certificates import authority, certificate, server_context
from connect_proxy import ConnectProxy
from docker_case import DockerCase, eventually, output, running, sh
from spawnery.model import JobState
from spawnery.testing.proxy import TransportProxy
from spawnery_docker.reach import transport

pytestmark = pytest.mark.engine("docker")
PATIENCE = 60.0


@pytest.fixture(params=["tcp", "tls", "ssh", "proxied tcp", "proxied tls"])
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
    elif request.param == "proxied tcp":
        path = docker_engine.removeprefix("unix://")
        with ConnectProxy("me:planted-Proxy-Pass", leads_to=path) as proxy:
            # An address for documentation (RFC 5737): nothing but the proxy leads there.
            address = f"http://me:planted-Proxy-Pass@{proxy.address}"
            yield {"DOCKER_HOST": "tcp://192.0.2.1:2375", "HTTP_PROXY": address}
            assert set(proxy.asked) == {"192.0.2.1:2375"}
    elif request.param == "proxied tls":
        ours = authority(tmp_path / "ours")
        user = certificate(ours, tmp_path / "user")
        engine = certificate(ours, tmp_path / "engine", address="192.0.2.1")
        context = server_context(engine, wants_certificate=True)
        with (
            TransportProxy(docker_engine, server_tls=context) as behind,
            ConnectProxy(leads_to=behind.address.removeprefix("tcp://")) as proxy,
        ):
            tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(user)}
            tls["HTTPS_PROXY"] = f"http://{proxy.address}"
            yield {"DOCKER_HOST": "tcp://192.0.2.1:2376", **tls}
            assert set(proxy.asked) == {"192.0.2.1:2376"}
    else:
        folder = tmp_path / "ssh"
        folder.mkdir()
        with ssh_server.running_sshd(folder) as server:
            yield {"DOCKER_HOST": server.docker_host, "PATH": server.environ["PATH"]}


def test_the_life_of_jobs(case: DockerCase, reached: dict[str, str]) -> None:
    """Output, exit codes, tails and stops are the same over TCP, TLS and ssh, and by proxies."""
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


@pytest.fixture
def busy(docker_engine: str) -> Iterator[str]:
    """The address of an engine whose queue of connections is short, and mostly full."""
    folder = Path(tempfile.mkdtemp(prefix="spq-", dir="/tmp"))
    path = folder / "docker.sock"

    def relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(listener: socket.socket, held: contextlib.ExitStack) -> None:
        while True:
            time.sleep(0.1)
            try:
                client = held.enter_context(listener.accept()[0])
            except OSError:
                return
            engine = held.enter_context(socket.socket(socket.AF_UNIX))
            engine.connect(docker_engine.removeprefix("unix://"))
            for pair in ((client, engine), (engine, client)):
                threading.Thread(target=relay, args=pair, daemon=True).start()

    with contextlib.ExitStack() as held, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        serving = threading.Thread(target=serve, args=(listener, held), daemon=True)
        serving.start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(PATIENCE)
    shutil.rmtree(folder)


def test_a_full_queue_of_connections(
    case: DockerCase, busy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that find no place wait for one: no spawn, no wait and no job fails of it."""
    waited: list[str] = []
    wait_in_queue = transport._wait_in_queue

    def counted(sock: socket.socket, path: str, timeout: float) -> None:
        waited.append(path)
        wait_in_queue(sock, path, timeout)

    monkeypatch.setattr(transport, "_wait_in_queue", counted)
    with case.open(DOCKER_HOST=busy) as spawner, ThreadPoolExecutor(8) as crowd:
        jobs = [f"j{number}" for number in range(8)]
        specs = [sh(f"exit {number}", job_id=job) for number, job in enumerate(jobs)]
        handles = list(crowd.map(spawner.spawn, specs))
        codes = [spawner.wait(handle.job_id, PATIENCE).exit_code for handle in handles]
    assert codes == list(range(8))
    assert waited
