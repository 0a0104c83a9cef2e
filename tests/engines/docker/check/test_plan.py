"""``plan`` shows the request as it is sent, ``check`` what there is and whether a job runs."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from docker_case import DockerCase, eventually, sh
from docker_images import BUSYBOX
from spawnery.contract import LABEL_RECORD_ID
from spawnery.model import MASK, JobSpec

pytestmark = pytest.mark.engine("docker")


class Tap:
    """Passes connections on to the engine and keeps what was sent to it.

    Args:
        address: The engine, ``unix:///path``.
    """

    def __init__(self, address: str) -> None:
        self._path = address.removeprefix("unix://")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sent: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller = self._listener.accept()[0]
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._path)
            kept = bytearray()
            self._sent.append(kept)
            for ends in ((caller, engine, kept), (engine, caller, None)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            if kept is None:
                source.close()
                target.close()

    def created(self) -> list[tuple[str, dict[str, Any]]]:
        """Return target and body of each create request, the API's version left out."""
        found = []
        for sent in self._sent:
            head, mark, rest = bytes(sent).partition(b"/containers/create?")
            if not mark:
                continue
            target = rest.split(b" ", 1)[0].decode()
            header, _, body = rest.partition(b"\r\n\r\n")
            size = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            assert head.rsplit(b"\n", 1)[-1].startswith(b"POST ")
            found.append((f"/containers/create?{target}", json.loads(body[:size])))
        return found

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()


@pytest.fixture
def tap(docker_engine: str) -> Iterator[Tap]:
    """A tap before the engine."""
    made = Tap(docker_engine)
    yield made
    made.close()


JOB = (
    *("--job-id", "shown", "--image", BUSYBOX, "--env", "PLAIN=seen", "--secret", "TOKEN=env:OWN"),
    *("--memory-limit", "64Mi", "--cpu-limit", "0.5", "--deadline-seconds", "1h"),
    *("--label", "team=a", "--option", 'docker.tmpfs={"/scratch": "1Mi"}'),
    *("--option", "docker.hostname=worker", "--", "sleep", "600"),
)


@pytest.mark.parametrize("profile", ["restricted", "baseline"])
def test_the_plan_is_what_is_sent(case: DockerCase, tap: Tap, profile: str) -> None:
    """The body of the plan is that of the request, but for the secrets, which are masked."""
    value = secrets.token_hex(12)
    own = {"OWN": value, "DOCKER_HOST": tap.address}
    job = ("--security", profile, *JOB)
    shown = case.cli("--json", "plan", *job, **own)
    assert shown.returncode == 0, shown.stderr
    assert tap.created() == [], "a plan creates nothing"
    assert value not in shown.stdout + shown.stderr
    planned = json.loads(shown.stdout)["plan"]["engine_object"]
    done = case.cli("spawn", *job, **own)
    assert done.returncode == 0, done.stderr
    (target, sent), *more = tap.created()
    assert not more
    assert f"TOKEN={value}" in sent["Env"]
    sent["Env"] = [f"TOKEN={MASK}" if e == f"TOKEN={value}" else e for e in sent["Env"]]
    assert sent["Labels"].pop(LABEL_RECORD_ID), "a plan has no record"
    assert planned == {"POST": target, "body": sent}


def test_the_plan_for_a_person(case: DockerCase) -> None:
    """The table names the network and where it was found, the pull policy, no secret."""
    value = secrets.token_hex(12)
    shown = case.cli("plan", *JOB, OWN=value, DOCKER_NETWORK="bridge")
    assert shown.returncode == 0, shown.stderr
    assert value not in shown.stdout
    for words in ("network bridge", "pull policy: if-not-present", f"{case.prefix}-shown"):
        assert words in shown.stdout
    assert case.containers() == set()


def test_a_plan_without_an_engine(case: DockerCase) -> None:
    """A plan is made where the engine does not answer, and says what it does not know."""
    with case.open(DOCKER_HOST=f"unix://{case.folder}/none.sock") as spawner:
        plan = spawner.plan(sh("true", job_id="far"))
    assert plan.plan.engine_object["body"]["Image"] == BUSYBOX
    assert any("was not asked" in note for note in plan.plan.notes)


def test_a_plan_for_an_image_that_is_not_there(case: DockerCase) -> None:
    """It says so, and what is unknown therefore."""
    with case.open() as spawner:
        spec = JobSpec(image=f"{case.prefix}/none:1", command=["true"])
        plan = spawner.plan(spec)
    assert any("is not in the engine" in note for note in plan.plan.notes)


def test_a_plan_refuses_what_a_spawn_would(case: DockerCase) -> None:
    """What is not allowed is told by plan already."""
    done = case.cli("--json", "plan", "--option", "docker.privileged=true", *JOB, OWN="value-x")
    assert done.returncode == 125
    assert "options.docker.privileged" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# -- check -----------------------------------------------------------------------------------


def test_check(case: DockerCase) -> None:
    """All findings of an engine that works, for a program to read."""
    done = case.cli("--json", "check")
    assert done.returncode == 0, done.stdout
    items = {item["name"]: item for item in json.loads(done.stdout)}
    expected = {
        *("spawnery", "spawner", "instance", "records", "endpoint", "engine", "storage"),
        *("cgroup", "live-restore", "limits", "security", "own container", "network"),
    }
    assert expected <= set(items)
    assert all(item["level"] != "failed" for item in items.values())
    assert case.docker("version", "--format", "{{.Server.Version}}") in items["engine"]["detail"]
    assert "none" in items["network"]["detail"]


def test_check_of_a_network_that_is_not_there(case: DockerCase) -> None:
    """Check fails before a job would, and has the command that helps."""
    done = case.cli("--json", "check", DOCKER_NETWORK=f"{case.prefix}-none")
    assert done.returncode == 1
    items = {item["name"]: item for item in json.loads(done.stdout)}
    assert items["network"]["level"] == "failed"
    assert items["network"]["hint"] == f"docker network create {case.prefix}-none"


def test_check_with_a_probe(case: DockerCase) -> None:
    """With --probe a job really runs, and nothing of it stays."""
    done = case.cli("--json", "check", "--probe", "--image", BUSYBOX)
    items = {item["name"]: item for item in json.loads(done.stdout)}
    assert items["probe"]["level"] == "ok", items["probe"]
    assert done.returncode == 0
    eventually(lambda: not case.containers())
    assert case.cli("--json", "ps", "-a").stdout.strip() in {"", "[]"}


def test_check_with_a_probe_that_has_no_image(case: DockerCase) -> None:
    """Where the probe cannot run the finding says what is missing."""
    done = case.cli("--json", "check", "--probe")
    items = {item["name"]: item for item in json.loads(done.stdout)}
    assert items["probe"]["level"] == "failed"
    assert "image=" in items["probe"]["hint"]
    assert done.returncode == 1
