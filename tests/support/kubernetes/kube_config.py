"""Kubeconfig files as tests want them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def write(
    path: Path,
    user: Mapping[str, Any] | None,
    cluster: Mapping[str, Any],
    *,
    namespace: str | None = None,
    name: str = "here",
) -> str:
    """Write a kubeconfig with one context; returns its path.

    Args:
        path: Of the file.
        user: Its user's entry; None for a context without one.
        cluster: Its cluster's entry.
        namespace: Of the context.
        name: Of the context; cluster and user have it too where it is not ``here``.
    """
    of_cluster, of_user = ("c", "u") if name == "here" else (name, name)
    context = {"cluster": of_cluster} | ({"user": of_user} if user is not None else {})
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": of_cluster, "cluster": dict(cluster)}],
        "users": [{"name": of_user, "user": dict(user)}] if user is not None else [],
        "contexts": [
            {"name": name, "context": context | ({"namespace": namespace} if namespace else {})}
        ],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return str(path)


def cluster_of(kubeconfig: str) -> dict[str, str]:
    """Return the cluster's entry of a kubeconfig that has one."""
    content = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    found: dict[str, str] = content["clusters"][0]["cluster"]
    return found


def user_of(kubeconfig: str) -> dict[str, str]:
    """Return the user's entry of a kubeconfig that has one."""
    content = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    found: dict[str, str] = content["users"][0]["user"]
    return found


def command(path: Path, script: str) -> str:
    """Write a command for credentials, a shell script; returns its path."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def credential(**status: str) -> str:
    """Make what such a command prints."""
    version = "client.authentication.k8s.io/v1"
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def exec_of(command: str, **more: Any) -> dict[str, Any]:
    """Make a user's entry that runs a command."""
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": command, "interactiveMode": "Never", **more}}
