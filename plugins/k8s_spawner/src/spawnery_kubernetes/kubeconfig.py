"""Reads kubeconfig files: several are merged, the first to set a name wins, as kubectl does it."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from spawnery.errors import ConfigurationError
from spawnery.secret import Secret

from spawnery_kubernetes.credentials import (
    Credentials,
    Identity,
    basic,
    fixed,
    of_command,
    of_token_file,
)

_KINDS: Final = ("clusters", "users", "contexts")
_SINGULAR: Final = {"clusters": "cluster", "users": "user", "contexts": "context"}


@frozen(kw_only=True)
class Found:
    """An entry of a kubeconfig and the file that it stands in."""

    file: Path
    value: Mapping[str, Any]


@frozen(kw_only=True)
class Kubeconfig:
    """What the files say together.

    Attributes:
        files: All of them, for people.
        current: The current context; empty where none is set.
        clusters, users, contexts: By name.
    """

    files: str
    current: str
    clusters: Mapping[str, Found]
    users: Mapping[str, Found]
    contexts: Mapping[str, Found]

    def entry(self, kind: str, name: str) -> Found:
        """Return an entry.

        Raises:
            ConfigurationError: There is none of that name.
        """
        entries: Mapping[str, Found] = getattr(self, kind)
        if name not in entries:
            there = ", ".join(sorted(entries)) or "none"
            msg = f"the kubeconfig {self.files} has no {_SINGULAR[kind]} {name!r}; it has: {there}"
            raise ConfigurationError(msg, hint="kubectl config get-contexts")
        return entries[name]


def read(paths: Sequence[Path]) -> Kubeconfig:
    """Read the files that there are.

    Raises:
        ConfigurationError: A file cannot be read, or is no kubeconfig.
    """
    found: dict[str, dict[str, Found]] = {kind: {} for kind in _KINDS}
    current = ""
    for path in paths:
        content = _content(path)
        current = current or str(content.get("current-context") or "")
        for kind in _KINDS:
            for item in content.get(kind) or ():
                if not isinstance(item, Mapping) or "name" not in item:
                    msg = f"the kubeconfig {path} is broken: an entry of {kind} has no name"
                    raise ConfigurationError(msg)
                value = item.get(_SINGULAR[kind]) or {}
                found[kind].setdefault(str(item["name"]), Found(file=path, value=value))
    return Kubeconfig(files=os.pathsep.join(map(str, paths)), current=current, **found)


def _content(path: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - costs at import

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"the kubeconfig {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg, hint="name another one: export KUBECONFIG=...") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"{path} line {line + 1}" if line is not None else str(path)
        raise ConfigurationError(f"the kubeconfig {where} is not YAML") from None  # noqa: EM102, TRY003
    if not isinstance(content, Mapping):
        msg = f"the kubeconfig {path} is empty, or no kubeconfig"
        raise ConfigurationError(msg)
    return content


def data_or_file(entry: Found, name: str) -> bytes | None:
    """Return what ``NAME-data`` (base64) or the file ``NAME`` holds.

    Raises:
        ConfigurationError: It cannot be read.
    """
    value = entry.value
    if value.get(f"{name}-data"):
        try:
            return base64.b64decode(value[f"{name}-data"], validate=True)
        except (binascii.Error, ValueError):
            msg = f"the kubeconfig {entry.file} is broken: {name}-data is not base64"
            raise ConfigurationError(msg) from None
    if not value.get(name):
        return None
    path = entry.file.parent / str(value[name])
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}, which the kubeconfig {entry.file} names, cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from None


def credentials_of(entry: Found, name: str, environ: Mapping[str, str]) -> Credentials:
    """Return the credentials of a user.

    Args:
        entry: The user's.
        name: Of the user.
        environ: Our own environment, for commands.

    Raises:
        ConfigurationError: There are none that we know: nobody is asked anonymously.
    """
    user, where = entry.value, f"user {name!r} of the kubeconfig {entry.file}"
    if user.get("exec"):
        return of_command(user["exec"], where=where, folder=entry.file.parent, environ=environ)
    if user.get("tokenFile"):
        return of_token_file(entry.file.parent / str(user["tokenFile"]))
    if user.get("token"):
        return fixed(Identity(header=Secret(f"Bearer {user['token']}")))
    certificate, key = data_or_file(entry, "client-certificate"), data_or_file(entry, "client-key")
    if certificate and key:
        return fixed(Identity(certificate=certificate, key=Secret(key.decode())))
    if user.get("username"):
        return fixed(basic(str(user["username"]), str(user.get("password") or "")))
    if user.get("auth-provider"):
        msg = f"{where} uses an auth-provider, which Kubernetes has given up"
        hint = "use an exec plugin of your provider, for example: kubelogin, gke-gcloud-auth-plugin"
        raise ConfigurationError(msg, hint=hint)
    msg = f"{where} has no credentials"
    raise ConfigurationError(msg, hint="kubectl config set-credentials -h")
