"""Credentials: where the docker package differs from the docker command, and ours does not.

When a later version of the package passes one of these, that part of ours can go.
"""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
from attrs import frozen
from docker_command import sent_for
from spawnery_docker.images import credentials as auth

REGISTRY = "127.0.0.1:5000"
PASSWORD = "planted-Pass-word-7"
FOUND = {"username": "agent", "password": PASSWORD}
ENTRY = {"auth": base64.b64encode(f"agent:{PASSWORD}".encode()).decode()}
HELPED = json.dumps({"ServerURL": REGISTRY, "Username": "helped", "Secret": PASSWORD})


@frozen
class Case:
    """A config file, the script of its helper, and the credentials that are to be sent."""

    config: Mapping[str, Any] | str
    expected: Mapping[str, str]
    script: str = "exit 1"


def entry(**fields: str) -> dict[str, Any]:
    """Return a config file with one entry."""
    return {"auths": {REGISTRY: fields}}


def packed(text: str) -> str:
    """Return what an entry holds as ``auth``."""
    return base64.b64encode(text.encode()).decode()


CASES = {
    "plain fields": Case(entry(**FOUND), FOUND),
    "registry token": Case(entry(registrytoken="T"), {"registrytoken": "T"}),
    "empty identity token": Case(entry(**ENTRY, identitytoken=""), FOUND),
    "token and password": Case(entry(**ENTRY, identitytoken="T"), {**FOUND, "identitytoken": "T"}),
    "padded password": Case(entry(auth=packed(f"agent:{PASSWORD}\0\0")), FOUND),
    "helper fails": Case({"credsStore": "demo", **entry(**ENTRY)}, FOUND, "echo no; exit 1"),
    "helper says nonsense": Case({"credsStore": "demo", **entry(**ENTRY)}, FOUND, "echo no"),
    "helper is missing": Case({"credsStore": "absent", **entry(**ENTRY)}, FOUND),
    "helper's name is empty": Case(
        {"credHelpers": {REGISTRY: ""}, "credsStore": "demo", **entry(**ENTRY)},
        FOUND,
        f"echo '{HELPED}'",
    ),
}
"""The docker package (7.1, 7.2) sends something else in each of these, or fails."""
ALIKE = {
    "password": Case(entry(**ENTRY), FOUND),
    "an older login": Case({"auths": {f"https://{REGISTRY}/v1/": ENTRY}}, FOUND),
    "helper": Case(
        {"credsStore": "demo", **entry(**ENTRY)},
        {"username": "helped", "password": PASSWORD},
        f"echo '{HELPED}'",
    ),
    "helper's token": Case(
        {"credHelpers": {REGISTRY: "demo"}},
        {"identitytoken": "T"},
        """echo '{"Username": "<token>", "Secret": "T"}'""",
    ),
    "no JSON": Case("{ broken", {}),
    "an empty file": Case("", {}),
}
"""All three do the same in these."""


def configured(folder: Path, case: Case) -> dict[str, str]:
    """Write the files of a case and return the environment that names them."""
    text = case.config if isinstance(case.config, str) else json.dumps(case.config)
    (folder / "config.json").write_text(text)
    program = folder / "docker-credential-demo"
    program.write_text(f"#!/bin/sh\n{case.script}\n")
    program.chmod(0o755)
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}


def credentials(sent: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that say who we are, by the names that the docker command gives them."""
    known = {"username", "password", "identitytoken", "registrytoken"}
    return {name.lower(): value for name, value in sent.items() if name.lower() in known}


def ours(environ: Mapping[str, str], registry: str = REGISTRY) -> dict[str, str]:
    """Return all that we send."""
    header = auth.registry_login(registry, environ).headers.get("X-Registry-Auth", "")
    decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(header) or "{}")
    return decoded


def of_the_package(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the package sends; it reads our process's environment alone."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = docker.utils.config.load_general_config()
        known = docker.auth.load_config(config_dict=config)
        return docker.auth.resolve_authconfig(known, REGISTRY) or {}


@pytest.mark.tool("docker")
@pytest.mark.parametrize("name", [*CASES, *ALIKE])
def test_the_docker_command_is_the_reference(tmp_path: Path, name: str) -> None:
    """The docker command sends what these tests expect."""
    case = {**CASES, **ALIKE}[name]
    assert credentials(sent_for(f"{REGISTRY}/x:1", configured(tmp_path, case))) == case.expected


@pytest.mark.parametrize("name", [*CASES, *ALIKE])
def test_ours_sends_what_the_docker_command_sends(tmp_path: Path, name: str) -> None:
    """We send what the docker command sends."""
    case = {**CASES, **ALIKE}[name]
    assert credentials(ours(configured(tmp_path, case))) == case.expected


@pytest.mark.parametrize("name", CASES)
def test_the_package_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The docker package sends something else, or fails: this is why the code is ours."""
    try:
        found = credentials(of_the_package(configured(tmp_path, CASES[name]), monkeypatch))
    except (docker.errors.DockerException, ValueError):
        return
    assert found != CASES[name].expected


@pytest.mark.parametrize("name", ALIKE)
def test_the_package_does_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In the plain cases the package sends the same."""
    found = of_the_package(configured(tmp_path, ALIKE[name]), monkeypatch)
    assert credentials(found) == ALIKE[name].expected


@pytest.mark.tool("docker")
def test_docker_hub_has_its_own_address(tmp_path: Path) -> None:
    """Docker Hub's credentials go out under the key of its login.

    An engine with the containerd image store sends them nowhere else.
    """
    hub = "https://index.docker.io/v1/"
    environ = configured(tmp_path, Case({"auths": {hub: ENTRY}}, {}))
    expected = {**FOUND, "serveraddress": hub}
    assert sent_for("busybox:1", environ) == expected
    assert ours(environ, "docker.io") == expected


@pytest.mark.parametrize("damaged", ["!", packed("no colon")])
def test_a_damaged_entry_is_about_its_registry_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    """The package reads no entry of a file in which one is damaged; ours reads the others."""
    auths = {"other:1": {"auth": damaged}, REGISTRY: ENTRY}
    environ = configured(tmp_path, Case({"auths": auths}, {}))
    assert credentials(ours(environ)) == FOUND
    assert "damaged" in auth.registry_login("other:1", environ).told
    with pytest.raises(ValueError, match="unpack"):
        of_the_package(environ, monkeypatch)


def test_what_a_helper_prints_stays_out_of_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's error has what a failing helper printed; ours says that it failed."""
    environ = configured(tmp_path, Case({"credsStore": "demo"}, {}, f"echo {PASSWORD}; exit 1"))
    login = auth.registry_login(REGISTRY, environ)
    assert "docker-credential-demo failed" in login.told
    assert PASSWORD not in f"{login.told}{login.hint}"
    with pytest.raises(docker.errors.DockerException, match=PASSWORD):
        of_the_package(environ, monkeypatch)


def test_a_helper_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package waits for as long as a helper takes; ours for its limit."""
    monkeypatch.setattr(auth, "_HELPER_SECONDS", 0.2)
    script = f"sleep 2; echo '{HELPED}'"
    environ = configured(tmp_path, Case({"credsStore": "demo"}, {}, script))
    assert "docker-credential-demo failed" in auth.registry_login(REGISTRY, environ).told
    begun = time.monotonic()
    assert credentials(of_the_package(environ, monkeypatch))["username"] == "helped"
    assert time.monotonic() - begun > 1.0


def test_a_failed_helper_is_told_beside_what_was_sent(tmp_path: Path) -> None:
    """Where the file was read instead, a refusal of the registry still names the helper."""
    environ = configured(tmp_path, Case({"credsStore": "absent", **entry(**ENTRY)}, {}))
    login = auth.registry_login(REGISTRY, environ)
    assert "agent" in login.told
    assert "docker-credential-absent is not on PATH" in login.told
    assert "install docker-credential-absent" in login.hint
