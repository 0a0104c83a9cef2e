"""Who we are at a registry: the docker command's config file and its credential helpers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from spawnery_docker.references import DOCKER_HUB


@frozen(kw_only=True)
class Login:
    """What is sent with a pull.

    Attributes:
        headers: ``X-Registry-Auth``, or nothing; holds a password.
        told: For a person: whose credentials went along, or why none did. Never a password.
    """

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    told: str = ""


class _NoCredentialsError(Exception):
    """Why there are none, in words for a person."""


def registry_login(registry: str, environ: Mapping[str, str]) -> Login:
    """Look up our credentials for a registry, as the docker command does.

    A config file that cannot be read, or a helper that fails, means a pull without credentials (so
    does the docker command); the reason is told when the registry then refuses.

    Args:
        registry: ``docker.io`` or ``host[:port]``.
        environ: Our own environment: ``DOCKER_CONFIG``, ``HOME``.
    """
    path = config_file(environ)
    try:
        found = _look_up(_read(path), registry, environ)
    except _NoCredentialsError as reason:
        return Login(told=f"no credentials were sent: {path}: {reason}")
    from docker.auth import encode_header  # noqa: PLC0415 - slow to import, needed for pulls only

    header = encode_header(dict(found)).decode("ascii")
    user = found.get("username") or found.get("Username") or "a token"
    told = f"the credentials of {user} in {path} were sent"
    return Login(headers={"X-Registry-Auth": header}, told=told)


def config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the docker command's config file; it may not exist."""
    folder = environ.get("DOCKER_CONFIG")
    if folder:
        return Path(folder) / "config.json"
    return Path(environ.get("HOME") or Path.home()) / ".docker" / "config.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _NoCredentialsError(error.strerror) from None
    except ValueError:
        msg = "is not valid JSON"
        raise _NoCredentialsError(msg) from None
    if not isinstance(config, dict) or not config:
        msg = "has no credentials"
        raise _NoCredentialsError(msg)
    return config


def _look_up(
    config: dict[str, Any], registry: str, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    helper = _helper(config, registry)
    if helper is not None and shutil.which(helper, path=environ.get("PATH")) is None:
        msg = f"names the credential helper {helper}, which is not on PATH"
        raise _NoCredentialsError(msg)
    from docker.auth import load_config  # noqa: PLC0415 - as above

    try:
        auths = load_config(config_dict=config, credstore_env=dict(environ))
        found: Mapping[str, Any] | None = auths.resolve_authconfig(registry)
    except Exception as error:  # noqa: BLE001 - the SDK and the helpers raise all kinds
        # What a helper printed is left out: it may hold a password.
        what = "it is damaged"
        if helper is not None:
            what = f"{helper} failed (try it: echo {registry} | {helper} get)"
        msg = f"{what}: {type(error).__name__}"
        raise _NoCredentialsError(msg) from None
    if not found:
        msg = f"has no credentials for {registry}"
        raise _NoCredentialsError(msg)
    return found


def _helper(config: Mapping[str, Any], registry: str) -> str | None:
    """Return the program that keeps the credentials of a registry, None where the file does."""
    helpers = config.get("credHelpers")
    key = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    name = helpers.get(key) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    return f"docker-credential-{name}" if name else None
