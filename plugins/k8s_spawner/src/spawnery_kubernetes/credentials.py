"""Who we are to the cluster: certificates, tokens, and commands that hand either out.

The command's protocol: client.authentication.k8s.io/v1 (ExecCredential). It gets a time limit,
which the official client does not give it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from spawnery.errors import ConfigurationError
from spawnery.secret import Secret

_EXEC_SECONDS: Final = 30.0
_EXEC_VERSION: Final = "client.authentication.k8s.io/v1"
_EARLY_SECONDS: Final = 60.0
"""A credential that ends sooner is fetched again."""
_REREAD_SECONDS: Final = 60.0
"""Mounted tokens are rotated; the kubelet does it at 80 % of their life."""


@frozen(kw_only=True)
class Identity:
    """What a request proves itself with.

    Attributes:
        header: Value of the Authorization header; None where the certificate is all.
        certificate, key: Client certificate and key, PEM.
    """

    header: Secret | None = None
    certificate: bytes | None = None
    key: Secret | None = field(default=None, repr=False)


class Credentials:
    """Finds the identity and finds it again when it is used up.

    Args:
        find: Returns the identity and for how many seconds it holds (None: for good).
    """

    def __init__(self, find: Callable[[], tuple[Identity, float | None]]) -> None:
        self._find = find
        self._found: Identity | None = None
        self._until: float | None = None

    def identity(self) -> Identity:
        """Return the identity, found again where it is about to end.

        Raises:
            ConfigurationError: It cannot be found.
        """
        over = self._until is not None and time.monotonic() >= self._until
        if self._found is None or over:
            self._found, seconds = self._find()
            self._until = None if seconds is None else time.monotonic() + seconds
        return self._found

    def reload(self) -> bool:
        """Find it again, since the cluster does not accept it; False when it is the same."""
        before, self._found = self._found, None
        return self.identity() != before


def fixed(identity: Identity) -> Credentials:
    """Return credentials that never change."""
    return Credentials(lambda: (identity, None))


def of_token_file(path: Path) -> Credentials:
    """Return the bearer token that a file holds, read again each minute."""

    def find() -> tuple[Identity, float | None]:
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            msg = f"the token file {path} cannot be read: {reason}"
            raise ConfigurationError(msg, hint="spawnery check") from None
        if not token:
            msg = f"the token file {path} is empty"
            raise ConfigurationError(msg, hint="spawnery check")
        return Identity(header=Secret(f"Bearer {token}")), _REREAD_SECONDS

    return Credentials(find)


def of_command(
    given: Mapping[str, Any], *, where: str, folder: Path, environ: Mapping[str, str]
) -> Credentials:
    """Return what a kubeconfig's ``exec`` command hands out.

    Args:
        given: The ``exec`` entry.
        where: The user's entry, for errors.
        folder: Of the kubeconfig: relative commands are found there.
        environ: Our own environment.
    """
    words, variables = _command(given, folder=folder)
    version = str(given.get("apiVersion") or _EXEC_VERSION)
    hint = str(given.get("installHint") or f"run it by hand: {' '.join(words)}")

    def find() -> tuple[Identity, float | None]:
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        inside = {**environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        answer = _run(words, inside, where=where, hint=hint)
        return _of_answer(answer, where=where, hint=hint)

    return Credentials(find)


def _command(given: Mapping[str, Any], *, folder: Path) -> tuple[list[str], dict[str, str]]:
    command = str(given.get("command") or "")
    if os.sep in command:
        command = str(folder / command)
    words = [command, *(str(word) for word in given.get("args") or ())]
    variables = {str(v["name"]): str(v["value"]) for v in given.get("env") or ()}
    return words, variables


def _run(words: Sequence[str], environ: Mapping[str, str], *, where: str, hint: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - the person's own kubeconfig names it
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_EXEC_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"{where}: the command {words[0]} did not end within {_EXEC_SECONDS:g} s"
        raise ConfigurationError(msg, hint=hint) from None
    except OSError as error:
        msg = f"{where}: the command {words[0]} cannot be run: {error.strerror}"
        raise ConfigurationError(msg, hint=hint) from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        msg = f"{where}: the command {words[0]} failed with exit code {done.returncode}: {said}"
        raise ConfigurationError(msg, hint=hint)
    return done.stdout


def _of_answer(answer: bytes, *, where: str, hint: str) -> tuple[Identity, float | None]:
    try:
        status: Mapping[str, Any] = json.loads(answer)["status"]
        token, certificate = status.get("token"), status.get("clientCertificateData")
        key = status.get("clientKeyData")
        expiry = status.get("expirationTimestamp")
        seconds = None if expiry is None else _seconds_until(str(expiry))
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{where}: the command's answer is no ExecCredential"
        raise ConfigurationError(msg, hint=hint) from None
    if not token and not (certificate and key):
        msg = f"{where}: the command's answer holds neither a token nor a certificate"
        raise ConfigurationError(msg, hint=hint)
    found = Identity(
        header=Secret(f"Bearer {token}") if token else None,
        certificate=str(certificate).encode() if certificate and key else None,
        key=Secret(str(key)) if certificate and key else None,
    )
    return found, seconds


def _seconds_until(stamp: str) -> float:
    left = (datetime.fromisoformat(stamp) - datetime.now(UTC)).total_seconds()
    return max(1.0, left - _EARLY_SECONDS)


def basic(user: str, password: str) -> Identity:
    """Return the identity of a user with a password (a proxy before the cluster may want it)."""
    joined = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Identity(header=Secret(f"Basic {joined}"))
