"""Which proxy the environment names."""

from __future__ import annotations

import pytest
from spawnery.errors import ConfigurationError
from spawnery.toolkit import proxy_for
from spawnery.toolkit.proxies import checked

SERVER = "https://api.example.com:6443"
PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        (SERVER, {}, None),
        (SERVER, {"HTTPS_PROXY": PROXY}, PROXY),
        (SERVER, {"https_proxy": PROXY}, PROXY),
        (SERVER, {"HTTPS_PROXY": "proxy:3128"}, PROXY),
        (SERVER, {"HTTP_PROXY": PROXY}, None),
        ("http://api.example.com", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://api.example.com", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_the_variable(server: str, environ: dict[str, str], expected: str | None) -> None:
    """The variable of the server's scheme, never for this machine itself."""
    assert proxy_for(server, environ) == expected


@pytest.mark.parametrize(
    ("server", "rule", "excepted"),
    [
        (SERVER, "*", True),
        (SERVER, "api.example.com", True),
        (SERVER, "API.Example.com", True),
        (SERVER, "example.com", True),
        (SERVER, ".example.com", True),
        (SERVER, "*.example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://badexample.com", "example.com", False),
        (SERVER, "api.example.com:6443", True),
        (SERVER, "api.example.com:443", False),
        ("https://api.example.com", "api.example.com:443", True),
        (SERVER, "other.com, example.com", True),
        (SERVER, "", False),
        (SERVER, ",", False),
        ("https://10.96.0.1:443", "10.96.0.0/12", True),
        ("https://10.96.0.1:443", "10.96.0.1", True),
        ("https://10.96.0.1:443", "10.0.0.0/16", False),
        ("https://[fd00::1]:443", "fd00::/8", True),
    ],
)
def test_exceptions(server: str, rule: str, excepted: bool) -> None:
    """NO_PROXY names hosts, domains, ports and networks."""
    found = proxy_for(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": rule})
    assert found == (None if excepted else PROXY)


@pytest.mark.parametrize("proxy", ["socks5://user:hunter2@proxy:1080", "https://proxy", "http://"])
def test_other_kinds(proxy: str) -> None:
    """A proxy that we cannot use is refused by the name of who named it, without its password."""
    with pytest.raises(ConfigurationError, match="the proxy that proxy-url names") as caught:
        checked(proxy, "proxy-url")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="https_proxy"):
        proxy_for(SERVER, {"HTTPS_PROXY": proxy})
