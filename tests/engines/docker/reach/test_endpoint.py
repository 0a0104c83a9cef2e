"""Connections to a real engine by every kind of address, and what is told when there is none."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
import ssh_server
from certificates import authority, certificate, server_context
from docker_host import client_of
from registry import free_port
from spawnery.errors import EngineDenied, EngineUnreachable
from spawnery.testing.proxy import TransportProxy
from tools import need_root

pytestmark = pytest.mark.engine("docker")
LONG = 30.0


def pinged(environ: dict[str, str], seconds: float = LONG) -> bool:
    """Ask the engine for a sign of life, as the spawner does."""
    with closing(client_of(environ)) as client, client.within(seconds) as engine:
        return bool(engine.ping())


def unreachable(environ: dict[str, str]) -> EngineUnreachable:
    """Return the error of a connection that nobody answers."""
    with pytest.raises(EngineUnreachable) as caught:
        pinged(environ)
    assert caught.value.cause == "engine.unreachable"
    return caught.value


@contextmanager
def door(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen on a loopback port and serve each connection in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock, suppress(OSError):
                    serve(sock)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LONG)


def tcp_door(docker_socket: str):
    """The engine on a plain TCP port: one question, one answer."""

    def serve(sock: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(docker_socket)
            engine.sendall(sock.recv(4096))
            while data := engine.recv(4096):
                sock.sendall(data)

    return door(serve)


def strict_door(context: ssl.SSLContext):
    """A TLS port that lets nobody in without a certificate, and says so before it closes."""

    def serve(sock: socket.socket) -> None:
        secured = context.wrap_socket(sock.dup(), server_side=True, do_handshake_on_connect=False)
        with secured, suppress(ssl.SSLError):
            secured.do_handshake()
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass

    return door(serve)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with certificates: engine, user, and stranger (of another authority)."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = authority(folder / "ours"), authority(folder / "theirs")
    certificate(ours, folder / "engine")
    certificate(ours, folder / "user")
    certificate(theirs, folder / "stranger")
    certificate(ours, folder / "elsewhere", address="127.0.0.9")
    return folder


@pytest.fixture
def secured(docker_socket: str, signers: Path) -> Iterator[str]:
    """The engine behind TLS, for those with a certificate of its authority."""
    context = server_context(signers / "engine", wants_certificate=True)
    with TransportProxy(f"unix://{docker_socket}", server_tls=context) as proxy:
        yield proxy.address


def test_a_unix_socket(docker_socket: str) -> None:
    """The engine answers over its socket."""
    assert pinged({"DOCKER_HOST": f"unix://{docker_socket}"})


def test_tcp(docker_socket: str) -> None:
    """The engine answers over TCP."""
    with TransportProxy(f"unix://{docker_socket}") as proxy:
        assert pinged({"DOCKER_HOST": proxy.address})


def test_tls(secured: str, signers: Path) -> None:
    """With DOCKER_TLS_VERIFY and the certificates of DOCKER_CERT_PATH the engine answers."""
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(signers / "user")}
    assert pinged({"DOCKER_HOST": secured, **environ})


def test_tls_of_an_unknown_engine(secured: str, signers: Path) -> None:
    """An engine of another authority is not believed, and trying again will not help."""
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(signers / "stranger")}
    error = unreachable({"DOCKER_HOST": secured, **environ})
    assert "cannot prove who it is" in error.message
    assert "ca.pem" in error.hint
    assert not error.retryable


def test_tls_of_an_engine_with_another_name(docker_socket: str, signers: Path) -> None:
    """A certificate that is for another address is not believed."""
    context = server_context(signers / "elsewhere", wants_certificate=False)
    with TransportProxy(f"unix://{docker_socket}", server_tls=context) as proxy:
        environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(signers / "user")}
        error = unreachable({"DOCKER_HOST": proxy.address, **environ})
    assert "127.0.0.1" in error.message
    assert "cannot prove who it is" in error.message


def test_tls_without_a_certificate_of_ours(signers: Path, tmp_path: Path) -> None:
    """An engine that wants to know us says so at the first answer: engine.denied."""
    (tmp_path / "ca.pem").write_bytes((signers / "user" / "ca.pem").read_bytes())
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    context = server_context(signers / "engine", wants_certificate=True)
    with strict_door(context) as address, pytest.raises(EngineDenied) as caught:
        pinged({"DOCKER_HOST": address, **environ})
    assert "cert.pem and key.pem" in caught.value.hint


def test_tls_to_a_plain_port(docker_socket: str, signers: Path) -> None:
    """TLS to a port that speaks none is told, with the way back."""
    with tcp_door(docker_socket) as address:
        environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(signers / "user")}
        error = unreachable({"DOCKER_HOST": address, **environ})
    assert "unset DOCKER_TLS_VERIFY" in error.hint


# -- ssh -----------------------------------------------------------------------------------------


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[ssh_server.SshServer]:
    """A real sshd on this machine."""
    with ssh_server.running_sshd(tmp_path) as server:
        yield server


def test_ssh(sshd: ssh_server.SshServer) -> None:
    """The engine of another machine answers through the ssh program and a real sshd."""
    assert pinged({**sshd.environ, "DOCKER_HOST": sshd.docker_host})


def programs_of(folder: Path) -> int:
    """Count the ssh programs of a test that are still there."""
    found = 0
    for entry in Path("/proc").iterdir():
        try:
            found += str(folder / "client").encode() in (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def test_ssh_ends_with_its_connection(sshd: ssh_server.SshServer) -> None:
    """One program serves one call after the other; closing a stream wakes its reader at once."""
    client = client_of({**sshd.environ, "DOCKER_HOST": sshd.docker_host})
    with client.within(LONG) as engine:
        assert engine.ping()
        assert engine.ping()
    assert programs_of(sshd.folder) == 1
    stream = client.stream("GET", "/events", query={}, timeout=LONG)
    ended: list[bytes] = []
    thread = threading.Thread(target=lambda: ended.append(stream.read1()))
    thread.start()
    stream.close()
    thread.join(LONG)
    assert ended == [b""]
    client.close()
    assert programs_of(sshd.folder) == 0


def test_ssh_without_a_key(sshd: ssh_server.SshServer) -> None:
    """What ssh says (here: permission denied) is told, and nothing asks on the terminal."""
    sshd.forget_key()
    error = unreachable({**sshd.environ, "DOCKER_HOST": sshd.docker_host})
    assert "Permission denied" in error.message
    assert sshd.docker_host in error.message


def test_ssh_to_nobody(sshd: ssh_server.SshServer) -> None:
    """A port where no sshd is: ssh's own words are told."""
    host = f"ssh://127.0.0.1:{free_port()}"
    assert "refused" in unreachable({**sshd.environ, "DOCKER_HOST": host}).message


def test_ssh_to_a_machine_without_docker(tmp_path: Path) -> None:
    """A far side that has no docker command says so (a stand-in for ssh plays it)."""
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'sh: docker: command not found' >&2\nexit 127\n")
    program.chmod(0o755)
    error = unreachable({"PATH": f"{tmp_path}:/bin", "DOCKER_HOST": "ssh://far"})
    assert "docker: command not found" in error.message


def test_no_ssh_program(tmp_path: Path) -> None:
    """Without an ssh program that is what is told."""
    error = unreachable({"PATH": str(tmp_path), "DOCKER_HOST": "ssh://far"})
    assert "no ssh program on PATH" in error.message


# -- nobody there, or somebody else --------------------------------------------------------------


def test_no_socket(tmp_path: Path) -> None:
    """A socket that is not there: where we looked, why there, and how to start Docker."""
    error = unreachable({"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "HOME": str(tmp_path)})
    assert f"unix://{tmp_path}/none.sock (DOCKER_HOST)" in error.message
    assert "no such socket" in error.message
    assert "systemctl start docker" in error.hint
    assert error.retryable


def test_another_socket_is_offered(tmp_path: Path) -> None:
    """Where a rootless engine's socket is there instead, the hint names it."""
    with socket.socket(socket.AF_UNIX) as rootless:
        rootless.bind(str(tmp_path / "docker.sock"))
        environ = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
        error = unreachable({"DOCKER_HOST": f"unix://{tmp_path}/none.sock", **environ})
    assert "export DOCKER_HOST=unix:///" in error.hint


def test_a_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    """A socket that an engine left behind: refused, and not missing."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    error = unreachable({"DOCKER_HOST": f"unix://{tmp_path}/left.sock"})
    assert "nobody listens" in error.message
    assert "socket is there" in error.hint


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_in_the_place_of_the_socket(tmp_path: Path, kind: str) -> None:
    """A folder, as a mount without its source makes one, or a file is told as such."""
    place = tmp_path / "docker.sock"
    if kind == "folder":
        place.mkdir()
    else:
        place.touch()
    error = unreachable({"DOCKER_HOST": f"unix://{place}"})
    assert "not a socket" in error.message
    assert f"ls -ld {place}" in error.hint


def test_a_port_that_nobody_listens_at() -> None:
    """A TCP port without anybody: refused."""
    error = unreachable({"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"})
    assert "refused" in error.message
    assert error.retryable


def test_a_name_that_leads_nowhere() -> None:
    """A host name that does not exist."""
    error = unreachable({"DOCKER_HOST": "tcp://engine.invalid:2375"})
    assert "cannot be resolved" in error.message


def fill_queue(path: Path, held: ExitStack) -> None:
    """Connect until there is no place left."""
    with suppress(BlockingIOError):
        while True:
            sock = held.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            sock.connect(str(path))


def test_a_listener_that_never_accepts(tmp_path: Path) -> None:
    """A connection that does not come about in time says how long was waited."""
    with socket.socket(socket.AF_UNIX) as full:
        full.bind(str(tmp_path / "full.sock"))
        full.listen(0)
        begun = time.monotonic()
        with ExitStack() as held:
            fill_queue(tmp_path / "full.sock", held)
            with pytest.raises(EngineUnreachable) as caught:
                pinged({"DOCKER_HOST": f"unix://{tmp_path}/full.sock"}, 0.5)
    assert time.monotonic() - begun < LONG
    assert "0.5 s" in caught.value.message


DENIED = """
import os, sys
from docker_host import client_of
from spawnery.errors import EngineDenied
import spawnery_docker.client
import spawnery_docker.reach.socket_access
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with client_of({"DOCKER_HOST": "unix://" + sys.argv[1]}).within(10) as engine:
        engine.ping()
except EngineDenied as error:
    print(error.cause, error.retryable)
    print(error)
"""


def as_nobody(path: str) -> str:
    """Connect to a socket as a user without rights and return what that user is told."""
    need_root("become somebody else")
    done = subprocess.run(
        [sys.executable, "-c", DENIED, path],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_socket_that_we_may_not_use(docker_socket: str) -> None:
    """Permission denied tells whose the socket is, who we are, and three ways out."""
    told = as_nobody(docker_socket)
    assert told.startswith("engine.denied False")
    for words in (docker_socket, "srw-rw----", "owner root", "we are nobody", "rootless", "proxy"):
        assert words in told


def test_the_group_of_the_socket_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a group may use the socket, the command that joins it is told, with its price."""
    need_root("give a socket to a group")
    folder = Path(f"/tmp/spawnery-denied-{os.getpid()}")
    folder.mkdir(mode=0o755)
    path = folder / "group.sock"
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            sock.listen()
            path.chmod(0o660)
            os.chown(path, 0, 4)  # adm, on every Debian
            told = as_nobody(str(path))
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()
    assert "group adm" in told
    assert "sudo usermod -aG adm nobody" in told
    assert "as good as root" in told


def test_a_folder_that_keeps_us_out(tmp_path: Path) -> None:
    """Where a folder on the way is closed, it is the folder that is named."""
    told = as_nobody(f"{tmp_path}/docker.sock")
    assert told.startswith("engine.denied False")
    assert "the folder" in told
    assert "keeps us out" in told
