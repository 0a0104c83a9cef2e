"""Who we are: what a kubeconfig's user, a file or a command says."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kube_config import command, credential, exec_of, write
from spawnery.errors import ConfigurationError, EngineError
from spawnery.model import Secret
from spawnery_kubernetes.access import credentials, exec_command
from spawnery_kubernetes.access.credentials import Credentials, Identity, Proof
from spawnery_kubernetes.access.resolve import Access, resolve_access
from spawnery_kubernetes.settings import KubernetesSettings

PATIENCE = 30.0


def access(
    folder: Path,
    user: dict[str, Any] | None,
    server: str = "https://api.example.com",
    **cluster: Any,
) -> Access:
    """Make the access of a kubeconfig."""
    path = write(folder / "config", user, {"server": server, **cluster})
    environ = {"KUBECONFIG": path, "PATH": "/usr/bin:/bin", "OURS": "ours"}
    return resolve_access(KubernetesSettings(), environ)


def header(found: Access) -> str:
    """Return the Authorization header that is sent."""
    value = found.identity(PATIENCE).header
    assert value is not None
    return value.reveal()


def pem(text: str) -> str:
    """Encode as a kubeconfig does it."""
    return base64.b64encode(text.encode()).decode()


# -- what a user's entry says ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "u", "password": "p:w"}, "Basic dTpwOnc="),
        ({"username": "u"}, "Basic dTo="),
        ({"tokenFile": "token", "token": "abc"}, "Bearer of-the-file"),
        ({"token": "abc", "username": "u"}, "Bearer abc"),
    ],
)
def test_header(user: dict[str, str], expected: str, tmp_path: Path) -> None:
    """Token file, token and password, in the order that kubectl keeps."""
    (tmp_path / "token").write_text("of-the-file\n")
    assert header(access(tmp_path, user)) == expected


def test_certificate(tmp_path: Path) -> None:
    """A certificate and its key, as data or as files, and a token beside them."""
    (tmp_path / "cert").write_text("CERT")
    user = {"client-certificate": "cert", "client-key-data": pem("KEY"), "token": "abc"}
    found = access(tmp_path, user).identity(PATIENCE)
    assert found.certificate == b"CERT"
    assert found.key == Secret("KEY")
    assert found.header == Secret("Bearer abc")
    assert "KEY" not in repr(found)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"client-certificate-data": pem("CERT")}, "lacks its client-key"),
        ({"client-key-data": pem("KEY")}, "lacks its client-certificate"),
        ({"client-key-data": "hunter2%"}, "client-key-data of 'u' is not base64"),
        ({"tokenFile": "absent"}, "absent cannot be read: No such file"),
        ({"tokenFile": "empty"}, "empty is empty"),
        ({"token": "hunter2\nX-Evil: 1"}, "holds characters that no token has"),
        ({"token": "hunter2", "as": "root"}, "acts as another one (as: root)"),
        ({"auth-provider": {"name": "gcp"}}, "has an auth-provider, which Kubernetes has given up"),
        ({"exec": {"command": "x"}}, "needs a command and an apiVersion of client.auth"),
        (
            {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}},
            "needs a command and an apiVersion",
        ),
        (exec_of("x", interactiveMode="Always"), "wants to ask a person"),
    ],
)
def test_broken_users(user: dict[str, Any], words: str, tmp_path: Path) -> None:
    """What cannot be used is told with the file, without a secret, and what to do."""
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigurationError) as caught:
        access(tmp_path, user).identity(PATIENCE)
    assert words in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("user", [None, {}])
def test_nobody_is_asked_anonymously(user: dict[str, str] | None, tmp_path: Path) -> None:
    """Without credentials nothing is sent, but to a local proxy that has its own."""
    with pytest.raises(ConfigurationError, match="there are no credentials for the cluster"):
        access(tmp_path, user).identity(PATIENCE)
    assert access(tmp_path, user, "http://127.0.0.1:8001").identity(PATIENCE).anonymous


def test_credentials_are_not_sent_in_the_clear(tmp_path: Path) -> None:
    """A token goes over plain HTTP to this machine only."""
    user = {"token": "hunter2"}
    with pytest.raises(ConfigurationError, match="where anybody can read them"):
        access(tmp_path, user, "http://api.example.com").identity(PATIENCE)
    assert header(access(tmp_path, user, "http://localhost:8001")) == "Bearer hunter2"


# -- commands --------------------------------------------------------------------------------


def test_a_command(tmp_path: Path) -> None:
    """A command beside the kubeconfig gets its arguments and variables, ours and its own."""
    script = 'printf \'{"status": {"token": "%s"}}\' "$1-$OURS-$OWN"'
    command(tmp_path / "login", script)
    user = exec_of("./login", args=["a"], env=[{"name": "OWN", "value": "own"}])
    assert header(access(tmp_path, user)) == "Bearer a-ours-own"


def test_a_command_that_gives_a_certificate(tmp_path: Path) -> None:
    """A command may hand out a certificate with its key."""
    said = credential(clientCertificateData="CERT", clientKeyData="KEY")
    path = command(tmp_path / "login", f"cat <<'END'\n{said}\nEND")
    found = access(tmp_path, exec_of(path)).identity(PATIENCE)
    assert (found.certificate, found.key, found.header) == (b"CERT", Secret("KEY"), None)


@pytest.mark.parametrize("wanted", [True, False])
def test_what_a_command_is_told(wanted: bool, tmp_path: Path) -> None:
    """It is told the protocol's version, and of the cluster what it asks for."""
    out = tmp_path / "told"
    said = credential(token="t")
    path = command(tmp_path / "login", f"echo \"$KUBERNETES_EXEC_INFO\" > {out}\necho '{said}'")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    found = access(
        tmp_path,
        exec_of(path, provideClusterInfo=wanted),
        extensions=[extension, {"name": "other"}],
        **{"certificate-authority-data": pem("CA"), "tls-server-name": "api"},
    )
    assert header(found) == "Bearer t"
    told = json.loads(out.read_text())
    assert told["apiVersion"] == "client.authentication.k8s.io/v1"
    assert told["kind"] == "ExecCredential"
    assert told["spec"]["interactive"] is False
    cluster = {
        "server": "https://api.example.com",
        "certificate-authority-data": pem("CA"),
        "tls-server-name": "api",
        "config": {"audience": "x"},
    }
    assert told["spec"].get("cluster") == (cluster if wanted else None)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no >&2; exit 3", "login failed with exit code 3: no"),
        ("echo hunter2", "printed no ExecCredential"),
        ("echo '{}'", "printed no ExecCredential"),
        ("echo '[\"hunter2\"]'", "printed no ExecCredential"),
        (f"echo '{credential(token='t', expirationTimestamp='soon')}'", "printed no ExecCred"),
        (f"echo '{credential()}'", "printed neither a token nor a certificate"),
        (f"echo '{credential(clientCertificateData='C')}'", "printed neither a token nor"),
        (f"echo '{credential(token='hunter2 x')}'", "characters that no token has"),
    ],
)
def test_commands_that_fail(script: str, words: str, tmp_path: Path) -> None:
    """A command that fails is told with its entry, its words, and how to see for oneself."""
    path = command(tmp_path / "login", script)
    with pytest.raises(ConfigurationError) as caught:
        access(tmp_path, exec_of(path)).identity(PATIENCE)
    assert words in caught.value.message
    assert f"user 'u' of the kubeconfig {tmp_path}" in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """The plugin's own hint tells how to install it."""
    user = exec_of("spawnery-no-such-login", installHint="install it with: x\n")
    with pytest.raises(ConfigurationError, match="cannot be run: No such file") as caught:
        access(tmp_path, user).identity(PATIENCE)
    assert caught.value.hint == "install it with: x"


def test_a_command_that_hangs(tmp_path: Path) -> None:
    """A command that hangs is ended with all that it started, within the limit of the call."""
    mark = tmp_path / "went-on"
    path = command(tmp_path / "login", f"(sleep 2; touch {mark}) & sleep 600")
    before = time.monotonic()
    with pytest.raises(ConfigurationError, match=r"did not end within 0\.5 s"):
        access(tmp_path, exec_of(path)).identity(0.5)
    assert time.monotonic() - before < PATIENCE
    time.sleep(2.5)
    assert not mark.exists()


def test_a_command_has_a_limit_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a call may take, a command may not."""
    monkeypatch.setattr(exec_command, "_MOST_SECONDS", 0.3)
    path = command(tmp_path / "login", "sleep 600")
    with pytest.raises(ConfigurationError, match=r"did not end within 0\.3 s"):
        access(tmp_path, exec_of(path)).identity(600)


@pytest.mark.parametrize(("ends_in", "low", "high"), [(3600, 3500, 3540), (30, 1, 1), (-5, 1, 1)])
def test_a_credential_that_ends(ends_in: float, low: float, high: float, tmp_path: Path) -> None:
    """A command is run again a minute before its credential ends, at most once a second."""
    end = (datetime.now(UTC) + timedelta(seconds=ends_in)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = command(tmp_path / "login", f"echo '{credential(token='t', expirationTimestamp=end)}'")
    given = exec_of(path)["exec"]
    found = exec_command.exec_command(given, where="x", folder=tmp_path, environ={}, cluster={})
    seconds = found.run(PATIENCE).seconds
    assert seconds is not None
    assert low <= seconds <= high


def test_a_credential_that_does_not_end(tmp_path: Path) -> None:
    """A command is not run for each call."""
    script = f"echo >> {tmp_path}/runs; echo '{credential(token='t')}'"
    found = access(tmp_path, exec_of(command(tmp_path / "login", script)))
    assert {header(found) for _ in range(3)} == {"Bearer t"}
    assert len((tmp_path / "runs").read_text()) == 1


# -- found again -----------------------------------------------------------------------------


def test_a_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mounted token is read again after its time; one that cannot be read stays for now."""
    monkeypatch.setattr(credentials, "_REREAD_SECONDS", 0.0)
    token = tmp_path / "token"
    token.write_text("one")
    found = access(tmp_path, {"tokenFile": str(token)})
    assert header(found) == "Bearer one"
    token.unlink()
    assert header(found) == "Bearer one"
    token.write_text("two")
    assert header(found) == "Bearer one"  # it is tried again, but not at each call
    assert found.credentials.renew(found.identity(PATIENCE), PATIENCE)
    assert header(found) == "Bearer two"


def test_a_kubeconfig_is_read_again(tmp_path: Path) -> None:
    """Credentials that are refused are looked for in the file again."""
    found = access(tmp_path, {"token": "one"})
    first = found.identity(PATIENCE)
    assert not found.credentials.renew(first, PATIENCE)
    access(tmp_path, {"token": "two"})
    assert header(found) == "Bearer one"
    assert found.credentials.renew(first, PATIENCE)
    assert header(found) == "Bearer two"


def test_looked_for_again_when_its_time_is_over() -> None:
    """What holds for some time is looked for when that is over, and not before."""
    for seconds, expected in ((0.0, ["1", "2", "3"]), (PATIENCE, ["1", "1", "1"])):
        names = iter("123")
        found = Credentials(
            lambda _limit, names=names, seconds=seconds: Proof(
                identity=Identity(header=Secret(next(names))), seconds=seconds
            )
        )
        headers = [found.identity(PATIENCE).header for _ in range(3)]
        assert headers == [Secret(name) for name in expected]


def test_one_renewal_for_all(tmp_path: Path) -> None:
    """Who was refused with the old identity learns that there is a new one, without a search."""
    identities = iter([Identity(header=Secret("1")), Identity(header=Secret("2"))])
    found = Credentials(lambda _limit: Proof(identity=next(identities)))
    first = found.identity(PATIENCE)
    assert all(found.renew(first, PATIENCE) for _ in range(3))
    assert found.identity(PATIENCE).header == Secret("2")


def test_nobody_waits_for_ever() -> None:
    """While one thread looks, another one waits no longer than it may."""
    looking, go = threading.Event(), threading.Event()

    def find(_limit: float) -> Proof:
        looking.set()
        assert go.wait(PATIENCE)
        return Proof(identity=Identity(header=Secret("1")))

    found = Credentials(find)
    thread = threading.Thread(target=found.identity, args=(PATIENCE,))
    thread.start()
    assert looking.wait(PATIENCE)
    with pytest.raises(EngineError, match=r"not there within 0\.2 s") as caught:
        found.identity(0.2)
    assert (caught.value.cause, caught.value.retryable) == ("engine.timeout", True)
    go.set()
    thread.join(PATIENCE)
    assert found.identity(PATIENCE).header == Secret("1")
