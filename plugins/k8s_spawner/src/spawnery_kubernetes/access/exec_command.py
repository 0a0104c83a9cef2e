"""Credentials that a command of the kubeconfig hands out.

The protocol is client.authentication.k8s.io (kubernetes.io/docs/reference/access-authn-authz/
authentication, client-go credential plugins). Here the command has a time limit, which neither
kubectl nor the official client gives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from attrs import field, frozen
from spawnery.errors import ConfigurationError
from spawnery.model import Secret

from spawnery_kubernetes.access.credentials import Identity, Proof, bearer

_MOST_SECONDS: Final = 30.0
_EARLY_SECONDS: Final = 60.0
"""A credential is fetched again so long before it ends."""
_GROUP: Final = "client.authentication.k8s.io"
_VERSIONS: Final = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_QUOTE_LIMIT: Final = 300


@frozen(kw_only=True)
class ExecCommand:
    """A command that hands out credentials.

    Attributes:
        words: Program and arguments.
        version: Of the protocol.
        environ: Variables of the command.
        cluster: What it is told of the cluster, where it wants to know.
        where: The user's entry, for errors.
        hint: What to do when it fails.
    """

    words: Sequence[str]
    version: str
    environ: Mapping[str, str] = field(repr=False)
    cluster: Mapping[str, Any] | None = None
    where: str
    hint: str

    def run(self, limit: float) -> Proof:
        """Ask it.

        Args:
            limit: Seconds that it may take; never more than 30.

        Raises:
            ConfigurationError: It cannot be run, fails, takes too long, or answers otherwise than
                it should. What it printed as credentials is not quoted.
        """
        spec: dict[str, Any] = {"interactive": False}
        if self.cluster is not None:
            spec["cluster"] = self.cluster
        info = json.dumps({"apiVersion": self.version, "kind": "ExecCredential", "spec": spec})
        return self._understood(self._answer(info, min(limit, _MOST_SECONDS)))

    def _answer(self, info: str, limit: float) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: S603 - the person's own kubeconfig names it
                self.words,
                env={**self.environ, "KUBERNETES_EXEC_INFO": info},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._fail(f"cannot be run: {error.strerror}")
        with process:
            try:
                answer, said = process.communicate(timeout=limit)
            except BaseException as error:
                # With all that it started: whoever has its pipes open would be waited for.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    self._fail(f"did not end within {limit:.3g} s")
                raise
        if process.returncode:
            text = " ".join(said.decode("utf-8", "replace").split())[-_QUOTE_LIMIT:]
            self._fail(f"failed with exit code {process.returncode}: {text}")
        return answer

    def _understood(self, answer: bytes) -> Proof:
        try:
            status: Mapping[str, Any] = json.loads(answer)["status"]
            token, certificate = status.get("token"), status.get("clientCertificateData")
            key, expiry = status.get("clientKeyData"), status.get("expirationTimestamp")
            seconds = None if expiry is None else _seconds_until(expiry)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._fail("printed no ExecCredential")
        if not token and not (certificate and key):
            self._fail("printed neither a token nor a certificate with its key")
        identity = Identity(
            header=bearer(str(token), where=self.where) if token else None,
            certificate=str(certificate).encode() if certificate and key else None,
            key=Secret(str(key)) if certificate and key else None,
        )
        return Proof(identity=identity, seconds=seconds)

    def _fail(self, what: str) -> NoReturn:
        msg = f"{self.where}: the command {self.words[0]} {what}"
        raise ConfigurationError(msg, hint=self.hint) from None


def exec_command(
    given: Mapping[str, Any],
    *,
    where: str,
    folder: Path,
    environ: Mapping[str, str],
    cluster: Mapping[str, Any],
) -> ExecCommand:
    """Read the ``exec`` of a kubeconfig's user.

    Args:
        given: It.
        where: The user's entry, for errors.
        folder: Of the kubeconfig: relative paths start there.
        environ: Our own environment.
        cluster: What the command is told of the cluster if it asks (``provideClusterInfo``).

    Raises:
        ConfigurationError: It is broken, or wants what a program without a terminal cannot give.
    """
    command, version = str(given.get("command") or ""), str(given.get("apiVersion") or "")
    if not command or version not in _VERSIONS:
        msg = f"{where}: its exec needs a command and an apiVersion of {', '.join(_VERSIONS)}"
        raise ConfigurationError(msg, hint="kubectl config view; update the plugin's entry")
    if given.get("interactiveMode") == "Always":
        msg = f"{where}: the command {command} wants to ask a person, and nobody is here"
        raise ConfigurationError(msg, hint="use one that needs no terminal, or a token")
    if os.sep in command:
        command = str(folder / command)
    words = [command, *(str(word) for word in given.get("args") or ())]
    own = {str(item.get("name")): str(item.get("value")) for item in given.get("env") or ()}
    return ExecCommand(
        words=words,
        version=version,
        environ={**environ, **own},
        cluster=cluster if given.get("provideClusterInfo") else None,
        where=where,
        hint=str(given.get("installHint") or f"run it by hand: {' '.join(words)}").strip(),
    )


def _seconds_until(stamp: str) -> float:
    left = (datetime.fromisoformat(stamp) - datetime.now(UTC)).total_seconds()
    return max(1.0, left - _EARLY_SECONDS)
