"""Where the cluster is found, and what is said where it is not."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_config import write
from spawnery.errors import ConfigurationError
from spawnery_kubernetes.access.resolve import Access, resolve_access
from spawnery_kubernetes.settings import KubernetesSettings

SERVER = {"server": "https://api.example.com:6443"}
TOKEN = {"token": "hunter2hunter2"}
POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def resolve(environ: dict[str, str], account: Path = Path("/nowhere"), **settings: Any) -> Access:
    """Find the access."""
    return resolve_access(KubernetesSettings(**settings), environ, account=account)


def header(access: Access) -> str | None:
    """Return the Authorization header that is sent."""
    found = access.identity(5).header
    return found.reveal() if found else None


def account(folder: Path) -> Path:
    """Make what a pod finds mounted."""
    folder.mkdir()
    for name, text in (("token", "t0ken\n"), ("ca.crt", "PEM"), ("namespace", "mine\n")):
        (folder / name).write_text(text)
    return folder


def test_kubeconfig(tmp_path: Path) -> None:
    """KUBECONFIG names server, namespace and credentials; all is told, nothing secret."""
    path = write(tmp_path / "config", TOKEN, SERVER, namespace="jobs")
    access = resolve({"KUBECONFIG": path})
    assert (access.server, access.namespace) == ("https://api.example.com:6443", "jobs")
    assert header(access) == "Bearer hunter2hunter2"
    told = f"context here of {path} (KUBECONFIG): https://api.example.com:6443"
    assert access.told == told
    assert "hunter2" not in repr(access) + repr(access.identity(5))


def test_the_setting_wins(tmp_path: Path) -> None:
    """The settings win over KUBECONFIG and over the context's namespace."""
    path = write(tmp_path / "config", TOKEN, SERVER, namespace="jobs")
    access = resolve({"KUBECONFIG": "/nowhere"}, kubeconfig=path, namespace="other")
    assert access.namespace == "other"
    assert "(the settings)" in access.told


def test_own_pod(tmp_path: Path) -> None:
    """In a pod without a kubeconfig it is the pod's own account."""
    access = resolve({**POD, "HOME": str(tmp_path)}, account(tmp_path / "account"))
    assert (access.server, access.namespace) == ("https://10.96.0.1:443", "mine")
    assert access.authority == b"PEM"
    assert header(access) == "Bearer t0ken"
    assert access.told == "the service account of our own pod: https://10.96.0.1:443"


def test_own_pod_with_ipv6(tmp_path: Path) -> None:
    """An IPv6 address is written as an address of the web wants it."""
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert resolve(environ, account(tmp_path / "account")).server == "https://[fd00::1]:443"


def test_own_pod_without_a_token(tmp_path: Path) -> None:
    """A pod that mounts no token is told what its spec lacks."""
    with pytest.raises(ConfigurationError, match="our own pod has no service account") as caught:
        resolve(POD, tmp_path / "account")
    assert "automountServiceAccountToken: true" in str(caught.value)


def test_kubeconfig_in_a_pod(tmp_path: Path) -> None:
    """A kubeconfig or a context that is asked for wins over the pod's own account."""
    path = write(tmp_path / "config", TOKEN, SERVER)
    assert "config" in resolve({**POD, "KUBECONFIG": path}, account(tmp_path / "a")).told
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    write(home / ".kube" / "config", TOKEN, SERVER)
    environ = {**POD, "HOME": str(home)}
    assert "default place" in resolve(environ, tmp_path / "a", context="here").told
    assert "own pod" in resolve(environ, tmp_path / "a").told


def test_home(tmp_path: Path) -> None:
    """Else it is the file in the home folder, and without it all that was looked at is told."""
    with pytest.raises(ConfigurationError) as caught:
        resolve({"HOME": str(tmp_path)})
    assert "KUBECONFIG is not set, this is no pod of a cluster" in str(caught.value)
    assert str(tmp_path / ".kube" / "config") in str(caught.value)
    assert "SPAWNERY_KUBERNETES_KUBECONFIG" in str(caught.value)
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config", TOKEN, SERVER)
    assert resolve({"HOME": str(tmp_path)}).namespace == "default"


def test_several_files(tmp_path: Path) -> None:
    """Several files are one; the first to set a name wins, and files that are absent are not."""
    first, second = tmp_path / "1", tmp_path / "2" / "config"
    second.parent.mkdir()
    write(first, {"token": "first"}, SERVER)
    content = yaml.safe_load(first.read_text())
    content["users"][0]["user"] = {"token": "second"}
    content["users"].append({"name": "v", "user": {"tokenFile": "token"}})
    content["contexts"].append({"name": "there", "context": {"cluster": "c", "user": "v"}})
    content["current-context"] = "there"
    second.write_text(yaml.safe_dump(content))
    (second.parent / "token").write_text("of-the-file\n")
    environ = {"KUBECONFIG": f"{first}:{tmp_path / 'absent'}:{second}"}
    assert header(resolve(environ)) == "Bearer first"
    assert header(resolve(environ, context="there")) == "Bearer of-the-file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "has no current context"),
        ("[1, 2]", "is no kubeconfig at all"),
        ("a: [b\nc: d", "line 2, is no YAML"),
        ("users: [3]", "users holds something else than a name and a user"),
        ("users: [{name: u, user: 3}]", "users holds something else than a name and a user"),
        ("clusters: [{cluster: {}}]", "clusters holds something else than a name and a cluster"),
        ("apiVersion: v1", "has no current context"),
        ("current-context: x", "has no context 'x'; it has: none"),
        (
            "{current-context: x, contexts: [{name: y, context: {}}]}",
            "has no context 'x'; it has: y",
        ),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
            "has no cluster 'c'; it has: none",
        ),
    ],
)
def test_broken_files(text: str | None, words: str, tmp_path: Path) -> None:
    """What is wrong with a kubeconfig is told with its path, and what to do."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        resolve({"KUBECONFIG": str(path)})
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_kubeconfig_that_is_no_text(tmp_path: Path) -> None:
    """A binary file is no kubeconfig."""
    (tmp_path / "config").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        resolve({"KUBECONFIG": str(tmp_path / "config")})


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({}, "has no address of a server in its cluster 'c'"),
        ({"server": "api.example.com"}, "has no address of a server"),
        ({"server": "https://"}, "has no address of a server"),
        ({**SERVER, "certificate-authority-data": "%%"}, "certificate-authority-data of 'c'"),
        ({**SERVER, "certificate-authority": "ca.pem"}, "the certificate-authority that the"),
        ({**SERVER, "proxy-url": "socks5://p"}, "proxy-url of the cluster 'c'"),
    ],
)
def test_broken_clusters(cluster: dict[str, str], words: str, tmp_path: Path) -> None:
    """A cluster's entry that cannot be used is told."""
    with pytest.raises(ConfigurationError) as caught:
        resolve({"KUBECONFIG": write(tmp_path / "config", TOKEN, cluster)})
    assert words in caught.value.message
    assert caught.value.hint


def test_a_cluster_with_everything(tmp_path: Path) -> None:
    """Authority, name, proxy and trust of a cluster's entry are kept."""
    (tmp_path / "ca.pem").write_text("PEM")
    cluster = {
        "server": "https://10.0.0.1/base/",
        "certificate-authority": "ca.pem",
        "tls-server-name": "api",
        "proxy-url": "http://proxy:3128",
        "insecure-skip-tls-verify": True,
    }
    access = resolve({"KUBECONFIG": write(tmp_path / "config", TOKEN, cluster)})
    assert access.server == "https://10.0.0.1/base"
    assert (access.authority, access.server_name) == (b"PEM", "api")
    assert (access.proxy, access.verify) == ("http://proxy:3128", False)
    assert "is not checked (insecure-skip-tls-verify)" in access.told


def test_data_wins_over_a_file(tmp_path: Path) -> None:
    """Certificates in the kubeconfig itself win over files, as with kubectl."""
    data = base64.b64encode(b"DATA").decode()
    cluster = {**SERVER, "certificate-authority": "x", "certificate-authority-data": data}
    access = resolve({"KUBECONFIG": write(tmp_path / "config", TOKEN, cluster)})
    assert access.authority == b"DATA"


def test_the_environments_proxy(tmp_path: Path) -> None:
    """A proxy of the environment is used where the cluster's entry names none."""
    environ = {
        "KUBECONFIG": write(tmp_path / "config", TOKEN, SERVER),
        "HTTPS_PROXY": "http://user:hunter2@proxy:3128",
    }
    access = resolve(environ)
    assert access.proxy == "http://user:hunter2@proxy:3128"
    assert "hunter2" not in repr(access)
    assert resolve({**environ, "NO_PROXY": "example.com"}).proxy is None


def test_what_kubectl_takes(tmp_path: Path) -> None:
    """An empty file in the list, and an unrelated entry that says nothing, are no errors."""
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.write_text("")
    full.write_text(
        "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://c.example'}}, {name: other}],"
        " users: [{name: unrelated}, {name: u, user: {token: t}}]}"
    )
    for files in (f"{empty}:{full}", f"{full}:{empty}"):
        assert resolve({"KUBECONFIG": files}).server == "https://c.example"
