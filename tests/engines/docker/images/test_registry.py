"""Pulls from Debian's docker-registry, with and without a password."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_host import client_of, runtime_of
from registry import PASSWORD, USER, Registry, make_image, running_registry
from spawnery.contract import Deadline
from spawnery.errors import SpawnFailed
from spawnery.model import JobEvent, JobSpec, PullPolicy
from spawnery_docker.images.store import ImageFacts, Images

pytestmark = [
    pytest.mark.engine("docker"),
    pytest.mark.tool("docker-registry"),
]


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without a password."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password."""
    with running_registry(tmp_path_factory.mktemp("registry"), password=True) as registry:
        yield registry


@pytest.fixture
def pull(docker_socket: str, tmp_path: Path):
    """Pull an image with a given environment; what was pulled goes away afterwards."""
    client = client_of({"DOCKER_HOST": f"unix://{docker_socket}"})
    pulled: list[ImageFacts] = []
    events: list[JobEvent] = []

    def pull(name: str, environ: dict[str, str] | None = None) -> ImageFacts:
        images = Images(client, runtime_of(tmp_path, environ, events.append))
        job = JobSpec(job_id="registry", image=name)
        facts = images.ensure(job, PullPolicy.IF_NOT_PRESENT, deadline=Deadline.after(60))
        pulled.append(facts)
        return facts

    pull.events = events
    yield pull
    for facts in pulled:
        with client.within(60) as engine:
            engine.remove_image(facts.id, force=True)
    client.close()


def written(folder: Path, config: dict[str, object]) -> dict[str, str]:
    """Write a config file of the docker command; the environment that names it."""
    (folder / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}


def login(host: str, password: str = PASSWORD) -> dict[str, object]:
    """Return what docker login writes."""
    text = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return {"auths": {host: {"auth": text}}}


def test_an_open_registry(open_registry: Registry, pull) -> None:
    """An image of several layers is pulled; its digest is the registry's."""
    image = make_image(layers=3, padding=100_000)
    facts = pull(open_registry.put("team/open", "1", image))
    assert facts.digest == image.digest
    assert facts.pulled_seconds > 0


@pytest.mark.parametrize("name", ["team/open:absent", "team/absent:1"])
def test_an_image_that_the_registry_lacks(open_registry: Registry, pull, name: str) -> None:
    """A tag or a repository that is not there is image.not_found."""
    open_registry.put("team/open", "1", make_image())
    with pytest.raises(SpawnFailed) as caught:
        pull(f"{open_registry.host}/{name}")
    assert caught.value.cause == "image.not_found"
    assert f"docker pull {open_registry.host}/{name}" in caught.value.hint


def test_no_password(closed_registry: Registry, pull, tmp_path: Path) -> None:
    """Without a login it is image.auth: which file was looked at, and the docker login to run."""
    name = closed_registry.put("team/closed", "none", make_image())
    with pytest.raises(SpawnFailed) as caught:
        pull(name)
    assert caught.value.cause == "image.auth"
    assert f"{tmp_path}/.docker/config.json: No such file" in caught.value.message
    assert f"docker login {closed_registry.host}" in caught.value.hint


def test_a_wrong_password(closed_registry: Registry, pull, tmp_path: Path) -> None:
    """A wrong password is image.auth too; whose it was is told, itself it is not."""
    name = closed_registry.put("team/closed", "wrong", make_image())
    wrong = "planted-Wrong-9"
    with pytest.raises(SpawnFailed) as caught:
        pull(name, written(tmp_path, login(closed_registry.host, wrong)))
    assert caught.value.cause == "image.auth"
    assert USER in caught.value.message
    assert wrong not in f"{caught.value}{caught.value!r}"


def test_the_password_of_the_config_file(closed_registry: Registry, pull, tmp_path: Path) -> None:
    """With the password of docker login the image is pulled; no event shows it."""
    image = make_image()
    name = closed_registry.put("team/closed", "file", image)
    facts = pull(name, written(tmp_path, login(closed_registry.host)))
    assert facts.digest == image.digest
    assert PASSWORD not in repr([facts, pull.events])


@pytest.mark.parametrize("keys", ["credHelpers", "credsStore"])
def test_the_password_of_a_helper(
    closed_registry: Registry, pull, tmp_path: Path, keys: str
) -> None:
    """A credential helper, for one registry or for all, gives the password."""
    image = make_image()
    name = closed_registry.put("team/closed", keys.lower(), image)
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    program = tmp_path / "docker-credential-demo"
    program.write_text(f"#!/bin/sh\n[ \"$(cat)\" = {closed_registry.host} ] && echo '{answer}'\n")
    program.chmod(0o755)
    config = {keys: {closed_registry.host: "demo"} if keys == "credHelpers" else "demo"}
    assert pull(name, written(tmp_path, config)).digest == image.digest
