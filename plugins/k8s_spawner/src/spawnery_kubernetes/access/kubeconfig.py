"""Reads kubeconfig files: several are merged, the first to set a name wins, as kubectl does it.

``kubernetes.config`` (35.0.0 to 37.0.2) is not used, as it does otherwise than kubectl: of several
files the last current context counts, and paths start beside the cluster's file; a failed command
means a request without credentials; ``as`` is dropped; tokens are quoted in errors, and refused
ones kept; keys stay in temporary files; proxies have other exceptions and no password. Each
difference is measured in ``tests/unit/kubernetes/access/test_package_loader.py``. Format:
kubernetes.io/docs/reference/config-api/kubeconfig.v1.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from spawnery.errors import ConfigurationError
from spawnery.model import Secret

from spawnery_kubernetes.access.credentials import Identity, Proof, basic, bearer, of_token_file
from spawnery_kubernetes.access.exec_command import exec_command

_KINDS: Final = {"clusters": "cluster", "users": "user", "contexts": "context"}
_PERSONS: Final = "kubectl config view"


@frozen(kw_only=True)
class Entry:
    """A cluster, a user or a context of a kubeconfig.

    Attributes:
        name: Its name.
        file: The file that it stands in; relative paths start beside it.
        value: What it says.
    """

    name: str
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
    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]
    contexts: Mapping[str, Entry]

    def entry(self, kind: str, name: str) -> Entry:
        """Return an entry.

        Args:
            kind: ``clusters``, ``users`` or ``contexts``.
            name: Its name.

        Raises:
            ConfigurationError: There is none of that name.
        """
        entries: Mapping[str, Entry] = getattr(self, kind)
        if name not in entries:
            there = ", ".join(sorted(entries)) or "none"
            msg = f"the kubeconfig {self.files} has no {_KINDS[kind]} {name!r}; it has: {there}"
            raise ConfigurationError(msg, hint=_PERSONS)
        return entries[name]


def read(paths: Sequence[Path]) -> Kubeconfig:
    """Read the files.

    Raises:
        ConfigurationError: A file cannot be read, or is no kubeconfig.
    """
    found: dict[str, dict[str, Entry]] = {kind: {} for kind in _KINDS}
    current = ""
    for path in paths:
        content = _content(path)
        current = current or str(content.get("current-context") or "")
        for kind in _KINDS:
            for entry in _entries(path, kind, content.get(kind)):
                found[kind].setdefault(entry.name, entry)
    return Kubeconfig(files=os.pathsep.join(map(str, paths)), current=current, **found)


def _content(path: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - our own pod needs no kubeconfig

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"the kubeconfig {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg, hint="name another one in KUBECONFIG") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}," if mark is not None else f"{path}"
        msg = f"the kubeconfig {where} is no YAML"
        raise ConfigurationError(msg, hint=_PERSONS) from None
    if content is None:
        return {}  # as kubectl does it: of a list of files some may be empty
    if not isinstance(content, Mapping):
        msg = f"the kubeconfig {path} is no kubeconfig at all"
        raise ConfigurationError(msg, hint="name another one in KUBECONFIG")
    return content


def _entries(path: Path, kind: str, items: Any) -> list[Entry]:
    found = []
    for item in items or ():
        value = item.get(_KINDS[kind]) if isinstance(item, Mapping) else 0
        # As kubectl does it: an entry that says nothing is there, and says nothing.
        value = {} if value is None else value
        if not isinstance(value, Mapping) or not item.get("name"):
            msg = f"the kubeconfig {path} is broken: {kind} holds something else than"
            msg += f" a name and a {_KINDS[kind]}"
            raise ConfigurationError(msg, hint=_PERSONS)
        found.append(Entry(name=str(item["name"]), file=path, value=value))
    return found


def data_or_file(entry: Entry, name: str) -> bytes | None:
    """Return what ``NAME-data`` (base64) or the file ``NAME`` holds; None without either.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if entry.value.get(f"{name}-data"):
        try:
            return base64.b64decode(str(entry.value[f"{name}-data"]), validate=True)
        except (binascii.Error, ValueError):
            msg = f"the kubeconfig {entry.file} is broken: {name}-data of {entry.name!r}"
            msg += " is not base64"
            raise ConfigurationError(msg, hint=_PERSONS) from None
    if not entry.value.get(name):
        return None
    path = entry.file.parent / str(entry.value[name])
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}, the {name} that the kubeconfig {entry.file} names, cannot be read:"
        msg += f" {error.strerror}"
        raise ConfigurationError(msg, hint=f"ls -l {path}") from None


def proof_of(
    user: Entry, *, cluster: Mapping[str, Any], environ: Mapping[str, str], limit: float
) -> Proof:
    """Find what a user proves itself with.

    Args:
        user: It.
        cluster: What a command may be told of the cluster.
        environ: Our own environment, for the command.
        limit: Seconds that the command may take.

    Raises:
        ConfigurationError: It is broken, or of a kind that we do not have.
    """
    given, where = user.value, f"user {user.name!r} of the kubeconfig {user.file}"
    if given.get("as"):
        msg = f"{where} acts as another one (as: {given['as']}), which is not supported"
        raise ConfigurationError(msg, hint="use that account's own credentials")
    if given.get("auth-provider"):
        msg = f"{where} has an auth-provider, which Kubernetes has given up"
        hint = "use its exec command, for example: kubelogin, gke-gcloud-auth-plugin"
        raise ConfigurationError(msg, hint=hint)
    certificate, key = data_or_file(user, "client-certificate"), data_or_file(user, "client-key")
    if (certificate is None) != (key is None):
        lacks = "client-key" if key is None else "client-certificate"
        raise ConfigurationError(f"{where} lacks its {lacks}", hint=_PERSONS)  # noqa: EM102, TRY003
    header = _header(user, where)
    # As kubectl does it: the command is for who has nothing else.
    if given.get("exec") and header is None and certificate is None:
        folder = user.file.parent
        command = exec_command(
            given["exec"], where=where, folder=folder, environ=environ, cluster=cluster
        )
        return command.run(limit)
    return Proof(
        identity=Identity(
            header=header.identity.header if header else None,
            certificate=certificate,
            key=Secret(key.decode("utf-8", "replace")) if key else None,
        ),
        seconds=header.seconds if header else None,
    )


def _header(user: Entry, where: str) -> Proof | None:
    given = user.value
    if given.get("tokenFile"):
        return of_token_file(user.file.parent / str(given["tokenFile"]))
    if given.get("token"):
        return Proof(identity=Identity(header=bearer(str(given["token"]), where=where)))
    if given.get("username"):
        password = str(given.get("password") or "")
        return Proof(identity=Identity(header=basic(str(given["username"]), password)))
    return None
