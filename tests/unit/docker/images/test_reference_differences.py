"""Image references: where the docker package differs from the docker command, and ours does not."""

from __future__ import annotations

import docker
import pytest
from docker_command import docker_command, stand_in
from spawnery.errors import SpawnFailed
from spawnery_docker.images.reference import Reference


@pytest.mark.tool("docker")
@pytest.mark.parametrize("text", ["Bad/Name:1", "a b", "a:", "a//b", "x@sha256:1"])
def test_the_grammar(text: str) -> None:
    """The docker command and ours refuse what is no reference; the package takes it apart."""
    with stand_in() as engine:
        host = engine.address.replace("http", "tcp")
        said = docker_command({"DOCKER_HOST": host}, "pull", text).stderr
        assert not [asked for asked in engine.asked if asked.startswith(b"POST")]
    assert "invalid reference format" in said
    with pytest.raises(SpawnFailed) as caught:
        Reference.parse(text)
    assert caught.value.cause == "image.invalid"
    assert docker.utils.parse_repository_tag(text)
    assert docker.auth.resolve_repository_name(text)
