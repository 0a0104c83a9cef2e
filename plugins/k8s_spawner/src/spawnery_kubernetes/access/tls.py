"""The TLS context of a connection to the cluster."""

from __future__ import annotations

import os
import ssl
import tempfile
from typing import TYPE_CHECKING

from spawnery.errors import ConfigurationError

if TYPE_CHECKING:
    from spawnery_kubernetes.access.credentials import Identity
    from spawnery_kubernetes.access.resolve import Access


def context_of(access: Access, identity: Identity) -> ssl.SSLContext:
    """Make the context.

    Args:
        access: Whom to trust.
        identity: Who we are.

    Raises:
        ConfigurationError: A certificate or a key is broken.
    """
    what = "the certificate of the authority"
    try:
        authority = access.authority.decode("ascii") if access.authority else None
        context = ssl.create_default_context(cadata=authority)
        # Authorities of clusters often lack extensions that Python 3.13 wants; Go does not.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identity.certificate is not None and identity.key is not None:
            what = "the client certificate or its key"
            _load(context, identity.certificate, identity.key.reveal())
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "it is no PEM text"
        msg = f"{what} of {access.told} cannot be used: {reason}"
        raise ConfigurationError(msg, hint="kubectl config view --raw") from None
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: str) -> None:
    """Load a client certificate, which Python takes from a file alone."""
    handle, name = tempfile.mkstemp(prefix="spawnery-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + b"\n" + key.encode())
        # A key with a passphrase would otherwise ask for it on the terminal.
        context.load_cert_chain(name, password="")
    finally:
        os.unlink(name)  # noqa: PTH108 - as it was made
