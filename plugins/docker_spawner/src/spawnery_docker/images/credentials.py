"""Credentials for a registry: the docker command's config file and its credential helpers.

The rules are those of github.com/docker/cli (cli/config), measured with 20.10 and 28.2. The docker
package (``docker.auth``, ``docker.credentials``; 7.1 and 7.2) differs, so it is not used here:

* A helper has no time limit, gets our process's environment only, and what it prints, maybe a
  password, is in the error. One that fails ends the pull; the docker command then reads the file.
* Of a file that is no JSON nothing is told. One damaged entry fails all registries.
* ``username``, ``password`` and ``registrytoken`` of an entry are not read, an empty
  ``identitytoken`` hides its password, and an empty name in ``credHelpers`` does not mean the file.

tests/unit/docker/reach/test_auth_differences.py shows each.
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

from spawnery_docker.images.reference import DOCKER_HUB
from spawnery_docker.reach.endpoint import default_config_folder

_HUB_KEY: Final = "https://index.docker.io/v1/"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - what a helper says instead of a name
_NOT_FOUND: Final = b"credentials not found"
_HELPER_SECONDS: Final = 20.0
_FIELDS: Final = ("username", "password", "identitytoken", "registrytoken")
"""What an entry of the file may hold beside ``auth``."""


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

    Where a helper fails, the file is read; where that gives nothing either, the pull goes without
    credentials, and the reason is told when the registry refuses it.

    Args:
        registry: ``docker.io`` or ``host[:port]``.
        environ: Our own environment: ``DOCKER_CONFIG``, ``HOME``, ``PATH``.
        cancellation: Ends a helper that runs.
        asking: Told, in words for a person, before a helper is run.
    """
    stop = cancellation or Cancellation()
    path = default_config_folder(environ) / "config.json"
    trouble: _NoCredentialsError | None = None
    found: Mapping[str, str] | None = None
    try:
        config = _read(path)
        try:
            found = _of_helper(config, path, registry, environ, stop, asking)
        except _NoCredentialsError as reason:
            trouble = reason
        found = found or _of_file(config, registry)
        if found is None:
            raise trouble or _NoCredentialsError(f"has no credentials for {registry}")
    except _NoCredentialsError as reason:
        return Login(told=f"no credentials were sent: {path}: {reason}", hint=reason.hint)
    # The engine sends them to the host of this address only, and to Docker Hub by this key only
    # (moby, daemon/containerd/resolver.go).
    sent = json.dumps({**found, "serveraddress": _key(registry)}).encode()
    header = base64.urlsafe_b64encode(sent).decode("ascii")
    told = f"the credentials of {found.get('username', 'a token')} in {path} were sent"
    return Login(
        headers={"X-Registry-Auth": header},
        told=f"{told}: {trouble}" if trouble else told,
        hint=trouble.hint if trouble else None,
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8").strip() or "{}")
    except OSError as error:
        raise _NoCredentialsError(error.strerror) from None
    except ValueError:
        msg = "is not valid JSON"
        hint = f"mend the file, then try again: python3 -m json.tool {shlex.quote(str(path))}"
        raise _NoCredentialsError(msg, hint) from None
    return config if isinstance(config, dict) else {}


def _helper(config: Mapping[str, Any], registry: str) -> str | None:
    """Return the program that keeps the credentials of a registry, None where the file does."""
    helpers = config.get("credHelpers")
    name = helpers.get(_key(registry)) if isinstance(helpers, dict) else None
    name = config.get("credsStore") if name is None else name  # an empty one is the file
    return f"docker-credential-{name}" if name else None


def _of_helper(  # noqa: PLR0917 - all of one look
    config: Mapping[str, Any],
    path: Path,
    registry: str,
    environ: Mapping[str, str],
    stop: Cancellation,
    asking: Callable[[str], None] | None,
) -> Mapping[str, str] | None:
    """Ask a helper; None where there is none, or it knows nothing of the registry."""
    helper = _helper(config, registry)
    if helper is None:
        return None
    program = shutil.which(helper, path=environ.get("PATH"))
    if program is None:
        msg = f"its credential helper {helper} is not on PATH"
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
        msg = f"its credential helper {helper} failed"
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
    entries = auths.items() if isinstance(auths, dict) else ()
    # The registry's own name comes before the addresses that older logins wrote.
    for key, entry in sorted(entries, key=lambda entry: entry[0] != _key(registry)):
        if _host(key) != _host(_key(registry)) or not isinstance(entry, dict):
            continue
        found = {name: str(entry[name]) for name in _FIELDS if entry.get(name)}
        if entry.get("auth"):
            found |= _decoded(str(entry["auth"]))
        if found:
            return found
    return None


def _decoded(text: str) -> Mapping[str, str]:
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        msg = "is damaged: an entry of auths is no base64 text of user:password"
        raise _NoCredentialsError(msg)
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
