"""What the doctor says of a real engine, and of what is none."""

from __future__ import annotations

import json
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
from dind_net import Engine, python_config, python_image
from docker_host import endpoint_of, runtime_of
from registry import free_port
from spawnery.contract import CheckItem
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy
from spawnery_docker.check.doctor import Doctor
from spawnery_docker.client import DockerClient
from spawnery_docker.network.choice import Networks

pytestmark = pytest.mark.engine("docker")


@contextmanager
def doctor_of(
    folder: Path, environ: dict[str, str], network: str | None = None
) -> Iterator[Doctor]:
    """Make a doctor for the engine that an environment names."""
    endpoint = endpoint_of(environ)
    client = DockerClient(endpoint)
    yield Doctor(
        client=client,
        endpoint=endpoint,
        runtime=runtime_of(folder, environ),
        networks=Networks(client),
        network=network,
    )
    client.close()


def findings(
    folder: Path, environ: dict[str, str], network: str | None = None
) -> dict[str, CheckItem]:
    """Return what the doctor finds, by name."""
    with doctor_of(folder, environ, network) as doctor:
        items = doctor.examine()
    found = {item.name: item for item in items}
    assert len(found) == len(items), "two findings have the same name"
    return found


@pytest.fixture
def host(docker_socket: str) -> dict[str, str]:
    """The environment that names the engine."""
    return {"DOCKER_HOST": f"unix://{docker_socket}"}


def test_a_sound_engine(docker_socket: str, host: dict[str, str], tmp_path: Path) -> None:
    """Version, API, storage, cgroup, limits, live-restore and security are those of the engine."""
    engine = Engine(docker_socket)
    info, version = engine.ask("GET", "/info"), engine.ask("GET", "/version")
    found = findings(tmp_path, host)
    assert found["package"].detail.startswith("spawnery-docker ")
    assert f"with docker {metadata.version('docker')}," in found["package"].detail
    assert found["endpoint"].detail == f"unix://{docker_socket} (DOCKER_HOST)"
    assert version["Version"] in found["engine"].detail
    assert f"API {version['ApiVersion']}" in found["engine"].detail
    assert found["storage"].detail == info["Driver"]
    assert f"version {info.get('CgroupVersion', '1')}" in found["cgroup"].detail
    assert found["live-restore"].detail.startswith("on" if info["LiveRestoreEnabled"] else "off")
    assert found["limits"].level == (
        "ok" if info["MemoryLimit"] and info["PidsLimit"] else "warning"
    )
    assert "seccomp" in found["security"].detail
    assert "bridge" in found["network"].detail
    assert not [item for item in found.values() if item.level == "failed"]


def test_the_setting_names_a_network(
    docker_socket: str, host: dict[str, str], tmp_path: Path
) -> None:
    """The network of DOCKER_NETWORK is looked for: there with its driver, or missing."""
    with Engine(docker_socket).network() as name:
        there = findings(tmp_path, host, name)["network"]
    assert (there.level, there.detail) == ("ok", f"{name} (DOCKER_NETWORK), driver bridge")
    gone = findings(tmp_path, host, name)["network"]
    assert gone.level == "failed"
    assert gone.hint == f"docker network create {name}"


EXAMINE = """
import json
from pathlib import Path
from docker_host import endpoint_of, runtime_of
from spawnery_docker.client import DockerClient
from spawnery_docker.check.doctor import Doctor
from spawnery_docker.network.choice import Networks
endpoint = endpoint_of({})
client = DockerClient(endpoint)
doctor = Doctor(client=client, endpoint=endpoint, runtime=runtime_of(Path("/tmp")),
                networks=Networks(client))
print(json.dumps({item.name: item.detail for item in doctor.examine()}))
client.close()
"""


def test_the_own_container_and_how_it_was_found(docker_socket: str) -> None:
    """In a container its id, the trace that led to it and its networks are told."""
    engine = Engine(docker_socket)
    with engine.network() as name, python_image(engine) as image:
        config = python_config(engine, image, EXAMINE, NetworkMode=name)
        with engine.container({**config, "Hostname": "dispatcher"}) as container:
            found = json.loads(engine.output(container))
    assert found["own container"].startswith(container[:12])
    assert "found by mount of /etc/" in found["own container"]
    assert name in found["own container"]
    assert found["network"].startswith(name)


def test_nobody_there(tmp_path: Path) -> None:
    """Without an engine that is the finding, with its hint; the check goes on to what is ours."""
    found = findings(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert found["engine"].level == "failed"
    assert "no such socket" in found["engine"].detail
    assert "systemctl start docker" in found["engine"].hint
    assert "open files" in found
    assert "network" not in found


def test_a_port_that_nobody_listens_at(tmp_path: Path) -> None:
    """Refused is told as such."""
    found = findings(tmp_path, {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"})
    assert "refused" in found["engine"].detail


@contextmanager
def answering(words: bytes) -> Iterator[str]:
    """A port that answers every connection with the same words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    sock.recv(4096)
                    sock.sendall(words)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
        b"-ERR unknown command 'GET'\r\n",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    ],
)
def test_something_else_that_answers(tmp_path: Path, words: bytes) -> None:
    """A web server, Redis or a TLS port is no Docker engine, and the address is named."""
    with answering(words) as address:
        found = findings(tmp_path, {"DOCKER_HOST": address})
    assert found["engine"].level == "failed"
    assert "no Docker engine" in found["engine"].detail
    assert address in found["engine"].detail
    assert "DOCKER_HOST" in found["engine"].hint


def test_an_engine_that_is_too_old(docker_socket: str, tmp_path: Path) -> None:
    """An engine that says API 1.30 is too old, and what is needed is told."""
    headers = (("Api-Version", "1.30"), ("Content-Type", "application/json"))
    old = Rule(Fault.ERROR_500, status=200, body=b"{}", headers=headers)
    with TransportProxy(f"unix://{docker_socket}") as proxy:
        proxy.arm(old)
        found = findings(tmp_path, {"DOCKER_HOST": proxy.address})
    assert found["engine"].level == "failed"
    assert "1.30" in found["engine"].detail
    assert "1.40" in found["engine"].detail


def test_an_engine_that_hangs(docker_socket: str, tmp_path: Path) -> None:
    """An engine that does not answer is told within the limit for one call."""
    with TransportProxy(f"unix://{docker_socket}") as proxy:
        proxy.arm(Rule(Fault.STALL))
        endpoint = endpoint_of({"DOCKER_HOST": proxy.address})
        client = DockerClient(endpoint)
        doctor = Doctor(
            client=client,
            endpoint=endpoint,
            runtime=runtime_of(tmp_path, io_timeout_seconds=1.0),
            networks=Networks(client),
        )
        found = {item.name: item for item in doctor.examine()}
    assert found["engine"].level == "failed"
    assert "1 s" in found["engine"].detail


def test_a_proxy_that_tells_little(docker_socket: str, tmp_path: Path) -> None:
    """Behind a socket proxy without /info and /networks the check warns and does not fail."""
    with TransportProxy(f"unix://{docker_socket}") as proxy:
        proxy.arm(Rule(Fault.ERROR_500, path="/(info|networks)", status=403, body=b"forbidden"))
        found = findings(tmp_path, {"DOCKER_HOST": proxy.address}, "anything")
    assert found["engine"].level == "ok"
    assert found["engine facts"].level == "warning"
    assert found["network"].level == "ok"
    assert "403" in found["network"].detail


def test_few_open_files(
    host: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A low limit of open files is a warning that says for how many jobs it is enough."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    try:
        found = findings(tmp_path, host)["open files"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found.level == "warning"
    assert "256 jobs" in found.detail
    assert "ulimit -n" in found.hint
