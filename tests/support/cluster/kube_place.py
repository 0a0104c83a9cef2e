"""A namespace for all tests of one worker (one for each would cost time), and who acts in it."""

from __future__ import annotations

import json
import secrets
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from certificates import authority, certificate, server_context
from kube_account import deployed
from kube_api import KubeApi
from kube_images import load_busybox
from kube_runs import Runs
from kubectl import Kubectl
from spawnery.testing.proxy import TransportProxy

_TOKEN_HOURS: Final = 12
_LEVEL: Final = "pod-security.kubernetes.io/enforce"


class KubePlace:
    """One namespace; what one test makes in it is told by its name prefix.

    Args:
        kubectl: Who may do everything.
        namespace: It has the manifests of ``deploy/kubernetes``.
        cluster: Of the kubeconfig: where the API server is, and its authority.
        folder: For certificates.

    Attributes:
        api: Who may do everything in the namespace.
        token: Of the account that Spawnery runs as.
        runs: Which pods have run their program.
    """

    def __init__(
        self, kubectl: Kubectl, namespace: str, cluster: Mapping[str, str], folder: Path
    ) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.server = cluster["server"]
        self.authority = b64decode(cluster["certificate-authority-data"]).decode()
        self.token = self._token_of("spawnery")
        self._make_person()
        self.api = KubeApi(self.server, self.authority, self._of_person, namespace)
        self.runs = Runs(self.api)
        self._own = authority(folder / "authority")
        self._server_tls = server_context(
            certificate(self._own, folder / "server"), wants_certificate=False
        )

    def proxy(self, *, plain: bool = False) -> TransportProxy:
        """Open a proxy in front of the API server, with a certificate of its own unless plain."""
        return TransportProxy(
            self.server.replace("https://", "tcp://"),
            server_tls=None if plain else self._server_tls,
            upstream_tls=ssl.create_default_context(cadata=self.authority),
        )

    def kubeconfig(
        self, path: Path, proxy: TransportProxy | None = None, *, plain: bool = False
    ) -> str:
        """Write the kubeconfig of the account that Spawnery runs as; returns its path."""
        server, trusted = self.server, self.authority
        if proxy is not None:
            server = proxy.address.replace("tcp://", "http://" if plain else "https://")
            trusted = (self._own / "ca.pem").read_text()
        return write_kubeconfig(path, server, trusted, self.token, self.namespace)

    def names(self, prefix: str) -> set[str]:
        """Name the Jobs, pods and Secrets whose names begin so, as ``kind/name``."""
        return {
            f"{kind}/{item['metadata']['name']}"
            for kind in ("jobs", "pods", "secrets")
            for item in self.api.items(kind)
            if item["metadata"]["name"].startswith(prefix)
        }

    def sweep(self, prefix: str) -> None:
        """Ask for the removal of all of these."""
        for kind, name in (item.split("/") for item in sorted(self.names(prefix))):
            at_once = {"gracePeriodSeconds": 0} if kind == "pods" else {}
            self.api.delete(kind, name, propagationPolicy="Background", **at_once)

    def close(self) -> None:
        """Let go of the cluster."""
        self.runs.close()
        self.api.close()

    def _make_person(self) -> None:
        """Make an account that may do everything in the namespace, for the tests themselves."""
        metadata = {"name": "tests", "namespace": self.namespace}
        group = "rbac.authorization.k8s.io"
        role: dict[str, Any] = {"apiGroup": group, "kind": "ClusterRole", "name": "admin"}
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", **metadata}],
            },
        )

    def _of_person(self) -> str:
        return self._token_of("tests")

    def _token_of(self, account: str) -> str:
        limit = f"--duration={_TOKEN_HOURS}h"
        return self.kubectl("create", "token", account, "-n", self.namespace, limit).strip()


@contextmanager
def kube_place(kubeconfig: str, folder: Path, *, level: str = "privileged") -> Iterator[KubePlace]:
    """Make a namespace with all that tests need, and remove it afterwards.

    Args:
        kubeconfig: Of who may do everything.
        folder: An empty folder.
        level: The Pod Security level that the namespace enforces.
    """
    kubectl = Kubectl(kubeconfig)
    load_busybox(kubectl)
    with ExitStack() as stack:
        account = stack.enter_context(deployed(kubectl, folder))
        kubectl("label", "namespace", account.namespace, f"{_LEVEL}={level}", "--overwrite")
        place = KubePlace(kubectl, account.namespace, account.cluster, folder)
        stack.callback(place.close)
        yield place


def write_kubeconfig(path: Path, server: str, trusted: str, token: str, namespace: str) -> str:
    """Write a kubeconfig with one context; returns its path."""
    cluster = {
        "server": server,
        "certificate-authority-data": b64encode(trusted.encode()).decode(),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "spawnery", "user": {"token": token}}],
        "contexts": [
            {
                "name": "tests",
                "context": {"cluster": "tests", "user": "spawnery", "namespace": namespace},
            }
        ],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return str(path)


def new_prefix(letter: str) -> str:
    """Return a name prefix that no other test has; at most ten characters, as a setting asks."""
    return f"{letter}{secrets.token_hex(4)}"
