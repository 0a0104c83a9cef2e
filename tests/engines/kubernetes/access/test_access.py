"""Ways to the real cluster, and who we are to it."""

from __future__ import annotations

import base64
import json
import logging
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import authority, certificate, server_context
from connect_proxy import ConnectProxy
from kube_case import eventually
from kube_config import cluster_of, command, exec_of, user_of, write
from kubectl import Kubectl
from spawnery.errors import EngineDenied, EngineUnreachable
from spawnery.testing.proxy import TransportProxy
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError
from spawnery_kubernetes.settings import KubernetesSettings

pytestmark = pytest.mark.engine("kubernetes")
PATIENCE = 60.0
WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def kubectl(kubeconfig: str) -> Kubectl:
    """A person who may do everything."""
    return Kubectl(kubeconfig)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace with the account ``default``."""
    with kubectl.namespace() as made:
        yield made


@pytest.fixture
def cluster(kubeconfig: str) -> dict[str, str]:
    """The cluster's entry of the kubeconfig."""
    return cluster_of(kubeconfig)


@contextmanager
def client_of(
    path: Path, user: Mapping[str, Any], cluster: Mapping[str, Any], **environ: str
) -> Iterator[KubeClient]:
    """Open a client of a kubeconfig that is written for it."""
    found = {"KUBECONFIG": write(path, user, cluster), "PATH": "/usr/bin:/bin", **environ}
    client = KubeClient(resolve_access(KubernetesSettings(), found))
    try:
        yield client
    finally:
        client.close()


def who(client: KubeClient) -> str:
    """Return who the cluster says that we are."""
    reply = client.call("POST", REVIEWS, body=WHO, timeout=PATIENCE)
    name: str = reply.json()["status"]["userInfo"]["username"]
    return name


def token_of(kubectl: Kubectl, namespace: str, *words: str) -> str:
    """Make a token of the namespace's account."""
    return kubectl("create", "token", "default", "-n", namespace, *words).strip()


def token_that_ends(kubectl: Kubectl, namespace: str) -> str:
    """Make a token whose end has come, as soon as the API server notices.

    A token that is bound to a Secret ends with it; who was let in is remembered for some seconds.
    """
    name = f"bound-{secrets.token_hex(4)}"
    kubectl("create", "secret", "generic", name, "-n", namespace)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
    token = token_of(kubectl, namespace, *bound)
    kubectl("delete", "secret", name, "-n", namespace)
    return token


# -- who we are ------------------------------------------------------------------------------


def test_certificates(kubeconfig: str, cluster: dict[str, str], tmp_path: Path) -> None:
    """A client certificate as data, and as files beside the kubeconfig."""
    user = user_of(kubeconfig)
    with client_of(tmp_path / "data", user, cluster) as client:
        known = who(client)
    files = {}
    for name in ("client-certificate", "client-key"):
        (tmp_path / f"{name}.pem").write_bytes(base64.b64decode(user[f"{name}-data"]))
        files[name] = f"{name}.pem"
    with client_of(tmp_path / "files", files, cluster) as client:
        assert who(client) == known


def test_a_token(kubectl: Kubectl, namespace: str, cluster: dict[str, str], tmp_path: Path) -> None:
    """A token of an account, which nothing that is logged or shown holds."""
    token = token_of(kubectl, namespace)
    with client_of(tmp_path / "config", {"token": token}, cluster) as client:
        assert who(client) == f"system:serviceaccount:{namespace}:default"
        assert token not in repr(vars(client))


def test_nothing_secret_is_logged(
    kubectl: Kubectl,
    namespace: str,
    cluster: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the loudest level no log has a token."""
    token = token_of(kubectl, namespace)
    caplog.set_level(logging.DEBUG)
    with client_of(tmp_path / "config", {"token": token}, cluster) as client:
        who(client)
        with pytest.raises(ApiError):
            client.call("GET", client.path("jobs"), timeout=PATIENCE)
    assert token not in caplog.text


def test_a_wrong_token(cluster: dict[str, str], tmp_path: Path) -> None:
    """A token that nobody knows is a denial; nothing is tried without it."""
    with (
        client_of(tmp_path / "config", {"token": "hunter2"}, cluster) as client,
        pytest.raises(EngineDenied, match="401") as caught,
    ):
        who(client)
    assert "kubectl auth whoami" in (caught.value.hint or "")
    assert "hunter2" not in str(caught.value)


def test_a_rotated_token_file(
    kubectl: Kubectl, namespace: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """When a token of a file ends, the file is read again, and the call succeeds with the new."""
    token = tmp_path / "token"
    token.write_text(token_that_ends(kubectl, namespace))
    with client_of(tmp_path / "config", {"tokenFile": "token"}, cluster) as client:

        def over() -> bool:
            try:
                who(client)
            except EngineDenied:
                return True
            return False

        eventually(over)
        token.write_text(token_of(kubectl, namespace))
        assert who(client) == f"system:serviceaccount:{namespace}:default"


def test_a_kubeconfig_that_was_renewed(
    kubectl: Kubectl, namespace: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """When somebody logs in again, a client that is open takes the new credentials."""
    path = tmp_path / "config"
    with client_of(path, {"token": "old"}, cluster) as client:
        with pytest.raises(EngineDenied):
            who(client)
        write(path, {"token": token_of(kubectl, namespace)}, cluster)
        assert who(client) == f"system:serviceaccount:{namespace}:default"


def test_a_command(
    kubectl: Kubectl, namespace: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """A command for credentials is run once, and again when its credential is refused."""
    (tmp_path / "token").write_text(token_of(kubectl, namespace))
    script = (
        f"echo >> {tmp_path}/runs\n"
        f'printf \'{{"status": {{"token": "%s"}}}}\' "$(cat {tmp_path}/token)"'
    )
    user = exec_of(command(tmp_path / "login", script))
    with client_of(tmp_path / "config", user, cluster) as client:
        for _ in range(3):
            assert who(client) == f"system:serviceaccount:{namespace}:default"
    assert (tmp_path / "runs").read_text() == "\n"
    good = (tmp_path / "token").read_text()
    (tmp_path / "token").write_text("old")
    script = f'{script}\nprintf %s "{good}" > {tmp_path}/token'
    command(tmp_path / "login", script)
    with client_of(tmp_path / "config", user, cluster) as client:
        assert who(client) == f"system:serviceaccount:{namespace}:default"
    assert (tmp_path / "runs").read_text() == "\n" * 3


def test_a_command_that_gives_certificates(
    kubeconfig: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """A command may change who we are in the middle: the connections are new ones then."""
    user = user_of(kubeconfig)
    names = ("client-certificate", "client-key")
    certificate, key = (base64.b64decode(user[f"{name}-data"]).decode() for name in names)
    script = (
        f"test -e {tmp_path}/later || {{ touch {tmp_path}/later;"
        ' echo \'{"status": {"token": "old"}}\'; exit; }\n'
        f"cat {tmp_path}/answer"
    )
    status = {"clientCertificateData": certificate, "clientKeyData": key}
    (tmp_path / "answer").write_text(json.dumps({"status": status}))
    login = exec_of(command(tmp_path / "login", script))
    with client_of(tmp_path / "config", login, cluster) as client:
        assert who(client) == kubectl_name(kubeconfig)


def kubectl_name(kubeconfig: str) -> str:
    """Return who kubectl is."""
    shown = Kubectl(kubeconfig)("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    return shown.strip()


def test_our_own_pod(
    kubectl: Kubectl, namespace: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """What a pod finds mounted is enough: address, authority, token and namespace."""
    (tmp_path / "token").write_text(token_of(kubectl, namespace))
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    host, _, port = cluster["server"].removeprefix("https://").rpartition(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    client = KubeClient(resolve_access(KubernetesSettings(), environ, account=tmp_path))
    assert client.namespace == namespace
    assert who(client) == f"system:serviceaccount:{namespace}:default"
    client.close()


# -- the way ---------------------------------------------------------------------------------


def test_an_authority_that_is_another(cluster: dict[str, str], tmp_path: Path) -> None:
    """A server that cannot prove who it is gets nothing from us."""
    other = (authority(tmp_path / "other") / "ca.pem").read_bytes()
    wrong = {**cluster, "certificate-authority-data": base64.b64encode(other).decode()}
    with (
        client_of(tmp_path / "config", {"token": "t"}, wrong) as client,
        pytest.raises(EngineUnreachable, match="cannot prove who it is") as caught,
    ):
        who(client)
    assert not caught.value.retryable
    assert "certificate-authority" in (caught.value.hint or "")


@pytest.mark.parametrize("sent", [None, "kubernetes.default.svc", "api.example.com"])
def test_the_name_in_the_certificate(
    sent: str | None, cluster: dict[str, str], kubeconfig: str, tmp_path: Path
) -> None:
    """The server's certificate is compared with its host, or with the name that is given."""
    named = {**cluster, "tls-server-name": sent} if sent else cluster
    with client_of(tmp_path / "config", user_of(kubeconfig), named) as client:
        if sent == "api.example.com":
            with pytest.raises(EngineUnreachable, match="cannot prove who it is"):
                who(client)
        else:
            assert who(client) == kubectl_name(kubeconfig)


def test_an_unchecked_server(cluster: dict[str, str], kubeconfig: str, tmp_path: Path) -> None:
    """Where a kubeconfig says so the certificate is not checked, and no warning is printed."""
    unsafe = {"server": cluster["server"], "insecure-skip-tls-verify": True}
    with client_of(tmp_path / "config", user_of(kubeconfig), unsafe) as client:
        assert who(client) == kubectl_name(kubeconfig)


def test_http_to_a_tls_port(cluster: dict[str, str], tmp_path: Path) -> None:
    """A kubeconfig that forgot the s of https is told what the server says."""
    plain = {"server": cluster["server"].replace("https://", "http://")}
    with (
        client_of(tmp_path / "config", {"token": "t"}, plain) as client,
        pytest.raises(ApiError, match="HTTP request to an HTTPS server"),
    ):
        who(client)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [(b"", "no connection within"), (b"220 mail.example.com ESMTP\r\n", "TLS failed")],
)
def test_tls_to_another_port(greeting: bytes, words: str, tmp_path: Path) -> None:
    """A port that speaks no TLS is no cluster."""
    lines: list[socket.socket] = []

    def greet() -> None:
        lines.append(listener.accept()[0])
        lines[0].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        server = {"server": f"https://127.0.0.1:{listener.getsockname()[1]}"}
        with (
            client_of(tmp_path / "config", {"token": "t"}, server) as client,
            pytest.raises(EngineUnreachable, match=words),
        ):
            client.call("GET", "/version", timeout=0.5)
        thread.join()
        lines[0].close()


def test_a_server_that_wants_another_certificate(kubeconfig: str, tmp_path: Path) -> None:
    """A server that does not accept our certificate is a denial in words."""
    own = authority(tmp_path / "own")
    tls = server_context(certificate(own, tmp_path / "server"), wants_certificate=True)
    data = base64.b64encode((own / "ca.pem").read_bytes()).decode()

    def refuse(line: socket.socket) -> None:
        with line:
            # The line stays open until the other side has read why.
            with pytest.raises(ssl.SSLError), line.dup() as copy:
                tls.wrap_socket(copy, server_side=True)
            line.settimeout(PATIENCE)
            while line.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: refuse(listener.accept()[0]))
        thread.start()
        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        there = {"server": server, "certificate-authority-data": data}
        with (
            client_of(tmp_path / "config", user_of(kubeconfig), there) as client,
            pytest.raises(EngineDenied, match="does not accept our certificate"),
        ):
            who(client)
        thread.join()


def test_a_way_without_tls(kubeconfig: str, cluster: dict[str, str], tmp_path: Path) -> None:
    """A local proxy that is the person itself wants no credentials of us."""
    user = user_of(kubeconfig)
    pem = tmp_path / "person.pem"
    pem.write_bytes(
        base64.b64decode(user["client-certificate-data"])
        + b"\n"
        + base64.b64decode(user["client-key-data"])
    )
    trusted = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=trusted)
    context.load_cert_chain(pem)
    with TransportProxy(
        cluster["server"].replace("https://", "tcp://"), upstream_tls=context
    ) as proxy:
        there = {"server": proxy.address.replace("tcp://", "http://")}
        with client_of(tmp_path / "config", {}, there) as client:
            assert who(client) == kubectl_name(kubeconfig)


# -- HTTP proxies ----------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, "user:pa%3Ass"])
def test_an_http_proxy(
    login: str | None, kubeconfig: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """The proxy of a kubeconfig is used, with its password where there is one."""
    with ConnectProxy(login and login.replace("%3A", ":")) as proxy:
        there = {**cluster, "proxy-url": f"http://{login + '@' if login else ''}{proxy.address}"}
        with client_of(tmp_path / "config", user_of(kubeconfig), there) as client:
            assert who(client) == kubectl_name(kubeconfig)
            query = {"watch": "1", "timeoutSeconds": "1", "fieldSelector": "metadata.name=none"}
            stream = client.stream(client.path("jobs"), query=query, timeout=PATIENCE)
            assert list(stream.lines()) == []
        assert set(proxy.asked) == {cluster["server"].removeprefix("https://")}


def test_an_http_proxy_that_refuses(
    kubeconfig: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """A proxy that does not let us through is told as such, without the password."""
    with ConnectProxy("user:right") as proxy:
        there = {**cluster, "proxy-url": f"http://user:hunter2@{proxy.address}"}
        with (
            client_of(tmp_path / "config", user_of(kubeconfig), there) as client,
            pytest.raises(EngineUnreachable, match=r"through its proxy: .*407") as caught,
        ):
            client.call("POST", "/version", timeout=1.0)
    assert "hunter2" not in str(caught.value)


def test_an_http_proxy_that_is_not_there(
    kubeconfig: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    """A proxy on which nothing listens is told as such."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    there = {**cluster, "proxy-url": f"http://127.0.0.1:{port}"}
    with (
        client_of(tmp_path / "config", user_of(kubeconfig), there) as client,
        pytest.raises(EngineUnreachable, match="through its proxy: nothing listens there"),
    ):
        client.call("GET", "/version", timeout=0.5)
