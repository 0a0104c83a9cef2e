"""A socket proxy as operators put before an engine: only an allow-list of requests goes through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

NEEDED: Sequence[tuple[str, str]] = (
    ("GET", "/_ping"),
    ("GET", "/version"),
    ("POST", "/containers/create"),
    ("POST", "/containers/[^/]+/(start|wait|stop|kill|attach)"),
    ("GET", "/containers/[^/]+/(json|logs)"),
    ("GET", "/containers/json"),
    ("DELETE", "/containers/[^/]+"),
    ("GET", "/events"),
)
"""Without these the spawner does not work."""
OPTIONAL: Sequence[tuple[str, str]] = (
    ("GET", "/info"),
    ("GET", "/networks(/[^/]+)?"),
    ("GET", "/images/.+/json"),
    ("POST", "/images/create"),
)
"""Without these it pulls no image, does not know which one ran, and checks less."""


@contextmanager
def socket_proxy(engine: str, allowed: Sequence[tuple[str, str]]) -> Iterator[TransportProxy]:
    """Run a proxy that answers 403 to all that is not allowed.

    Args:
        engine: ``unix:///path`` of the engine.
        allowed: Method and path (a regular expression, without version and query).
    """
    with TransportProxy(engine) as proxy:
        for method, path in allowed:
            proxy.arm(Rule(Fault.PASS, method=method, path=rf"^(/v1\.\d+)?{path}(\?|$)"))
        html = b"<html><body><h1>403 Forbidden</h1>Request forbidden by rules.</body></html>"
        proxy.arm(
            Rule(Fault.ERROR_500, status=403, body=html, headers=(("Content-Type", "text/html"),))
        )
        yield proxy


def refused(proxy: TransportProxy, allowed: Sequence[tuple[str, str]]) -> list[str]:
    """List the requests so far that were not on a list."""
    return [
        f"{seen.method} {seen.path}"
        for seen in proxy.seen()
        if not any(
            seen.method == method and re.search(rf"^(/v1\.\d+)?{path}(\?|$)", seen.path)
            for method, path in allowed
        )
    ]
