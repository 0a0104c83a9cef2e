"""The manifests of ``deploy/kubernetes`` in a namespace of their own, and their account."""

from __future__ import annotations

import json
import logging
import os
import secrets
import ssl
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubectl import Kubectl
from spawnery.contract import SpawnerRuntime
from spawnery.testing.proxy import TransportProxy
from spawnery_kubernetes.objects.rights import Right, Rule

DEPLOY = Path(__file__).parents[3] / "deploy" / "kubernetes"
VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update"}


class Account:
    """The account that the manifests make, in one namespace.

    Args:
        kubectl: Who may do everything.
        namespace: Of the account.
        folder: For kubeconfigs.
    """

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.folder = folder
        shown = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        self.cluster: dict[str, str] = shown["clusters"][0]["cluster"]

    def kubeconfig(self, name: str = "spawnery", *, server: str | None = None) -> str:
        """Write the kubeconfig of an account, with a new token.

        Args:
            name: The account, also the name of its context.
            server: The address of a proxy in front of the cluster.
        """
        token = self.kubectl("create", "token", name, "-n", self.namespace).strip()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server} if server else self.cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [
                {
                    "name": name,
                    "context": {"cluster": "c", "user": name, "namespace": self.namespace},
                }
            ],
            "current-context": name,
        }
        path = self.folder / f"kubeconfig-{name}-{secrets.token_hex(4)}"
        path.touch(mode=0o600)
        path.write_text(json.dumps(content))
        return str(path)

    def environ(self, kubeconfig: str, mark: str) -> dict[str, str]:
        """The environment of a process that runs as an account.

        Args:
            kubeconfig: Its file.
            mark: Tells its instance, names and state apart from those of others; a DNS name of at
                most ten characters.
        """
        found = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "SPAWNER_TYPE": "kubernetes",
            "SPAWNERY_KUBERNETES_KUBECONFIG": kubeconfig,
            "SPAWNERY_STATE_DIR": str(self.folder / f"state-{mark}"),
            "SPAWNERY_INSTANCE": f"rbac-{mark}",
            "SPAWNERY_NAME_PREFIX": mark,
            "SPAWNERY_SETTLE_SECONDS": "0.5",
        }
        coverage = ("COVERAGE_PROCESS_START", "COVERAGE_FILE")
        return found | {name: os.environ[name] for name in coverage if name in os.environ}

    @contextmanager
    def proxy(self) -> Iterator[TransportProxy]:
        """A proxy in front of the cluster that writes down what is asked."""
        context = ssl.create_default_context(
            cadata=b64decode(self.cluster["certificate-authority-data"]).decode()
        )
        upstream = self.cluster["server"].replace("https://", "tcp://")
        with TransportProxy(upstream, upstream_tls=context) as proxy:
            yield proxy

    def clone(self, name: str, rules: Iterable[Rule]) -> None:
        """Make another account with a Role of these rules."""
        metadata = {"name": name, "namespace": self.namespace}
        granted = [
            {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}
            for rule in rules
            if rule.verbs
        ]
        group = "rbac.authorization.k8s.io"
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {
                "apiVersion": f"{group}/v1",
                "kind": "Role",
                "metadata": metadata,
                "rules": granted,
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", **metadata}],
            },
        )


@contextmanager
def deployed(kubectl: Kubectl, folder: Path, *parts: str) -> Iterator[Account]:
    """Apply the manifests in a namespace that is new, and remove it afterwards.

    Args:
        kubectl: Who may do everything.
        folder: For the overlay and for kubeconfigs.
        parts: Folders of the manifests beside ``spawner``.
    """
    namespace = f"sp-{secrets.token_hex(4)}"
    base = os.path.relpath(DEPLOY, folder.resolve())
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [f"{base}/spawner"],
        "components": [f"{base}/{part}" for part in parts],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    try:
        kubectl("apply", "-k", str(folder))
        kubectl.await_account(namespace)
        yield Account(kubectl, namespace, folder)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


def without(rules: Sequence[Rule], missing: Right) -> list[Rule]:
    """Return rules that grant everything but one right."""
    return [
        Rule(rule.group, rule.resource, tuple(r.verb for r in rule.rights() if r != missing))
        for rule in rules
    ]


def right_of(method: str, target: str) -> Right | None:
    """Return the right that a request needs; None where everybody may make it.

    Source: kubernetes.io/docs/reference/access-authn-authz/authorization, request attributes.
    """
    path, _, query = target.partition("?")
    parts: list[Any] = path.strip("/").split("/")
    if parts[0] == "version" or parts[-1].startswith("selfsubject"):
        return None
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    named = len(rest) > 1
    resource = "/".join([rest[0], *rest[2:]])
    if method == "GET":
        watching = "watch=1" in query or "watch=true" in query
        verb = "watch" if watching else "get" if named else "list"
    elif method == "DELETE":
        verb = "delete" if named else "deletecollection"
    else:
        verb = VERBS[method]
    return Right(group, resource, verb)


def runtime_of(folder: Path, instance: str, **fields: Any) -> SpawnerRuntime:
    """Return a host for a spawner or for one of its rooms.

    Args:
        folder: For the state directory.
        instance: Owner of the jobs, also the prefix of their names.
        fields: More of the runtime.
    """
    given = {
        "instance": instance,
        "name_prefix": instance,
        "state_dir": folder,
        "io_timeout_seconds": 60.0,
        "environ": {"HOME": str(folder), "PATH": os.environ["PATH"]},
        "logger": logging.getLogger("spawnery.kubernetes"),
        "emit": lambda _event: None,
    }
    return SpawnerRuntime(**(given | fields))
