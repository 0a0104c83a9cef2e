"""Certificates for TLS tests, made with openssl."""

from __future__ import annotations

import ssl
from pathlib import Path

from commands import checked
from tools import need


def _openssl(folder: Path, *words: str) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    checked("openssl", *words, cwd=folder, env=environ)


def authority(folder: Path) -> Path:
    """Make an authority (``ca.pem``, ``ca-key.pem``) in a new folder."""
    need("openssl")
    folder.mkdir(parents=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    names = ("-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test authority")
    _openssl(folder, "req", "-x509", *key, *names, "-days", "2")
    return folder


def certificate(of: Path, folder: Path, *, address: str = "127.0.0.1") -> Path:
    """Make ``cert.pem`` and ``key.pem``, signed by an authority, beside its ``ca.pem``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes((of / "ca.pem").read_bytes())
    (folder / "extra").write_text(f"subjectAltName=IP:{address}\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl(folder, "req", *key, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=test")
    signer = ("-CA", str(of / "ca.pem"), "-CAkey", str(of / "ca-key.pem"), "-CAcreateserial")
    out = ("-in", "request", "-out", "cert.pem", "-days", "2", "-extfile", "extra")
    _openssl(folder, "x509", "-req", *signer, *out)
    return folder


def server_context(folder: Path, *, wants_certificate: bool) -> ssl.SSLContext:
    """Return the context of a server that has the certificate of a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    return context
