"""Where the jobs of an engine live: its id and its address, whatever the way to it."""

from __future__ import annotations

import pytest
from docker_bare import Bare
from docker_case import DockerCase
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")
FORBIDDEN = Rule(Fault.ERROR_500, status=403, path=r"^(/v1\.\d+)?/info")


def test_one_engine_by_socket_and_by_tcp(case: DockerCase, led: DockerCase) -> None:
    """One daemon has one id, whatever the address; endpoints differ, and stay as they are."""
    with Bare(case) as by_socket, Bare(led) as by_tcp:
        first, second = by_socket.spawner.place(), by_tcp.spawner.place()
        assert by_socket.spawner.place() == first
    assert first.id == second.id == case.docker("info", "--format", "{{.ID}}")
    assert first.endpoint.startswith("unix://")
    assert second.endpoint == led.environ["DOCKER_HOST"].lower()


def test_info_opens_and_closes(led: DockerCase, proxy: TransportProxy) -> None:
    """A proxy that forbids INFO hides the id and not the endpoint; jobs go on."""
    with Bare(led) as bare:
        proxy.arm(FORBIDDEN)
        closed = bare.spawner.place()
        bare.spawner.spawn(bare.asked())
        proxy.clear()
        opened = bare.spawner.place()
        proxy.arm(FORBIDDEN)
        again = bare.spawner.place()
        assert bare.status().engine_id == led.inspect("one")["Id"]
    assert (closed.id, again.id) == (None, None)
    assert opened.id is not None
    assert closed.endpoint == opened.endpoint == again.endpoint


def test_no_engine_has_no_id(case: DockerCase) -> None:
    """An engine that is away has its endpoint alone, and nothing is raised."""
    case.environ["DOCKER_HOST"] = f"unix://{case.folder}/none.sock"
    with Bare(case) as bare:
        place = bare.spawner.place()
    assert place.id is None
    assert place.endpoint.endswith("/none.sock")


def test_an_id_that_changes_is_none(led: DockerCase, proxy: TransportProxy) -> None:
    """An id that is another one at each call counts as none, whoever the engine is."""
    for number in (1, 2):
        body = b'{"ID": "%d"}' % number
        headers = (("Content-Type", "application/json"), ("Api-Version", "1.41"))
        proxy.arm(
            Rule(Fault.ERROR_500, status=200, path="/info", body=body, headers=headers, times=1)
        )
    with Bare(led) as bare:
        assert bare.spawner.place().id is None
