"""Why we read kubeconfig files ourselves: what ``kubernetes.config`` does otherwise than kubectl.

Each test has the same kubeconfig read by kubectl, by the installed package and by us, and compares
what a server got. A test that fails because the package does as kubectl does names a difference
that is mended. Measured with kubectl 1.32 and the versions of the package that each docstring
names: 35.0.0 is the oldest that we take, 37.0.2 the one in our lock file.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from connect_proxy import ConnectProxy
from kube_config import command, credential, exec_of, write
from kube_readers import Api, Readers

pytestmark = [pytest.mark.tool("openssl"), pytest.mark.tool("kubectl")]

SECRET = "hunter2"
TOKEN = {"token": SECRET}
SENT = f"Bearer {SECRET}"
OLDEST = version("kubernetes").startswith("35.")
"""That version knows neither ``proxy-url`` nor ``NO_PROXY``."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A server that takes every token, and nobody without."""
    with Api(tmp_path) as made:
        yield made


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    """The three, without a kubeconfig yet."""
    return Readers(tmp_path)


def given(readers: Readers, api: Api, user: dict[str, Any] | None, **cluster: Any) -> Path:
    """Write the kubeconfig that all of them read."""
    path = Path(readers.environ["HOME"]) / "config"
    readers.environ["KUBECONFIG"] = write(path, user, {**api.cluster, **cluster})
    return path


def sent(readers: Readers, api: Api) -> dict[str, list[str | None]]:
    """Return what credentials each of them sends, once for equal ones."""
    found = {}
    for name in ("kubectl", "package", "ours"):
        getattr(readers, name)()
        found[name] = list(dict.fromkeys(api.tokens()))
    return found


# -- which cluster, which user -----------------------------------------------------------------


def test_the_current_context_of_several_files(api: Api, readers: Readers, tmp_path: Path) -> None:
    """Of ``KUBECONFIG=a:b`` the first file's current context counts; with the package it is the
    last one's, so jobs would go to another cluster than kubectl's (35.0.0, 37.0.2)."""
    with Api(tmp_path, name="other") as other:
        first = write(tmp_path / "a", TOKEN, api.cluster)
        second = write(tmp_path / "b", TOKEN, other.cluster, name="there")
        readers.environ["KUBECONFIG"] = f"{first}:{second}"
        asked = {}
        for name in ("kubectl", "package", "ours"):
            getattr(readers, name)()
            asked[name] = (bool(api.tokens()), bool(other.tokens()))
    assert asked == {"kubectl": (True, False), "package": (False, True), "ours": (True, False)}


def test_an_empty_file_among_several(api: Api, readers: Readers, tmp_path: Path) -> None:
    """It says nothing; the package takes it for an error (35.0.0, 37.0.2)."""
    (tmp_path / "empty").touch()
    path = given(readers, api, TOKEN)
    readers.environ["KUBECONFIG"] = f"{tmp_path / 'empty'}:{path}"
    assert sent(readers, api) == {"kubectl": [SENT], "package": [], "ours": [SENT]}


def test_relative_paths_start_at_their_own_file(api: Api, readers: Readers, tmp_path: Path) -> None:
    """A user's command stands beside the file of the user; the package looks for it beside that of
    the cluster, and goes on without credentials (35.0.0, 37.0.2)."""
    for name in ("clusters", "users"):
        (tmp_path / name).mkdir()
    command(tmp_path / "users" / "helper", f"echo '{credential(token=SECRET)}'")
    both = given(readers, api, exec_of("./helper"))
    content = json.loads(both.read_text())
    users = {"apiVersion": "v1", "kind": "Config", "users": content.pop("users")}
    (tmp_path / "clusters" / "config").write_text(json.dumps(content))
    (tmp_path / "users" / "config").write_text(json.dumps(users))
    readers.environ["KUBECONFIG"] = f"{tmp_path}/clusters/config:{tmp_path}/users/config"
    assert sent(readers, api) == {"kubectl": [SENT], "package": [None], "ours": [SENT]}


def test_acting_as_another_user(api: Api, readers: Readers) -> None:
    """``as`` limits what may be done; the package drops it and has all rights of the person
    (35.0.0, 37.0.2). We refuse it."""
    given(readers, api, {**TOKEN, "as": "intern"})
    acted = {}
    for name in ("kubectl", "package", "ours"):
        getattr(readers, name)()
        acted[name] = {asked.acts_as for asked in api.asked}
        api.asked.clear()
    assert acted == {"kubectl": {"intern"}, "package": {None}, "ours": set()}


def test_a_file_beside_empty_data(api: Api, readers: Readers) -> None:
    """Empty ``certificate-authority-data`` says nothing; with the package it hides the file, so the
    server is not trusted (35.0.0, 37.0.2)."""
    given(readers, api, TOKEN, **{"certificate-authority-data": ""})
    assert sent(readers, api) == {"kubectl": [SENT], "package": [], "ours": [SENT]}


# -- tokens ------------------------------------------------------------------------------------


def test_a_token_file_with_a_newline(api: Api, readers: Readers, tmp_path: Path) -> None:
    """The end of its line is no part of a token; the package sends nothing then, and quotes the
    token in its error (35.0.0, 37.0.2)."""
    (tmp_path / "token").write_text(f"{SECRET}\n")
    given(readers, api, {"tokenFile": "token"})
    assert sent(readers, api) == {"kubectl": [SENT], "package": [], "ours": [SENT]}
    assert SECRET in readers.package()


def test_a_token_file_beside_a_token(api: Api, readers: Readers, tmp_path: Path) -> None:
    """The file counts, as it is the newer one; the package takes the other (35.0.0, 37.0.2)."""
    (tmp_path / "token").write_text(SECRET)
    given(readers, api, {"tokenFile": "token", "token": "old"})
    assert sent(readers, api) == {"kubectl": [SENT], "package": ["Bearer old"], "ours": [SENT]}


def test_a_user_without_a_password(api: Api, readers: Readers) -> None:
    """The name is sent; the package sends nothing (35.0.0, 37.0.2)."""
    given(readers, api, {"username": "u"})
    basic = f"Basic {base64.b64encode(b'u:').decode()}"
    assert sent(readers, api) == {"kubectl": [basic], "package": [None], "ours": [basic]}


def test_a_missing_field_beside_a_secret(api: Api, readers: Readers) -> None:
    """The package names what it misses by quoting the whole entry, secrets included (35.0.0,
    37.0.2); our error has none of them."""
    provider = {"name": "oidc", "config": {"refresh-token": SECRET, "client-secret": SECRET}}
    given(readers, api, {"auth-provider": provider})
    assert SECRET in readers.package()
    assert SECRET not in readers.ours()
    assert not api.asked


@pytest.mark.parametrize("kind", ["exec", "tokenFile"])
def test_a_token_that_is_refused(kind: str, readers: Readers, tmp_path: Path) -> None:
    """A token that was replaced is looked for again when the old one is refused; the package sends
    the old one again and again (35.0.0, 37.0.2). kubectl lives too shortly to show it."""
    path = tmp_path / "token"
    path.write_text("old")
    say = credential(token="TOKEN").replace("TOKEN", "'\"$(cat " + str(path) + ")\"'")
    user = exec_of(command(tmp_path / "helper", f"echo '{say}'"))

    def accepts(token: str | None) -> bool:
        path.write_text("new")  # it is replaced as soon as somebody uses it
        return token == "Bearer new"

    with Api(tmp_path, accepts=accepts) as api:
        given(readers, api, user if kind == "exec" else {"tokenFile": str(path)})
        readers.package(times=3)
        assert api.tokens() == ["Bearer old"] * 3
        path.write_text("old")
        assert not readers.ours(times=2)
        assert api.tokens() == ["Bearer old", "Bearer new", "Bearer new"]


# -- commands that hand out credentials --------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    ["echo refused >&2; exit 3", "echo no JSON", "echo '{}'", f"echo '{credential()}'"],
    ids=["fails", "no JSON", "empty", "no credential"],
)
def test_a_command_that_fails(script: str, api: Api, readers: Readers, tmp_path: Path) -> None:
    """Nothing is sent without the credentials that a command was to hand out; the package logs a
    line and goes on as ``system:anonymous`` (35.0.0, 37.0.2)."""
    given(readers, api, exec_of(command(tmp_path / "helper", script)))
    assert not api.tokens()
    readers.package()
    assert api.tokens() == [None]
    assert "the command" in readers.ours()
    assert not api.tokens()
    if "credential" not in script and "{" not in script:
        readers.kubectl()
        assert not api.tokens()


def test_a_command_that_hangs(api: Api, readers: Readers, tmp_path: Path) -> None:
    """It has 30 s at most; the package waits for as long as it takes, as kubectl does (35.0.0,
    37.0.2), and nothing ends the wait."""
    given(readers, api, exec_of(command(tmp_path / "helper", "exec sleep 100")))
    with pytest.raises(subprocess.TimeoutExpired):
        readers.package(patience=4.0)
    assert "did not end within" in readers.ours(patience=1.0)


def test_a_token_that_ends_soon(api: Api, readers: Readers, tmp_path: Path) -> None:
    """A token of four minutes is used until its last one; the package has the command run for each
    request in the last five (35.0.0, 37.0.2)."""
    soon = (datetime.now(UTC) + timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    say = credential(token=SECRET, expirationTimestamp=soon)
    script = f"echo x >> {tmp_path}/runs; echo '{say}'"
    given(readers, api, exec_of(command(tmp_path / "helper", script)))
    runs = tmp_path / "runs"
    readers.package(times=3)
    assert len(runs.read_text().split()) == 4
    runs.unlink()
    assert not readers.ours(times=3)
    assert len(runs.read_text().split()) == 1


def test_what_a_command_is_told_of_the_cluster(api: Api, readers: Readers, tmp_path: Path) -> None:
    """``provideClusterInfo``: the command gets the certificate itself, as its protocol says; the
    package hands over the kubeconfig's entry with the path of a file (35.0.0, 37.0.2)."""
    script = (
        f"printf %s \"$KUBERNETES_EXEC_INFO\" > {tmp_path}/told; echo '{credential(token='t')}'"
    )
    given(readers, api, exec_of(command(tmp_path / "helper", script), provideClusterInfo=True))
    told = {}
    for name in ("kubectl", "package", "ours"):
        getattr(readers, name)()
        cluster = json.loads((tmp_path / "told").read_text())["spec"]["cluster"]
        told[name] = {key for key, value in cluster.items() if value is not None}
    assert told["kubectl"] == told["ours"] == {"server", "certificate-authority-data"}
    assert told["package"] == {"server", "certificate-authority"}


def test_a_command_beside_a_token(api: Api, readers: Readers, tmp_path: Path) -> None:
    """All three take the token, and the command does not run (35.0.0, 37.0.2)."""
    script = f"touch {tmp_path}/ran; exit 3"
    given(readers, api, {**TOKEN, **exec_of(command(tmp_path / "helper", script))})
    assert sent(readers, api) == {"kubectl": [SENT], "package": [SENT], "ours": [SENT]}
    assert not (tmp_path / "ran").exists()


def test_a_command_beside_a_password(api: Api, readers: Readers, tmp_path: Path) -> None:
    """The password counts, as with kubectl; the package runs the command (35.0.0, 37.0.2)."""
    helper = command(tmp_path / "helper", f"echo '{credential(token='of-the-command')}'")
    given(readers, api, {"username": "u", "password": "p", **exec_of(helper)})
    basic = f"Basic {base64.b64encode(b'u:p').decode()}"
    other = "Bearer of-the-command"
    assert sent(readers, api) == {"kubectl": [basic], "package": [other], "ours": [basic]}


# -- keys --------------------------------------------------------------------------------------

KILLED = """
import os, sys
{load}
os.kill(os.getpid(), 9)
"""
LOADS = {
    "package": "from kubernetes import config; config.load_kube_config()",
    "ours": """
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.access.tls import context_of
access = resolve_access(KubernetesSettings(), os.environ)
context_of(access, access.identity(30))
""",
}


@pytest.mark.parametrize("name", LOADS)
def test_keys_in_the_temporary_folder(name: str, api: Api, readers: Readers) -> None:
    """The package keeps the client's key in a temporary file while the process lives, and it stays
    when the process is killed (35.0.0, 37.0.2); ours is gone before the first request."""
    own = Path(api.cluster["certificate-authority"]).parent
    data = {
        f"client-{name}-data": base64.b64encode((own / file).read_bytes()).decode()
        for name, file in (("certificate", "cert.pem"), ("key", "key.pem"))
    }
    given(readers, api, data)
    words = [sys.executable, "-c", KILLED.format(load=LOADS[name])]
    done = subprocess.run(words, env=readers.environ, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    left = [path.read_text() for path in readers.temporary.iterdir() if path.is_file()]
    assert any("PRIVATE KEY" in text for text in left) is (name == "package")


# -- proxies -----------------------------------------------------------------------------------


def through(readers: Readers, proxy: ConnectProxy) -> dict[str, bool]:
    """Tell which of them ask a proxy; ours may give up soon on a server that is not there."""
    found = {}
    for name, ask in (
        ("kubectl", readers.kubectl),
        ("package", readers.package),
        ("ours", lambda: readers.ours(patience=3.0)),
    ):
        ask()
        found[name] = bool(proxy.asked)
        proxy.asked.clear()
    return found


def test_the_proxy_of_the_kubeconfig(api: Api, readers: Readers) -> None:
    """``proxy-url`` is used whatever ``NO_PROXY`` says; the package has ``NO_PROXY`` override it
    (37.0.2), or does not know it (35.0.0)."""
    with ConnectProxy() as proxy:
        given(readers, api, TOKEN, **{"proxy-url": f"http://{proxy.address}"})
        asked = through(readers, proxy)
        assert asked == {"kubectl": True, "package": not OLDEST, "ours": True}
        readers.environ["NO_PROXY"] = "127.0.0.1"
        assert through(readers, proxy) == {"kubectl": True, "package": False, "ours": True}


@pytest.mark.skipif(OLDEST, reason="this version of the package knows no proxy-url")
def test_a_proxy_with_a_password(api: Api, readers: Readers) -> None:
    """The password in ``proxy-url`` is sent; the package leaves it out (37.0.2)."""
    with ConnectProxy("user:pass") as proxy:
        given(readers, api, TOKEN, **{"proxy-url": f"http://user:pass@{proxy.address}"})
        assert through(readers, proxy) == {"kubectl": True, "package": False, "ours": True}


RULES = [
    # server's host, NO_PROXY, whether kubectl asks the proxy, whether the package does
    ("127.0.0.1", "", False, True),
    ("api.invalid", "", True, True),
    ("api.invalid", "invalid", False, False),
    ("api.invalid", ".invalid", False, False),
    ("api.invalid", "*.invalid", False, True),
    ("invalid", ".invalid", True, False),
    ("api.invalid:443", "api.invalid:443", False, False),
    ("api.invalid", "api.invalid:443", False, True),
]


@pytest.mark.parametrize("case", RULES, ids=lambda case: f"{case[0]}, {case[1]}")
def test_the_proxy_of_the_environment(
    case: tuple[str, str, bool, bool], api: Api, readers: Readers
) -> None:
    """``HTTPS_PROXY`` and ``NO_PROXY`` are read as kubectl reads them: never for this machine, with
    its forms of a rule; the package has others (37.0.2), or none (35.0.0)."""
    host, rule, kubectl, package = case
    with ConnectProxy() as proxy:
        readers.environ |= {"HTTPS_PROXY": f"http://{proxy.address}", "NO_PROXY": rule}
        server = api.cluster["server"] if host == "127.0.0.1" else f"https://{host}"
        given(readers, api, TOKEN, server=server)
        asked = through(readers, proxy)
    assert asked == {"kubectl": kubectl, "package": package or OLDEST, "ours": kubectl}


# -- where they agree --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "gets_there"),
    [
        ({}, True),
        ({"tls-server-name": "127.0.0.1"}, True),
        ({"tls-server-name": "api.example.com"}, False),
        ({"certificate-authority": None, "insecure-skip-tls-verify": True}, True),
        ({"certificate-authority": None}, False),
    ],
)
def test_whom_to_trust(
    cluster: dict[str, Any], gets_there: bool, api: Api, readers: Readers
) -> None:
    """Authority, name and ``insecure-skip-tls-verify`` mean the same to all three (35.0.0,
    37.0.2)."""
    merged = {**api.cluster, **cluster}
    api.cluster = {key: value for key, value in merged.items() if value is not None}
    given(readers, api, TOKEN)
    expected = [SENT] if gets_there else []
    assert sent(readers, api) == {"kubectl": expected, "package": expected, "ours": expected}
