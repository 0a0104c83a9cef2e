"""An admission webhook for one namespace that denies everything, on this machine."""

from __future__ import annotations

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from certificates import authority, certificate, server_context
from kubectl import Kubectl

_GROUP = "admissionregistration.k8s.io/v1"


class _Denier(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Deny."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = {"message": "no jobs on Fridays"}
        response = {"uid": asked["request"]["uid"], "allowed": False, "status": status}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        body = json.dumps({**review, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: Any) -> None:
        """Say nothing."""


@contextmanager
def denier(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the webhook; yields its address and its authority, as a configuration has it."""
    own = authority(folder / "own")
    tls = server_context(certificate(own, folder / "server"), wants_certificate=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Denier)
    server.daemon_threads = True
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        bundle = b64encode((own / "ca.pem").read_bytes()).decode()
        yield f"https://127.0.0.1:{server.server_port}/", bundle
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def webhook(
    kubectl: Kubectl, namespace: str, address: str, bundle: str | None = None
) -> Iterator[None]:
    """Have the API server ask a webhook about each new Job of a namespace."""
    name = f"sp-{secrets.token_hex(4)}"
    hook = {
        "name": "deny.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "failurePolicy": "Fail",
        "clientConfig": {"url": address} | ({"caBundle": bundle} if bundle else {}),
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {
                "apiGroups": ["batch"],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["jobs"],
            }
        ],
    }
    kind = "ValidatingWebhookConfiguration"
    kubectl.apply(
        {"apiVersion": _GROUP, "kind": kind, "metadata": {"name": name}, "webhooks": [hook]}
    )
    try:
        yield
    finally:
        kubectl("delete", kind, name)


@contextmanager
def policy(kubectl: Kubectl, namespace: str) -> Iterator[None]:
    """Have the API server itself deny each new Job of a namespace."""
    name = f"sp-{secrets.token_hex(4)}"
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["jobs"],
    }
    kind = "ValidatingAdmissionPolicy"
    kubectl.apply(
        {
            "apiVersion": _GROUP,
            "kind": kind,
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "no jobs on Fridays"}],
            },
        },
        {
            "apiVersion": _GROUP,
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
                },
            },
        },
    )
    try:
        yield
    finally:
        kubectl("delete", f"{kind}Binding", name)
        kubectl("delete", kind, name)
