"""Why the cluster cannot be reached, in words for a person, with what to do."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from spawnery.errors import EngineDenied, EngineUnreachable, SpawnerError

if TYPE_CHECKING:
    from spawnery_kubernetes.access.resolve import Access

_LOOK: Final = "is the cluster there? kubectl cluster-info"


def connect_error(access: Access, error: BaseException, limit: float) -> SpawnerError:
    """Say why no connection came about; nothing can have happened in the cluster.

    Args:
        access: Where we wanted to connect.
        error: What the system or the TLS library said.
        limit: The limit in seconds.
    """
    if isinstance(error, ssl.SSLError):
        return _tls(access, error)
    if isinstance(error, socket.gaierror):
        return _unreachable(access, f"its name cannot be resolved: {error.strerror}")
    if isinstance(error, TimeoutError):
        return _unreachable(access, f"no connection within {limit:.3g} s")
    if isinstance(error, ConnectionRefusedError):
        return _unreachable(access, "nothing listens there (connection refused)")
    return _unreachable(access, getattr(error, "strerror", None) or str(error))


def refused_certificate(access: Access, error: BaseException) -> EngineDenied | None:
    """Say that the server does not want our certificate; None where that is not why.

    With TLS 1.3 it says so in the place of its first answer.
    """
    reason = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    if "ALERT" not in reason or not ("CERT" in reason or "UNKNOWN_CA" in reason):
        return None
    said = reason.replace("_", " ").lower()
    msg = f"the cluster does not accept our certificate: {said} ({access.told})"
    return EngineDenied(msg, hint="kubectl auth whoami")


def _tls(access: Access, error: ssl.SSLError) -> SpawnerError:
    if isinstance(error, ssl.SSLCertVerificationError):
        msg = f"the cluster cannot prove who it is: {error.verify_message} ({access.told})"
        hint = "its certificate must be of the certificate-authority that the kubeconfig names"
        return EngineUnreachable(msg, hint=hint, retryable=False)
    refused = refused_certificate(access, error)
    if refused is not None:
        return refused
    # A server that goes away while we connect is worth another try; one without TLS is not.
    away = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return _unreachable(access, f"TLS failed: {reason}", retryable=away)


def _unreachable(access: Access, why: str, *, retryable: bool = True) -> EngineUnreachable:
    by_proxy = " through its proxy" if access.proxy else ""
    msg = f"no cluster answers{by_proxy}: {why} ({access.told})"
    return EngineUnreachable(msg, hint=_LOOK, retryable=retryable)
