"""The HTTP proxy on the way to an engine, as the docker command takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from certificates import authority
from connect_proxy import ConnectProxy
from docker_command import docker_command, stand_in
from docker_host import client_of, endpoint_of
from registry import free_port
from spawnery.errors import ConfigurationError, SpawnerError

PROXY = "http://proxy:3128"
TCP = "tcp://engine.invalid:2375"
SECONDS = 30.0


@pytest.mark.parametrize(
    ("host", "variables", "expected"),
    [
        (TCP, {}, None),
        (TCP, {"HTTP_PROXY": PROXY}, PROXY),
        (TCP, {"http_proxy": "proxy:3128"}, PROXY),
        (TCP, {"HTTP_PROXY": PROXY, "http_proxy": "http://other"}, PROXY),
        (TCP, {"HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
        (TCP, {"HTTP_PROXY": PROXY, "NO_PROXY": "invalid"}, None),
        (TCP, {"HTTP_PROXY": PROXY, "NO_PROXY": "engine.invalid:80"}, PROXY),
        (TCP, {"HTTPS_PROXY": PROXY, "DOCKER_TLS_VERIFY": "1"}, PROXY),
        (TCP, {"HTTP_PROXY": PROXY, "DOCKER_TLS_VERIFY": "1"}, None),
        ("tcp://127.0.0.1:2375", {"HTTP_PROXY": PROXY}, None),
        ("tcp://10.1.2.3:2375", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("unix:///run/docker.sock", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY}, None),
        ("ssh://engine.invalid", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY}, None),
    ],
)
def test_the_variables(host: str, variables: dict[str, str], expected: str | None) -> None:
    """HTTP_PROXY is for plain TCP, HTTPS_PROXY for TLS, none for sockets, ssh and this machine."""
    assert endpoint_of({"DOCKER_HOST": host, **variables}).proxy == expected


def test_a_proxy_that_we_cannot_use() -> None:
    """A SOCKS proxy is refused in words; a password in it is not repeated."""
    variables = {"HTTP_PROXY": "socks5://me:planted-pass@proxy:1080"}
    with pytest.raises(ConfigurationError, match="http_proxy") as caught:
        endpoint_of({"DOCKER_HOST": TCP, **variables})
    assert "planted-pass" not in str(caught.value)


@pytest.mark.tool("docker")
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_the_docker_command_asks_a_proxy(name: str) -> None:
    """The reference: a request for a plain TCP engine goes to the proxy, with its whole URL."""
    with stand_in() as proxy:
        docker_command({"DOCKER_HOST": TCP, name: proxy.address}, "ps")
        assert b" http://engine.invalid:2375/" in proxy.asked[0]
        proxy.asked.clear()
        environ = {"DOCKER_HOST": TCP, name: proxy.address, "NO_PROXY": "engine.invalid"}
        docker_command(environ, "ps")
        docker_command({"DOCKER_HOST": "tcp://127.0.0.1:9", name: proxy.address}, "ps")
        assert not proxy.asked


@pytest.mark.tool("docker")
def test_the_docker_command_tunnels_tls(tmp_path: Path) -> None:
    """The reference: a TLS engine is reached through a tunnel of the proxy for HTTPS."""
    folder = authority(tmp_path / "ca")
    with ConnectProxy() as proxy:
        environ = {"DOCKER_HOST": TCP, "HTTPS_PROXY": f"http://{proxy.address}"}
        tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
        docker_command({**environ, **tls}, "ps")
        assert set(proxy.asked) == {"engine.invalid:2375"}


def test_requests_reads_them_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the package's own reading is off: a proxy would be asked for this machine itself."""
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    assert requests.utils.get_environ_proxies("http://127.0.0.1:2375/")["http"] == PROXY


def failure(environ: dict[str, str]) -> SpawnerError:
    """Return the error of a first call."""
    with pytest.raises(SpawnerError) as caught, client_of(environ).within(SECONDS) as engine:
        engine.info()
    assert "planted-pass" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_is_not_there(tls: bool) -> None:
    """It is named as the proxy, with the way around it."""
    proxy = f"http://me:planted-pass@127.0.0.1:{free_port()}"
    environ = {"DOCKER_HOST": TCP, "HTTPS_PROXY" if tls else "HTTP_PROXY": proxy}
    error = failure({**environ, **({"DOCKER_TLS_VERIFY": "1"} if tls else {})})
    assert error.cause == "engine.unreachable"
    assert "through the proxy 127.0.0.1:" in error.message
    assert "export NO_PROXY=engine.invalid" in error.hint


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_wants_another_login(tls: bool) -> None:
    """Its refusal is told as an answer by way of the proxy."""
    with ConnectProxy("somebody:else") as proxy:
        address = f"http://me:planted-pass@{proxy.address}"
        environ = {"DOCKER_HOST": TCP, "HTTPS_PROXY" if tls else "HTTP_PROXY": address}
        error = failure({**environ, **({"DOCKER_TLS_VERIFY": "1"} if tls else {})})
    assert f"through the proxy {proxy.address}" in error.message
    assert "407" in error.message
