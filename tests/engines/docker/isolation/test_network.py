"""Our own container and its network, told by Python that really runs in containers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from dind_net import Engine, python_config, python_image
from docker_case import DockerCase, sh
from docker_host import client_of
from docker_images import BUSYBOX
from spawnery import JobState, Spawner
from spawnery.contract import Deadline
from spawnery_docker.network.choice import Networks

pytestmark = pytest.mark.engine("docker")
PROJECT = "com.docker.compose.project"
LOOK = """
import json
from docker_host import client_of
from spawnery.contract import Deadline
from spawnery_docker.network.choice import Networks
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


# -- jobs ----------------------------------------------------------------------------------------

SPAWN = """
import json, os, sys
from spawnery import JobSpec, Spawner
environ = {**os.environ, **json.loads(sys.argv[1]), "SPAWNERY_STATE_DIR": "/tmp/state"}
with Spawner.open("docker", environ=environ) as spawner:
    spec = JobSpec(job_id="inner", image=sys.argv[2], command=["sleep", "600"])
    spawner.spawn(spec)
    print(json.dumps(spawner.plan(spec).notes))
"""


def spawned_inside(
    engine: Engine, image: str, case: DockerCase, mode: str, **variables: str
) -> str:
    """Spawn a job from within a container; the network mode of the job's container."""
    mine = {
        "SPAWNERY_INSTANCE": case.instance,
        "SPAWNERY_NAME_PREFIX": case.prefix,
        **variables,
    }
    config = python_config(engine, image, SPAWN, json.dumps(mine), BUSYBOX, NetworkMode=mode)
    with engine.container({**config, "Hostname": "dispatcher"}) as container:
        text = engine.output(container)
    shown = case.inspect("inner")
    assert list(shown["NetworkSettings"]["Networks"]) == [shown["HostConfig"]["NetworkMode"]], text
    case.docker("rm", "-f", f"{case.prefix}-inner")
    return str(shown["HostConfig"]["NetworkMode"])


def test_a_job_joins_the_network_of_the_dispatcher(
    engine: Engine, image: str, case: DockerCase
) -> None:
    """A job that is spawned in a container gets that container's network."""
    with engine.network() as name:
        assert spawned_inside(engine, image, case, name) == name


def test_the_setting_comes_before_the_own_network(
    engine: Engine, image: str, case: DockerCase
) -> None:
    """DOCKER_NETWORK wins over the network of our own container."""
    with engine.network() as own, engine.network() as other:
        assert spawned_inside(engine, image, case, own, DOCKER_NETWORK=other) == other


def test_on_a_host_it_is_bridge(case: DockerCase) -> None:
    """Without a setting and outside of containers a job gets bridge."""
    environ = {k: v for k, v in case.environ.items() if k != "DOCKER_NETWORK"}
    with Spawner.open(environ=environ) as spawner:
        spawner.spawn(sh("sleep 600", job_id="plain"))
        shown = case.inspect("plain")
        spawner.stop("plain", grace_seconds=0)
    assert shown["HostConfig"]["NetworkMode"] == "bridge"


def test_a_network_that_is_not_there(case: DockerCase) -> None:
    """It is network.not_found with the name, who named it and the command; nothing is left."""
    with case.open(DOCKER_NETWORK="nowhere-net") as spawner:
        spawner.spawn(sh("exit 0", job_id="lost"))
        outcome = spawner.wait("lost", 60)
    assert outcome.cause == "network.not_found"
    assert "nowhere-net" in outcome.message
    assert "DOCKER_NETWORK" in outcome.message or "setting" in outcome.message
    assert outcome.hint.startswith("docker network create nowhere-net")
    assert case.containers() == set()


@pytest.mark.parametrize(("retention", "subnet"), [(0, "10.199.83.0/30"), (60, "10.199.83.4/30")])
def test_a_network_without_a_free_address(case: DockerCase, retention: int, subnet: str) -> None:
    """The engine's words on a failed start are the outcome's, also where it removes the container.

    A /30 has one address beside the gateway's.
    """
    network = f"{case.prefix}-tiny"
    case.docker("network", "create", "--subnet", subnet, network)
    try:
        with case.open() as spawner:
            spawner.spawn(sh("sleep 600", job_id="first", network=network, retention_seconds=60))
            spec = sh("echo hi", job_id="second", network=network, retention_seconds=retention)
            outcome = spawner.wait(spawner.spawn(spec).job_id, 60)
            assert (outcome.state, outcome.started_at) == (JobState.FAILED, None)
            assert "no available IPv4 addresses" in outcome.message
            assert "docker network create --subnet" in outcome.hint
            spawner.remove("first", force=True)
    finally:
        for name in case.containers():
            case.docker("rm", "-f", name)
        case.docker("network", "rm", network)
