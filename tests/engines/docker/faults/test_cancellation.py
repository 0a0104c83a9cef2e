"""A stop is heard in every step of a spawn; nothing starts afterwards, nothing stays."""

from __future__ import annotations

import json
import threading

import pytest
from docker_bare import Bare
from docker_case import PATIENCE, DockerCase, eventually
from spawnery.contract import Cancellation
from spawnery.errors import SpawnFailed
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")


def stopped(bare: Bare, ready: threading.Event, **fields: object) -> str:
    """Spawn, stop it when a step is reached, and return what is said."""
    cancellation = Cancellation()
    caught: list[SpawnFailed] = []

    def spawn() -> None:
        with pytest.raises(SpawnFailed) as failure:
            bare.spawner.spawn(bare.asked(cancellation=cancellation, job=fields))
        caught.append(failure.value)

    thread = threading.Thread(target=spawn)
    thread.start()
    assert ready.wait(PATIENCE)
    cancellation.cancel()
    thread.join(PATIENCE / 3)
    assert not thread.is_alive()
    assert caught[0].cause == "cancelled"
    return caught[0].message


def test_during_a_pull(case: DockerCase, hanging: tuple[str, threading.Event]) -> None:
    """A pull from a registry that hangs ends with the stop."""
    host, asked = hanging
    with Bare(case) as bare:
        said = stopped(bare, asked, image=f"{host}/x:1")
    assert said == f"cancelled while pulling {host}/x:1"
    assert case.containers() == set()


def test_during_a_credential_helper(case: DockerCase) -> None:
    """A credential helper that hangs is killed."""
    here = case.folder / "bin"
    here.mkdir()
    helper = here / "docker-credential-slow"
    helper.write_text(f"#!/bin/sh\ntouch {case.folder}/asked\nsleep 300\n")
    helper.chmod(0o755)
    (case.folder / ".docker").mkdir()
    (case.folder / ".docker" / "config.json").write_text(json.dumps({"credsStore": "slow"}))
    case.environ["PATH"] = f"{here}:{case.environ['PATH']}"
    ready = threading.Event()

    def look() -> None:
        eventually((case.folder / "asked").exists)
        ready.set()

    threading.Thread(target=look).start()
    with Bare(case) as bare:
        said = stopped(bare, ready, image="127.0.0.1:9/x:1")
    assert said == "cancelled while pulling 127.0.0.1:9/x:1"


@pytest.mark.parametrize("step", ["/containers/create", "/start"])
@pytest.mark.parametrize("side", ["on_request", "on_response"])
def test_during_a_request(led: DockerCase, proxy: TransportProxy, step: str, side: str) -> None:
    """A create or a start whose answer does not come is resolved by a look."""
    ready, release = threading.Event(), threading.Event()

    def hold(seen: Seen) -> None:
        if step in seen.path and seen.method == "POST":
            ready.set()
            release.wait(PATIENCE)
            if side == "on_request":
                raise ConnectionError

    setattr(proxy, side, hold)
    with Bare(led) as bare:
        try:
            said = stopped(bare, ready)
        finally:
            release.set()
        assert said.startswith(("cancelled while creating", "cancelled while starting"))
        assert led.containers() == set()
