"""Who we are at a registry: the docker command's config file and its credential helpers.

The rules are those of github.com/docker/cli (cli/config) and of docker-credential-helpers. The SDK
has them too; ours give a helper a time limit and keep what it prints off our own output.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from spawnery.contract import Cancellation

from spawnery_docker.endpoint import default_config_folder
from spawnery_docker.references import DOCKER_HUB

_HUB_KEY: Final = "https://index.docker.io/v1/"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - what a helper says instead of a name
_NOT_FOUND: Final = b"credentials not found"
_HELPER_SECONDS: Final = 20.0


@frozen(kw_only=True)
class Login:
    """What is sent with a pull.

    Attributes:
        headers: ``X-Registry-Auth``, or nothing; holds a password.
        told: For a person: whose credentials went along, or why none did. Never a password.
        hint: What to do where credentials are kept but could not be read; else None.
    """

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    told: str = ""
    hint: str | None = None


class _NoCredentialsError(Exception):
    """Why there are none, in words for a person, and what to do where ``docker login`` is not."""

    def __init__(self, why: str | None, hint: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint


def registry_login(
    registry: str,
    environ: Mapping[str, str],
    cancellation: Cancellation | None = None,
    *,
    asking: Callable[[str], None] | None = None,
) -> Login:
    """Look up our credentials for a registry, as the docker command does.

    A config file that cannot be read, or a helper that fails, means a pull without credentials (so
    does the docker command); the reason is told when the registry then refuses.

    Args:
        registry: ``docker.io`` or ``host[:port]``.
        environ: Our own environment: ``DOCKER_CONFIG``, ``HOME``, ``PATH``.
        cancellation: Ends a helper that runs.
        asking: Told, in words for a person, before a helper is run.
    """
    stop = cancellation or Cancellation()
    path = default_config_folder(environ) / "config.json"
    try:
        found = _look_up(_read(path), path, registry, environ, stop, asking)
    except _NoCredentialsError as reason:
        told = f"no credentials were sent: {path}: {reason}"
        return Login(told=told, hint=reason.hint)
    header = base64.urlsafe_b64encode(json.dumps({**found, "serveraddress": registry}).encode())
    told = f"the credentials of {found.get('username', 'a token')} in {path} were sent"
    return Login(headers={"X-Registry-Auth": header.decode("ascii")}, told=told)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _NoCredentialsError(error.strerror) from None
    except ValueError:
        msg = "is not valid JSON"
        hint = f"mend the file, then try again: python3 -m json.tool {shlex.quote(str(path))}"
        raise _NoCredentialsError(msg, hint) from None
    return config if isinstance(config, dict) else {}


def _look_up(  # noqa: PLR0917 - all of one look
    config: Mapping[str, Any],
    path: Path,
    registry: str,
    environ: Mapping[str, str],
    stop: Cancellation,
    asking: Callable[[str], None] | None,
) -> Mapping[str, str]:
    helper = _helper(config, registry)
    found = _helped(helper, path, registry, environ, stop, asking) if helper else None
    found = found or _of_file(config, registry)
    if found is None:
        msg = f"has no credentials for {registry}"
        raise _NoCredentialsError(msg)
    return found


def _helper(config: Mapping[str, Any], registry: str) -> str | None:
    """Return the program that keeps the credentials of a registry, None where the file does."""
    helpers = config.get("credHelpers")
    name = helpers.get(_key(registry)) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    return f"docker-credential-{name}" if name else None


def _helped(  # noqa: PLR0917 - all of one look
    helper: str,
    path: Path,
    registry: str,
    environ: Mapping[str, str],
    stop: Cancellation,
    asking: Callable[[str], None] | None,
) -> Mapping[str, str] | None:
    """Ask a helper; None when it knows nothing of the registry."""
    program = shutil.which(helper, path=environ.get("PATH"))
    if program is None:
        msg = f"names the credential helper {helper}, which is not on PATH"
        hint = (
            f"install {helper} where Spawnery runs, or remove credsStore and credHelpers from"
            f" {path} and log in again: docker login{_argument(registry)}"
        )
        raise _NoCredentialsError(msg, hint)
    if asking is not None:
        asking(f"asking the credential helper {helper} for {registry}")
    try:
        code, said = _run(program, _key(registry).encode(), environ, stop)
        if code != 0 and _NOT_FOUND in said:
            return None
        answer = json.loads(said)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (OSError, ValueError, LookupError, TypeError, subprocess.TimeoutExpired):
        # What it printed is left out: it may hold a password.
        msg = f"the credential helper {helper} failed"
        hint = f"see what it says: echo {_key(registry)} | {helper} get"
        raise _NoCredentialsError(msg, hint) from None
    if user == _TOKEN_USER:
        return {"identitytoken": secret}
    return {"username": user, "password": secret} if secret else None


def _run(
    program: str, asked: bytes, environ: Mapping[str, str], stop: Cancellation
) -> tuple[int, bytes]:
    """Run a helper; its exit code and what it printed. A stop of the job kills it."""
    with subprocess.Popen(  # noqa: S603 - the program that the user's own file names
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    ) as helper:

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(helper.pid, signal.SIGKILL)

        undo = stop.on_cancel(kill)
        try:
            said, _nothing = helper.communicate(asked, timeout=_HELPER_SECONDS)
        except subprocess.TimeoutExpired:
            kill()
            raise
        finally:
            undo()
        return helper.returncode, said


def _of_file(config: Mapping[str, Any], registry: str) -> Mapping[str, str] | None:
    auths = config.get("auths")
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        if _host(str(key)) != _host(_key(registry)) or not isinstance(entry, dict):
            continue
        if entry.get("identitytoken"):
            return {"identitytoken": str(entry["identitytoken"])}
        if entry.get("auth"):
            return _decoded(str(entry["auth"]))
    return None


def _decoded(text: str) -> Mapping[str, str]:
    try:
        user, _, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        msg = "is damaged: an entry of auths is no base64 text"
        raise _NoCredentialsError(msg) from None
    return {"username": user, "password": password.rstrip("\0")}


def _key(registry: str) -> str:
    """Return the name under which ``docker login`` keeps a registry."""
    return _HUB_KEY if registry == DOCKER_HUB else registry


def _argument(registry: str) -> str:
    return "" if registry == DOCKER_HUB else f" {registry}"


def _host(key: str) -> str:
    """Return the host of a key: old entries are whole addresses."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DOCKER_HUB if host == "index.docker.io" else host
