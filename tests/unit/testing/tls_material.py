"""A self-signed certificate for 127.0.0.1, made with the openssl command, and its contexts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from commands import checked
from tools import need


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context and a client's that trusts it and shows the same certificate."""
    need("openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    checked(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        *("-keyout", key, "-out", certificate),
        env={"PATH": os.environ["PATH"]},
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.load_verify_locations(certificate)
    client = ssl.create_default_context(cafile=str(certificate))
    client.load_cert_chain(certificate, key)
    return server, client
