"""A person at a cluster: kubectl, and namespaces for one test each."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

TRIES = 40
AWAY = ("refused", "EOF", "etcdserver", "i/o timeout", "connection reset", "TLS handshake")
"""What kubectl says while a test restarts the API server."""


class Kubectl:
    """Runs kubectl, again while the API server restarts.

    Args:
        kubeconfig: Whom and where to be.
    """

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        command = ["kubectl", "--kubeconfig", self.kubeconfig, *words]
        for _ in range(TRIES):
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=180, check=False
            )
            if not done.returncode or not any(word in done.stderr for word in AWAY):
                return done
            time.sleep(0.5)
        return done

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that has to do its work; return what it prints."""
        done = self.run(*words, stdin=stdin)
        assert not done.returncode, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        """Return objects as the API has them."""
        return json.loads(self("get", *words, "-o", "json"))

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Make objects what they should be."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "-f", "-", stdin=json.dumps(items))

    @contextmanager
    def namespace(self, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """A new namespace, with the account that pods run as."""
        name = f"sp-{secrets.token_hex(4)}"
        metadata = {"name": name, "labels": dict(labels or {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        try:
            self.await_account(name)
            yield name
        finally:
            self("delete", "namespace", name, "--wait=false")

    def await_account(self, namespace: str) -> None:
        """Wait until pods can be made in a namespace that is new."""
        words = ("get", "serviceaccount", "default", "-n", namespace)
        for _ in range(240):
            if not self.run(*words).returncode:
                return
            time.sleep(0.25)
        message = f"the namespace {namespace} got no service account"
        raise AssertionError(message)
