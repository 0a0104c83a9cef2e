"""Addresses: where the docker package differs from the docker command, and ours does not.

When a later version of the package passes one of these, that part of ours can go.
"""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
from docker_command import dialled, docker_command, write_context
from docker_host import endpoint_of
from spawnery.errors import ConfigurationError
from spawnery_docker.reach import ssh

NOBODY = "tcp://127.0.0.2:9"


@pytest.mark.tool("docker")
@pytest.mark.parametrize("host", ["tcp://127.0.0.2", "127.0.0.2"])
def test_an_address_without_a_port(host: str) -> None:
    """The docker command and ours take port 2375; the package wants one."""
    assert "tcp://127.0.0.2:2375" in dialled({"DOCKER_HOST": host})
    assert endpoint_of({"DOCKER_HOST": host}).url == "tcp://127.0.0.2:2375"
    with pytest.raises(docker.errors.DockerException, match="port is required"):
        docker.utils.parse_host(host)


@pytest.mark.tool("docker")
@pytest.mark.parametrize("host", ["http://127.0.0.2:9", "TCP://127.0.0.2:9"])
def test_another_scheme(host: str) -> None:
    """The docker command and ours refuse schemes that the package takes."""
    assert "invalid bind address format" in dialled({"DOCKER_HOST": host}).lower()
    with pytest.raises(ConfigurationError):
        endpoint_of({"DOCKER_HOST": host})
    assert docker.utils.parse_host(host) == "http://127.0.0.2:9"


@pytest.mark.tool("docker")
def test_a_port_that_is_none() -> None:
    """The docker command and ours say so; the package fails with a bare ``ValueError``."""
    host = "tcp://127.0.0.2:70000"
    assert "invalid port" in dialled({"DOCKER_HOST": host})
    with pytest.raises(ConfigurationError, match="70000 is no port"):
        endpoint_of({"DOCKER_HOST": host})
    with pytest.raises(ValueError, match="out of range"):
        docker.utils.parse_host(host)


@pytest.mark.tool("docker")
def test_the_order_of_addresses(tmp_path: Path) -> None:
    """A context by name, then DOCKER_HOST, then DOCKER_CONTEXT, as with the docker command."""
    write_context(tmp_path, "far", {"Host": "tcp://127.0.0.3:9"}, {})
    write_context(tmp_path, "near", {"Host": "tcp://127.0.0.4:9"}, {})
    environ = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}
    for variables, name, expected in [
        ({**environ, "DOCKER_HOST": NOBODY}, "near", "tcp://127.0.0.4:9"),
        ({**environ, "DOCKER_HOST": NOBODY}, None, NOBODY),
        (environ, None, "tcp://127.0.0.3:9"),
    ]:
        assert expected in dialled(variables, *(("--context", name) if name else ()))
        assert endpoint_of(variables, name).url == expected


@pytest.mark.tool("docker")
def test_the_default_context() -> None:
    """The context ``default`` is what DOCKER_HOST says."""
    environ = {"DOCKER_HOST": NOBODY}
    assert NOBODY in dialled(environ, "--context", "default")
    assert endpoint_of(environ, "default").url == NOBODY
    assert endpoint_of({"DOCKER_CONTEXT": "default", **environ}).url == NOBODY
    assert endpoint_of({}, "default").url == "unix:///var/run/docker.sock"


@pytest.mark.tool("docker")
def test_the_active_context_is_not_followed(tmp_path: Path) -> None:
    """The one difference from the docker command: a click in a tool does not move jobs."""
    write_context(tmp_path, "far", {"Host": "tcp://127.0.0.3:9"}, {})
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert "tcp://127.0.0.3:9" in dialled(environ)
    assert endpoint_of(environ).url == "unix:///var/run/docker.sock"


@pytest.mark.tool("docker")
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ssh://me@127.0.0.2:22", "-l me -p 22 -- 127.0.0.2"),
        ("ssh://me@[::1]", "-l me -- ::1"),
        ("ssh://[::1]:22", "-p 22 -- ::1"),
        ("ssh://Far", "-- Far"),
    ],
)
def test_ssh(tmp_path: Path, host: str, words: str) -> None:
    """The docker command and ours start the ssh program alike; the package cannot without paramiko.

    That is not installed with it; where it is, each request starts an ssh program of its own, which
    has no time limit and writes on our terminal (7.1, 7.2).
    """
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit 1\n')
    program.chmod(0o755)
    environ = {"DOCKER_HOST": host, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    docker_command(environ, "ps")
    with pytest.raises(OSError, match="ssh ended"):
        ssh.dial(endpoint_of(environ), 10.0)
    theirs, *_, ours = (tmp_path / "asked").read_text().splitlines()
    for asked in (theirs, ours):
        assert asked.endswith(f"{words} docker system dial-stdio")
    with pytest.raises(docker.errors.DockerException, match="paramiko"):
        docker.APIClient(environ["DOCKER_HOST"], version="1.41", use_ssh_client=True)
