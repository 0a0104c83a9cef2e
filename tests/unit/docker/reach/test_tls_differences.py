"""TLS: where the docker package differs from the docker command, and ours does not.

When a later version of the package passes one of these, that part of ours can go.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from certificates import authority, certificate, server_context
from docker_command import docker_command, secured_stand_in, write_context
from docker_host import endpoint_of
from spawnery_docker.reach.endpoint import Endpoint

pytestmark = pytest.mark.tool("docker")
SECONDS = 30.0


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with certificates: engine, user, stranger (of another authority); only the CA."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = authority(folder / "ours"), authority(folder / "theirs")
    certificate(ours, folder / "engine")
    certificate(ours, folder / "user")
    certificate(theirs, folder / "stranger")
    return folder


@pytest.fixture(scope="module")
def engine(signers: Path) -> Iterator[str]:
    """An engine behind TLS that wants no certificate."""
    context = server_context(signers / "engine", wants_certificate=False)
    with secured_stand_in(context) as address:
        yield address


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine itself says of authorities."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def answered(environ: dict[str, str], *words: str) -> bool:
    """Tell whether the docker command gets an answer."""
    return docker_command(environ, *words, "ps").returncode == 0


def shake_hands(endpoint: Endpoint) -> None:
    """Connect as we do."""
    host, _, port = endpoint.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), SECONDS) as plain,
        endpoint.tls.context().wrap_socket(plain, server_hostname=host),
    ):
        pass


def test_a_ca_is_enough(engine: str, signers: Path) -> None:
    """An engine that wants no certificate is reached with its CA alone; the package wants more."""
    environ = {"DOCKER_HOST": engine, "DOCKER_TLS_VERIFY": "1"}
    environ["DOCKER_CERT_PATH"] = str(signers / "ours")
    assert answered(environ)
    shake_hands(endpoint_of(environ))
    with pytest.raises(docker.errors.TLSParameterError):
        docker.utils.kwargs_from_env(environ)


def test_docker_tls_switches_on(engine: str, signers: Path) -> None:
    """DOCKER_TLS is TLS without a check of the engine; the package speaks plain TCP."""
    environ = {"DOCKER_HOST": engine, "DOCKER_TLS": "1"}
    named = {**environ, "DOCKER_CERT_PATH": str(signers / "theirs")}
    assert answered(named)
    shake_hands(endpoint_of(named))
    assert "tls" not in docker.utils.kwargs_from_env(environ)


def test_a_folder_switches_nothing_on(engine: str, signers: Path) -> None:
    """DOCKER_CERT_PATH alone is plain TCP; the package speaks TLS and checks nothing."""
    environ = {"DOCKER_HOST": engine, "DOCKER_CERT_PATH": str(signers / "user")}
    assert not answered(environ)
    assert endpoint_of(environ).kind == "tcp"
    assert docker.utils.kwargs_from_env(environ)["tls"].verify is False


def test_the_ca_of_the_folder_counts(
    engine: str, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE does not replace the folder's CA; for the package it does."""
    environ = {"DOCKER_HOST": engine, "DOCKER_TLS_VERIFY": "1"}
    environ["DOCKER_CERT_PATH"] = str(signers / "user")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(signers / "theirs" / "ca.pem"))
    assert answered({**environ, "REQUESTS_CA_BUNDLE": str(signers / "theirs" / "ca.pem")})
    shake_hands(endpoint_of(environ))
    options = docker.utils.kwargs_from_env(environ)
    with pytest.raises(requests.exceptions.SSLError):
        docker.APIClient(**options, version="1.41", timeout=SECONDS).containers()


def test_without_a_ca_the_system_s_count(
    engine: str, signers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context without a CA trusts the system's authorities; the package trusts certifi's."""
    user = signers / "user"
    files = {name: user / name for name in ("cert.pem", "key.pem")}
    write_context(tmp_path, "public", {"Host": engine}, files)
    trusted = {"SSL_CERT_FILE": str(signers / "ours" / "ca.pem")}
    monkeypatch.setenv("SSL_CERT_FILE", trusted["SSL_CERT_FILE"])
    assert answered({"DOCKER_CONFIG": str(tmp_path), **trusted}, "--context", "public")
    shake_hands(endpoint_of({"DOCKER_CONFIG": str(tmp_path)}, "public"))
    mine = (str(user / "cert.pem"), str(user / "key.pem"))
    tls = docker.tls.TLSConfig(client_cert=mine, verify=True)
    with pytest.raises(requests.exceptions.SSLError):
        docker.APIClient(engine, tls=tls, version="1.41", timeout=SECONDS).containers()


def test_authorities_may_lack_extensions(signers: Path) -> None:
    """Python 3.13 wants a key usage of an authority, Go does not, so ours does not either."""
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1"}
    environ["DOCKER_CERT_PATH"] = str(signers / "user")
    context = endpoint_of(environ).tls.context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
