"""TLS to an engine: the files that the docker command uses, and the context made of them.

The docker package (7.1, 7.2) differs from the docker command (20.10, 28.2), so both are ours:

* It wants a certificate of ours in any case. ``DOCKER_CERT_PATH`` alone switches TLS on, without a
  check of the engine; ``DOCKER_TLS`` switches nothing on.
* Without a CA it trusts certifi's authorities instead of the system's, and
  ``REQUESTS_CA_BUNDLE`` replaces the CA of the folder.
* On Python 3.13 it refuses authorities that lack extensions, such as key usage; Go takes them.

tests/unit/docker/reach/test_tls_differences.py shows each.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from spawnery.errors import ConfigurationError


@frozen(kw_only=True)
class TlsFiles:
    """Certificates of a TLS connection.

    Attributes:
        ca: The authority that signed the engine's certificate; the system's where it is None.
        cert, key: Who we are, None without.
        verify: Whether the engine has to prove who it is.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    @classmethod
    def of(cls, environ: Mapping[str, str], default: Path) -> TlsFiles | None:
        """Read ``DOCKER_TLS_VERIFY``, ``DOCKER_TLS`` and ``DOCKER_CERT_PATH``.

        Any value but the empty one switches on, ``0`` too: so does the docker command. A folder
        without ``DOCKER_TLS*`` does not; None then.

        Args:
            environ: Our own environment.
            default: The folder of the files where ``DOCKER_CERT_PATH`` names none.
        """
        verify = bool(environ.get("DOCKER_TLS_VERIFY"))
        if not verify and not environ.get("DOCKER_TLS"):
            return None
        named = environ.get("DOCKER_CERT_PATH")
        return cls.in_folder(Path(named) if named else default, verify=verify)

    @classmethod
    def in_folder(cls, folder: Path, *, verify: bool) -> TlsFiles:
        """Take ``ca.pem``, ``cert.pem`` and ``key.pem`` of a folder, those that are there."""
        ca, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        return cls(
            ca=ca if ca.exists() else None,
            cert=cert if cert.exists() else None,
            key=key if key.exists() else None,
            verify=verify,
        )

    def context(self) -> ssl.SSLContext:
        """Return the context for connections, made once.

        Raises:
            ConfigurationError: A file cannot be used.
        """
        return _context(self)


@functools.lru_cache(maxsize=8)
def _context(files: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.ca if files.verify else None)
        # Authorities of engines often lack extensions that Python 3.13 wants; Go does not.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not files.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if files.cert is not None and files.key is not None:
            context.load_cert_chain(files.cert, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        msg = f"the certificates of the engine cannot be used: {_what(error)}"
        folder = (files.cert or files.ca or Path()).parent
        hint = f"DOCKER_CERT_PATH names the folder; look at what is in it: ls -l {folder}"
        raise ConfigurationError(msg, hint=hint) from None
    return context


def _what(error: OSError | ValueError) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def _no_password() -> str:
    """Fail instead of asking on the terminal, as OpenSSL would."""
    msg = "key.pem has a password, which is not supported"
    raise ValueError(msg)
