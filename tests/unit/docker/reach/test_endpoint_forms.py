"""How the engine's address is read, and what another program at that address is called."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
from docker_host import endpoint_of
from hypothesis import given
from hypothesis import strategies as st
from spawnery.errors import ConfigurationError, EngineError, EngineUnreachable
from spawnery_docker.reach.api_version import agree, renegotiated


@pytest.mark.parametrize(
    ("host", "kind", "address"),
    [
        ("", "unix", "/var/run/docker.sock"),
        ("unix:///run/x.sock", "unix", "/run/x.sock"),
        ("unix://", "unix", "/var/run/docker.sock"),
        ("tcp://h", "tcp", "h:2375"),
        ("tcp://h:99/", "tcp", "h:99"),
        ("h:99", "tcp", "h:99"),
        ("tcp://[::1]:99", "tcp", "[::1]:99"),
        ("ssh://h", "ssh", "h"),
        ("ssh://me@h:2222", "ssh", "me@h:2222"),
    ],
)
def test_docker_host(host: str, kind: str, address: str) -> None:
    """DOCKER_HOST is read as the docker command reads it; empty is the usual socket."""
    found = endpoint_of({"DOCKER_HOST": host})
    assert (found.kind, found.address) == (kind, address)


@pytest.mark.parametrize(
    "host",
    [
        "unix://relative",
        "http://h:1",
        "npipe:////./pipe/x",
        "tcp://",
        "tcp://h:0",
        "tcp://h:70000",
        "tcp://h:1/path",
        "tcp://a@h:1",
        "tcp://[.]:1",
        "ssh://-oProxyCommand=x",
        "ssh://-lroot@h",
        "ssh://u:planted-pass@h",
    ],
)
def test_malformed_address(host: str) -> None:
    """Another form is refused, with the forms there are; a password in it is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        endpoint_of({"DOCKER_HOST": host})
    assert "DOCKER_HOST" in caught.value.message
    assert "ssh://user@host" in caught.value.hint
    assert "planted-pass" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """No value of DOCKER_HOST makes the parser fail in another way."""
    with suppress(ConfigurationError):
        assert endpoint_of({"DOCKER_HOST": text}).kind in {"unix", "tcp", "ssh"}


@pytest.mark.parametrize(
    ("environ", "kind", "verify"),
    [
        ({}, "tcp", None),
        ({"DOCKER_TLS_VERIFY": "1"}, "tls", True),
        ({"DOCKER_TLS_VERIFY": "0"}, "tls", True),
        ({"DOCKER_TLS_VERIFY": ""}, "tcp", None),
        ({"DOCKER_TLS": "1"}, "tls", False),
        ({"DOCKER_CERT_PATH": "/x"}, "tcp", None),
    ],
)
def test_tls_is_switched_on_as_by_the_docker_command(environ, kind, verify) -> None:
    """DOCKER_TLS_VERIFY with any value switches TLS on with checks; a folder alone does not."""
    found = endpoint_of({"DOCKER_HOST": "tcp://h", **environ})
    assert found.kind == kind
    assert (found.tls.verify if found.tls else None) is verify
    assert found.address == ("h:2376" if kind == "tls" else "h:2375")


def test_certificates_are_of_the_named_folder(tmp_path: Path) -> None:
    """The files of DOCKER_CERT_PATH that are there are used, those of ~/.docker without it."""
    (tmp_path / ".docker").mkdir()
    for folder, name in ((tmp_path, "ca.pem"), (tmp_path / ".docker", "key.pem")):
        (folder / name).touch()
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "HOME": str(tmp_path)}
    assert endpoint_of(environ).tls.key == tmp_path / ".docker" / "key.pem"
    named = endpoint_of({**environ, "DOCKER_CERT_PATH": str(tmp_path)}).tls
    assert (named.ca, named.cert, named.key) == (tmp_path / "ca.pem", None, None)


def context(folder: Path, name: str, meta: object) -> None:
    """Write a context as the docker command keeps it."""
    place = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    place.mkdir(parents=True)
    (place / "meta.json").write_text(json.dumps(meta))


def test_a_context_is_followed_only_by_name(tmp_path: Path) -> None:
    """The active context does not matter; the one that the setting names wins over DOCKER_HOST."""
    context(tmp_path, "far", {"Endpoints": {"docker": {"Host": "tcp://far:1"}}})
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert endpoint_of(environ).kind == "unix"
    found = endpoint_of({**environ, "DOCKER_HOST": "tcp://near:1"}, context="far")
    assert (found.address, found.source) == ("far:1", "context far")


def test_the_docker_command_s_variable_names_a_context(tmp_path: Path) -> None:
    """DOCKER_CONTEXT counts behind our setting and DOCKER_HOST, as with the docker command."""
    for name in ("far", "near"):
        context(tmp_path, name, {"Endpoints": {"docker": {"Host": f"tcp://{name}:1"}}})
    environ = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}
    assert endpoint_of(environ).address == "far:1"
    assert endpoint_of({**environ, "DOCKER_HOST": "tcp://other:1"}).address == "other:1"
    assert endpoint_of(environ, context="near").address == "near:1"
    with pytest.raises(ConfigurationError, match="'gone'"):
        endpoint_of({**environ, "DOCKER_CONTEXT": "gone"})


def test_a_context_brings_its_certificates(tmp_path: Path) -> None:
    """Certificates in the store of the context make it TLS."""
    context(tmp_path, "tls", {"Endpoints": {"docker": {"Host": "tcp://far:1"}}})
    folder = tmp_path / "contexts" / "tls" / hashlib.sha256(b"tls").hexdigest() / "docker"
    folder.mkdir(parents=True)
    (folder / "ca.pem").touch()
    found = endpoint_of({"DOCKER_CONFIG": str(tmp_path)}, context="tls")
    assert (found.kind, found.address, found.tls.ca) == ("tls", "far:1", folder / "ca.pem")


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (None, "'odd'"),
        ([], "'odd'"),
        ({"Endpoints": {}}, "'odd'"),
        ({"Endpoints": {"docker": {}}}, "context odd"),
    ],
)
def test_a_context_that_is_not_there_or_damaged(tmp_path: Path, meta: object, words: str) -> None:
    """It is named, and the error says what to do."""
    if meta is not None:
        context(tmp_path, "odd", meta)
    with pytest.raises(ConfigurationError) as caught:
        endpoint_of({"DOCKER_CONFIG": str(tmp_path)}, context="odd")
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("theirs", "spoken"), [("1.40", "1.40"), ("1.41", "1.41"), ("1.44", "1.44"), ("1.52", "1.44")]
)
def test_the_older_version_is_spoken(theirs: str, spoken: str) -> None:
    """Of the engine's version and ours the older one is used, as numbers and not as text."""
    assert agree({"api-version": theirs, "Server": "Docker"}, told="x") == spoken


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({}, "engine.not_docker"),
        ({"Server": "nginx"}, "engine.not_docker"),
        ({"Api-Version": "soon"}, "engine.not_docker"),
        ({"Api-Version": "1.39"}, "engine.too_old"),
        ({"Api-Version": "1.9"}, "engine.too_old"),
    ],
)
def test_what_is_no_engine_for_us(headers: dict[str, str], cause: str) -> None:
    """Another program, and an engine that is too old, are two errors that name the address."""
    with pytest.raises(EngineError) as caught:
        agree(headers, told="tcp://h:1 (DOCKER_HOST)")
    assert caught.value.cause == cause
    assert "tcp://h:1 (DOCKER_HOST)" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://Build.Example:2375", "tcp://build.example"),
        ("ssh://me@h", "ssh://me@H:22"),
        ("tcp://h.:99/", "h:99"),
        ("tcp://[::1]:99", "[::1]:99"),
    ],
)
def test_one_address_has_one_normalised_form(one: str, other: str) -> None:
    """The same address is the same place, however it is written."""
    found = [endpoint_of({"DOCKER_HOST": host}).normalised for host in (one, other)]
    assert found[0] == found[1]


def test_a_linked_socket_is_the_same_address(tmp_path: Path) -> None:
    """A socket that is reached over a link is the socket itself."""
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    hosts = [f"unix://{tmp_path}/{folder}/docker.sock" for folder in ("run", "var")]
    assert len({endpoint_of({"DOCKER_HOST": host}).normalised for host in hosts}) == 1


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("client version 1.44 is too new. Maximum supported API version is 1.41", "1.41"),
        ("client version 1.41 is too old. Minimum supported API version is 1.44, please", "1.44"),
        ("client version 1.99 is too new. Maximum supported API version is 1.52", "1.44"),
        ("invalid reference format", None),
    ],
)
def test_another_version_is_chosen(words: str, version: str | None) -> None:
    """An engine that refuses our version says which it takes; other refusals say nothing."""
    assert renegotiated(words, told="there") == version


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("client version 1.44 is too new. Maximum supported API version is 1.39", "engine.too_old"),
        ("client version 1.44 is too old. Minimum supported API version is 1.60", "engine.too_new"),
    ],
)
def test_no_common_version(words: str, cause: str) -> None:
    """An engine that we cannot speak to may be another one later: nothing has happened."""
    with pytest.raises(EngineUnreachable) as caught:
        renegotiated(words, told="there")
    assert (caught.value.cause, caught.value.retryable) == (cause, True)
