"""Who we are at a registry: the docker command's config file and its credential helpers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from spawnery_docker.references import DOCKER_HUB

_HUB_KEY: Final = "https://index.docker.io/v1/"


@frozen(kw_only=True)
class Login:
    """What is sent with a pull.

    Attributes:
        headers: ``X-Registry-Auth``, or nothing; holds a password.
        told: For a person: whose credentials went along, or why none did. Never a password.
    """

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    told: str = ""


def registry_login(registry: str, environ: Mapping[str, str]) -> Login:
    """Look up our credentials for a registry, as the docker command does.

    A config file that cannot be read, or a helper that fails, means a pull without credentials (so
    does the docker command); the reason is told when the registry then refuses.

    Args:
        registry: ``docker.io`` or ``host[:port]``.
        environ: Our own environment: ``DOCKER_CONFIG``, ``HOME``.
    """
    path = config_file(environ)
    if not path.is_file():
        return Login(told=f"no credentials were sent: there is no {path}")
    try:
        found = _look_up(path, registry, environ)
    except Exception as error:  # noqa: BLE001 - the SDK and helpers raise all kinds
        return Login(told=f"no credentials were sent: {path}: {_reason(error)}")
    if not found:
        return Login(told=f"no credentials were sent: {path} has none for {registry}")
    from docker.auth import encode_header  # noqa: PLC0415 - slow to import, needed for pulls only

    header = encode_header(dict(found)).decode("ascii")
    user = found.get("username") or found.get("Username") or "a token"
    told = f"credentials of {user} were sent, from {path}"
    return Login(headers={"X-Registry-Auth": header}, told=told)


def config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the docker command's config file; it may not exist."""
    folder = environ.get("DOCKER_CONFIG")
    if folder:
        return Path(folder) / "config.json"
    return Path(environ.get("HOME") or Path.home()) / ".docker" / "config.json"


def _look_up(path: Path, registry: str, environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    from docker.auth import load_config  # noqa: PLC0415 - as above

    config = load_config(config_path=str(path), credstore_env=dict(environ))
    key = _HUB_KEY if registry == DOCKER_HUB else registry
    found: Mapping[str, Any] | None = config.resolve_authconfig(key)
    return found


def _reason(error: Exception) -> str:
    """Say what failed without what a helper printed: that may hold a password."""
    return (
        f"{type(error).__name__}: {str(error).splitlines()[0][:200]}" if str(error) else repr(error)
    )
