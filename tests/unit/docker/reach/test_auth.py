"""Credentials for registries, from the docker command's config file and real helper programs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from spawnery.model import PullPolicy
from spawnery_docker.images.credentials import registry_login
from spawnery_docker.images.errors import pull_failed
from spawnery_docker.images.reference import Reference

REGISTRY = "127.0.0.1:5000"
PASSWORD = "planted-Pass-word-7"


def sent(login) -> dict[str, str]:
    """Decode what goes to the engine, in lower-case names."""
    header = base64.urlsafe_b64decode(login.headers["X-Registry-Auth"])
    return {name.lower(): value for name, value in json.loads(header).items()}


def configured(folder: Path, config: object) -> dict[str, str]:
    """Write a config file and return the environment that names it."""
    folder.mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    return {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}


def helper(folder: Path, name: str, script: str) -> None:
    """Make a credential helper of a shell script."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def entry(user: str = "agent", password: str = PASSWORD) -> dict[str, str]:
    """Return what docker login writes for a user."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_password_of_the_file(tmp_path: Path) -> None:
    """An entry for the registry is sent; who it is for is told, the password never."""
    login = registry_login(REGISTRY, configured(tmp_path, {"auths": {REGISTRY: entry()}}))
    assert (sent(login)["username"], sent(login)["password"]) == ("agent", PASSWORD)
    assert "agent" in login.told
    assert PASSWORD not in f"{login!r}{login.told}"


def test_the_home_folder_is_the_default(tmp_path: Path) -> None:
    """Without DOCKER_CONFIG the file is ~/.docker/config.json."""
    configured(tmp_path / ".docker", {"auths": {REGISTRY: entry()}})
    assert sent(registry_login(REGISTRY, {"HOME": str(tmp_path)}))["username"] == "agent"


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io"])
def test_docker_hub(tmp_path: Path, key: str) -> None:
    """The entry of Docker Hub is found under the name that docker login gives it."""
    login = registry_login("docker.io", configured(tmp_path, {"auths": {key: entry()}}))
    assert sent(login)["username"] == "agent"


def test_identity_token(tmp_path: Path) -> None:
    """A token of an earlier login goes along as one."""
    config = {"auths": {REGISTRY: {**entry(), "identitytoken": "planted-token"}}}
    login = registry_login(REGISTRY, configured(tmp_path, config))
    assert sent(login)["identitytoken"] == "planted-token"
    assert "planted-token" not in f"{login!r}{login.told}"


@pytest.mark.parametrize("config", [{"credHelpers": {REGISTRY: "demo"}}, {"credsStore": "demo"}])
def test_credential_helper(tmp_path: Path, config: dict[str, object]) -> None:
    """A helper is asked for the registry, on its standard input, and its answer is sent."""
    answer = {"ServerURL": REGISTRY, "Username": "helped", "Secret": PASSWORD}
    asked = f"""[ "$1 $(cat)" = "get {REGISTRY}" ]"""
    helper(tmp_path, "demo", f"{asked} && echo '{json.dumps(answer)}'")
    login = registry_login(REGISTRY, configured(tmp_path, config))
    assert (sent(login)["username"], sent(login)["password"]) == ("helped", PASSWORD)


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(tmp_path: Path) -> None:
    """Where the helper has nothing for a registry, an entry of the file is used."""
    helper(tmp_path, "empty", "echo credentials not found in native keychain; exit 1")
    config = {"credsStore": "empty", "auths": {REGISTRY: entry()}}
    assert sent(registry_login(REGISTRY, configured(tmp_path, config)))["username"] == "agent"


def test_a_helper_with_a_token(tmp_path: Path) -> None:
    """A helper that keeps a token instead of a password says so by the user's name."""
    helper(tmp_path, "token", """echo '{"Username": "<token>", "Secret": "planted-token"}'""")
    login = registry_login(REGISTRY, configured(tmp_path, {"credsStore": "token"}))
    assert sent(login)["identitytoken"] == "planted-token"
    assert "planted-token" not in login.told


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "No such file"),
        ("{ broken", "not valid JSON"),
        ("[]", "has no credentials"),
        ({"auths": []}, "has no credentials"),
        ({"auths": {"other:1": entry()}}, f"no credentials for {REGISTRY}"),
        ({"auths": {REGISTRY: {"auth": "!"}}}, "damaged"),
        ({"credsStore": "absent-one"}, "docker-credential-absent-one is not on PATH"),
        ({"credsStore": "failing"}, "docker-credential-failing failed"),
        ({"credsStore": "garbage"}, "docker-credential-garbage failed"),
    ],
)
def test_no_credentials_and_why(tmp_path: Path, config: object, words: str) -> None:
    """A file or a helper that gives nothing means none are sent, and the reason is told."""
    helper(tmp_path, "failing", f"echo {PASSWORD}; echo {PASSWORD} >&2; exit 1")
    helper(tmp_path, "garbage", f"echo {PASSWORD}")
    environ = {"DOCKER_CONFIG": str(tmp_path / "none"), "PATH": "/usr/bin"}
    if config is not None:
        environ = configured(tmp_path, config)
    login = registry_login(REGISTRY, environ)
    assert dict(login.headers) == {}
    assert words in login.told
    assert PASSWORD not in login.told


@pytest.mark.parametrize(
    ("config", "command"),
    [
        ("{ broken", "python3 -m json.tool "),
        ({"credsStore": "absent-one"}, "install docker-credential-absent-one"),
        ({"credsStore": "failing"}, f"echo {REGISTRY} | docker-credential-failing get"),
    ],
)
def test_a_login_that_cannot_help_is_not_advised(
    tmp_path: Path, config: object, command: str
) -> None:
    """Where `docker login` would fail as well, the hint of a refused pull says what helps."""
    helper(tmp_path, "failing", "exit 1")
    login = registry_login(REGISTRY, configured(tmp_path, config))
    reference = Reference.parse(f"{REGISTRY}/team/app:1")
    text = "unauthorized: authentication required"
    error = pull_failed(reference, PullPolicy.ALWAYS, text, login=login.told, login_hint=login.hint)
    assert command in error.hint
    assert not error.hint.startswith("log in")
