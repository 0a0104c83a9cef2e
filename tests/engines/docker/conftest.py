"""What tests of jobs on a real Docker engine share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_case import DockerCase
from docker_images import make_busybox
from registry import in_engines_network
from spawnery.testing.proxy import TransportProxy


@pytest.fixture(scope="session")
def docker_engine(docker_socket: str) -> str:
    """The address of the engine, which has the image of the tests."""
    address = f"unix://{docker_socket}"
    make_busybox(address)
    return address


@pytest.fixture
def case(docker_engine: str, tmp_path: Path) -> Iterator[DockerCase]:
    """A corner of the engine for one test."""
    made = DockerCase(tmp_path, docker_engine)
    yield made
    made.close()


@pytest.fixture
def proxy(docker_engine: str) -> Iterator[TransportProxy]:
    """A way to the engine that counts, and on which things happen."""
    with TransportProxy(docker_engine) as made:
        yield made


@pytest.fixture
def led(tmp_path: Path, docker_engine: str, proxy: TransportProxy) -> Iterator[DockerCase]:
    """A corner of the engine whose spawners go through the proxy."""
    made = DockerCase(tmp_path, docker_engine)
    made.environ["DOCKER_HOST"] = proxy.address
    yield made
    made.close()


@pytest.fixture
def hanging() -> Iterator[tuple[str, threading.Event]]:
    """A registry that takes requests and never answers: its address, and whether it was asked."""
    asked = threading.Event()
    kept: list[socket.socket] = []
    with in_engines_network(lambda: socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return
                asked.set()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
    for line in kept:
        line.close()
