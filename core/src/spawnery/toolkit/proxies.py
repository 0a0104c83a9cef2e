"""For spawners: the HTTP proxy that the environment names for a server. Pure.

As Go's net/http, and so kubectl and the docker command, read it (golang.org/x/net/http/httpproxy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from spawnery.errors import ConfigurationError

_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(server: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for a server; None where there is none.

    Args:
        server: ``https://host:port`` or ``http://host:port``.
        environ: Our own environment.

    Raises:
        ConfigurationError: It is of a kind that we cannot use.
    """
    address = urlsplit(server)
    proxy = _variable(environ, f"{address.scheme.upper()}_PROXY")
    host = (address.hostname or "").lower()
    if not proxy or is_loopback(host):
        return None
    port = address.port or _PORTS[address.scheme]
    rules = _variable(environ, "NO_PROXY").split(",")
    if any(_excepted(rule.strip().lower(), host, port) for rule in rules):
        return None
    return checked(proxy if "://" in proxy else f"http://{proxy}", f"{address.scheme}_proxy")


def checked(proxy: str, where: str) -> str:
    """Return the address of a proxy.

    Args:
        proxy: It.
        where: Where it comes from, for the error.

    Raises:
        ConfigurationError: It is of a kind that we cannot use.
    """
    if not proxy.startswith("http://") or not urlsplit(proxy).hostname:
        msg = f"the proxy that {where} names is of another kind than http://host:port"
        raise ConfigurationError(msg, hint="name one that is: socks and https are not supported")
    return proxy


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _excepted(rule: str, host: str, port: int) -> bool:
    """Tell whether a rule of NO_PROXY is about a host."""
    if rule == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        pass
    name, colon, only = rule.rpartition(":")
    if colon and only.isdigit():
        if int(only) != port:
            return False
        rule = name
    if rule.startswith((".", "*.")):
        return host.endswith(rule.removeprefix("*"))
    return bool(rule) and (host == rule or host.endswith(f".{rule}"))
