"""Contexts: where the docker package differs from the docker command, and ours does not.

When a later version of the package passes one of these, that part of ours can go.
"""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
from certificates import authority, certificate, server_context
from docker.context import ContextAPI
from docker_command import dialled, docker_command, secured_stand_in, stand_in, write_context
from docker_host import endpoint_of
from spawnery.errors import ConfigurationError

pytestmark = pytest.mark.tool("docker")
SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The folder of contexts; the package reads our process's environment alone."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    (folder / "config.json").write_text("{}")
    return {"DOCKER_CONFIG": str(folder)}


def test_a_context_that_is_not_there(environ: dict[str, str]) -> None:
    """The docker command and ours say so; the package goes to the usual socket."""
    assert '"gone"' in dialled(environ, "--context", "gone")
    with pytest.raises(ConfigurationError, match="'gone'"):
        endpoint_of(environ, "gone")
    assert ContextAPI.get_context("gone") is None
    if hasattr(ContextAPI, "kwargs_from_context"):  # since 7.2
        assert ContextAPI.kwargs_from_context("gone") == {}


def test_a_context_without_a_docker_endpoint(environ: dict[str, str]) -> None:
    """The docker command and ours say so; the package goes to the usual socket."""
    write_context(Path(environ["DOCKER_CONFIG"]), "bare", None, {})
    assert "cannot find docker endpoint" in dialled(environ, "--context", "bare")
    with pytest.raises(ConfigurationError, match="has no docker endpoint"):
        endpoint_of(environ, "bare")
    assert ContextAPI.get_context("bare").Host == SOCKET


def test_a_damaged_context(environ: dict[str, str]) -> None:
    """The docker command and ours say what is wrong; the package raises a bare ``Exception``."""
    write_context(Path(environ["DOCKER_CONFIG"]), "odd", {}, {})
    (meta,) = Path(environ["DOCKER_CONFIG"]).glob("contexts/meta/*/meta.json")
    meta.write_text("{ broken")
    assert "invalid character" in dialled(environ, "--context", "odd")
    with pytest.raises(ConfigurationError, match="'odd' cannot be read"):
        endpoint_of(environ, "odd")
    with pytest.raises(Exception, match="corrupted") as caught:
        ContextAPI.get_context("odd")
    assert type(caught.value) is Exception


def test_an_address_without_a_port(environ: dict[str, str]) -> None:
    """In a context it is HTTP's port for the docker command and ours; the package wants one."""
    write_context(Path(environ["DOCKER_CONFIG"]), "web", {"Host": "tcp://engine.invalid"}, {})
    with stand_in() as proxy:
        docker_command({**environ, "HTTP_PROXY": proxy.address}, "--context", "web", "ps")
        assert b"http://engine.invalid/" in proxy.asked[0]
    assert endpoint_of(environ, "web").address == "engine.invalid:80"
    with pytest.raises(docker.errors.DockerException, match="port is required"):
        docker.utils.parse_host(ContextAPI.get_context("web").Host)


@pytest.mark.parametrize("kind", ["a CA alone", "no check"])
def test_tls_without_a_certificate_of_ours(
    environ: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """It is TLS for the docker command and ours; the package would speak plain TCP."""
    ours = authority(tmp_path / "ours")
    context = server_context(certificate(ours, tmp_path / "engine"), wants_certificate=False)
    skip = kind == "no check"
    tls = {} if skip else {"ca.pem": ours / "ca.pem"}
    with secured_stand_in(context) as address:
        docker_endpoint = {"Host": address, "SkipTLSVerify": skip}
        write_context(Path(environ["DOCKER_CONFIG"]), "safe", docker_endpoint, tls)
        assert docker_command(environ, "--context", "safe", "ps").returncode == 0
    found = endpoint_of(environ, "safe")
    assert (found.kind, found.url, found.tls.verify) == ("tls", address, not skip)
    assert ContextAPI.get_context("safe").TLSConfig is None
