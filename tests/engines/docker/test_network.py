"""Our own container and its network, told by Python that really runs in containers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from dind_net import Engine, python_config, python_image
from docker_host import client_of
from spawnery.contract import Deadline
from spawnery_docker.network import Networks

pytestmark = pytest.mark.engine("docker")
PROJECT = "com.docker.compose.project"
LOOK = """
import json
from docker_host import client_of
from spawnery.contract import Deadline
from spawnery_docker.network import Networks
client = client_of({})
networks = Networks(client)
own = networks.own(deadline=Deadline.after(60))
chosen = networks.resolve(deadline=Deadline.after(60))
print(json.dumps({
    "id": own and own.id,
    "way": own and own.way,
    "name": chosen.name,
    "source": chosen.source,
}))
client.close()
"""


@pytest.fixture(scope="module")
def engine(docker_socket: str) -> Engine:
    """The system's engine."""
    return Engine(docker_socket)


@pytest.fixture(scope="module")
def image(engine: Engine) -> Iterator[str]:
    """An image that this Python runs in."""
    with python_image(engine) as name:
        yield name


class Look:
    """Runs the script in containers and returns what it finds."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine, self._image = engine, image

    def __call__(
        self,
        mode: str,
        *more: str,
        hostname: str | None = None,
        labels: dict[str, str] | None = None,
        **host: Any,
    ) -> dict[str, str]:
        config = python_config(self._engine, self._image, LOOK, NetworkMode=mode, **host)
        config["Labels"] = labels or {}
        if hostname is not None:
            config["Hostname"] = hostname
        with self._engine.container(config, *more) as container:
            text = self._engine.output(container)
            assert text.startswith("{"), text
            found = json.loads(text)
            assert found["id"] == container
        return found


@pytest.fixture
def look(engine: Engine, image: str) -> Look:
    """Runs the script in containers."""
    return Look(engine, image)


def test_outside_of_containers(docker_socket: str) -> None:
    """On a host the network is bridge, and the engine is not asked at all."""
    client = client_of({"DOCKER_HOST": f"unix://{docker_socket}"})
    asked: list[object] = []
    client.call = lambda *words, **rest: asked.append(words)
    found = Networks(client, look=lambda: ()).resolve(deadline=Deadline.after(60))
    assert (found.name, asked) == ("bridge", [])
    assert "no container" in found.source


def test_the_network_of_our_container(engine: Engine, look: Look) -> None:
    """A job joins the network that our own container has; the host name tells which that is."""
    with engine.network() as name:
        found = look(name)
    assert found["name"] == name
    assert found["way"].startswith("host name ")
    assert found["id"][:12] in found["source"]


def test_the_default_bridge(look: Look) -> None:
    """In a container on the default bridge it is bridge, found and not assumed."""
    found = look("bridge")
    assert found["name"] == "bridge"
    assert "own container" in found["source"]


@pytest.mark.parametrize("hostname", ["dispatcher", "cafecafecafe"])
def test_a_host_name_of_its_own(engine: Engine, look: Look, hostname: str) -> None:
    """With another host name, one that looks like an id too, the mounts tell."""
    with engine.network() as name:
        found = look(name, hostname=hostname)
    assert found["name"] == name
    assert found["way"].startswith("mount of /etc/")


def test_a_private_cgroup_namespace(engine: Engine, look: Look) -> None:
    """Where the cgroup tells nothing (the default of cgroup v2) the mounts tell."""
    with engine.network() as name:
        found = look(name, hostname="dispatcher", CgroupnsMode="private")
    assert found["name"] == name


def test_the_host_s_network_is_not_passed_on(look: Look) -> None:
    """Our own container may have the host's network; a job gets bridge, and plan says why."""
    found = look("host")
    assert found["name"] == "bridge"
    assert "network mode host" in found["source"]
    assert found["way"].startswith("mount of /etc/")


def test_the_network_of_another_container(engine: Engine, image: str, look: Look) -> None:
    """In the network of another container (mode container:ID) it is that container's."""
    with engine.network() as name:
        config = python_config(engine, image, "import time; time.sleep(300)", NetworkMode=name)
        with engine.container(config) as other:
            engine.ask("POST", f"/containers/{other}/start")
            config = python_config(engine, image, LOOK, NetworkMode=f"container:{other}")
            with engine.container(config) as container:
                found = json.loads(engine.output(container))
    assert found["name"] == name
    assert found["id"] in {container, other}


def test_a_compose_project_s_network_comes_first(engine: Engine, look: Look) -> None:
    """Of several networks the Compose project's default is taken, wherever it stands."""
    project = f"p{uuid.uuid4().hex[:6]}"
    label = {PROJECT: project}
    with (
        engine.network() as other,
        engine.network(f"{project}_back", **label) as back,
        engine.network(f"{project}_default", **label) as default,
    ):
        found = look(other, back, default, labels=label)
    assert found["name"] == default


def test_a_compose_network_with_a_name_of_its_own(engine: Engine, look: Look) -> None:
    """A project's network that Compose was told to name otherwise is known by its label."""
    label = {PROJECT: f"p{uuid.uuid4().hex[:6]}"}
    with engine.network("a-" + uuid.uuid4().hex[:8]) as other, engine.network(**label) as own:
        found = look(other, own, labels=label)
    assert found["name"] == own
