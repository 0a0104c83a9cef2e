"""Logs on a real cluster: from pending on, over breaks, byte for byte."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from docker_images import BUSYBOX
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from kube_faults import restart
from spawnery.contract import Deadline, LogsRequest
from spawnery.errors import InvalidSpec, LogsUnavailable
from spawnery.model import JobState, LogChunk, Resources
from spawnery.spawner import Spawner
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = [pytest.mark.engine("kubernetes"), pytest.mark.timeout(600)]

SMALL = Resources(cpu_request="10m")
KEPT: dict[str, Any] = {"retention_seconds": 900.0, "resources": SMALL}
COUNTS = "i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); {pause}; done"
POLITE = "trap 'echo bye; sleep 1; echo last; exit 0' TERM; echo ready; while :; do sleep 0.1; done"


def _read(spawner: Spawner, job_id: str, **wanted: Any) -> list[LogChunk]:
    with spawner.logs(job_id, **wanted) as stream:
        return list(stream)


def _text(chunks: list[LogChunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def _lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


def _ended(spawner: Spawner, script: str, job_id: str) -> None:
    spawner.spawn(sh(script, job_id=job_id, **KEPT))
    assert spawner.wait(job_id, timeout=PATIENCE).state is JobState.SUCCEEDED


def test_from_before_it_runs(case: KubeCase) -> None:
    """A log that is followed from pending on is whole, and ends when the job does."""
    with case.open() as spawner:
        spawner.spawn(sh(COUNTS.format(count=40, pause="sleep 0.05"), job_id="whole", **KEPT))
        assert _text(_read(spawner, "whole", follow=True)) == _lines(40)
        assert spawner.wait("whole", timeout=PATIENCE).state is JobState.SUCCEEDED


def test_a_job_that_never_runs(case: KubeCase) -> None:
    """Following a job that never starts ends, with nothing, when the job is given up."""
    with case.open() as spawner:
        spec = sh("exit 0", job_id="never", image="no-such-image:1", start_deadline_seconds=4)
        spawner.spawn(spec)
        assert _read(spawner, "never", follow=True) == []
        assert spawner.wait("never", timeout=PATIENCE).exit_code is None


def test_no_follow_of_a_pending_job(case: KubeCase) -> None:
    """Without following there is nothing yet, and that is no error."""
    with case.open() as spawner:
        spawner.spawn(sh("exit 0", job_id="yet", image="no-such-image:1", **KEPT))
        assert _read(spawner, "yet") == []
        spawner.remove("yet", force=True)


def test_every_byte(case: KubeCase) -> None:
    """Binary data, bytes that are no UTF-8, a long line and one without an end come as they are."""
    every = "".join(f"\\{number:03o}" for number in range(256))
    script = (
        f"printf '{every}'; head -c 100000 /dev/zero | tr '\\000' x; printf '\\303'; sleep 0.5;"
        " printf '\\251\\n\\n'; printf 'no end'"
    )
    expected = bytes(range(256)) + b"x" * 100_000 + b"\xc3\xa9\n\nno end"
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="bytes", **KEPT))
        assert _text(_read(spawner, "bytes", follow=True)) == expected
        assert spawner.wait("bytes", timeout=PATIENCE).state is JobState.SUCCEEDED
        chunks = _read(spawner, "bytes")
        assert _text(chunks) == expected
        assert max(len(chunk.data) for chunk in chunks) <= 2**20


def test_every_cursor(case: KubeCase) -> None:
    """From every cursor follow the bytes behind it, though both streams write at once."""
    script = (
        "for n in 1 2 3 4; do (i=0; while [ $i -lt 60 ]; do echo out $n $i; echo err $n $i >&2;"
        " i=$((i+1)); done) & sleep 0.7; done; wait; head -c 40000 /dev/zero | tr '\\000' y"
    )
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="cursors", **KEPT))
        chunks = _read(spawner, "cursors", follow=True)
        assert spawner.wait("cursors", timeout=PATIENCE).state is JobState.SUCCEEDED
        whole = _text(_read(spawner, "cursors"))
        assert len(chunks) > 3
        assert _text(chunks) == whole
        assert whole.count(b"\n") == 480
        size = 0
        for chunk in chunks:
            size += len(chunk.data)
            assert _text(_read(spawner, "cursors", cursor=chunk.cursor)) == whole[size:]


@pytest.mark.parametrize("fault", [Fault.CUT_MID_STREAM, Fault.DROP_AFTER])
def test_broken_connections(led: KubeCase, proxy: TransportProxy, fault: Fault) -> None:
    """Wherever connections break, also inside a line, nothing is lost and nothing comes twice."""
    for size in (1, 33, 50, 77, 1200, 1201):
        proxy.arm(Rule(fault, path="/log.*follow=true", times=1, after_bytes=size))
    with led.open() as spawner:
        spawner.spawn(sh(COUNTS.format(count=100, pause="sleep 0.03"), job_id="torn", **KEPT))
        assert _text(_read(spawner, "torn", follow=True)) == _lines(100)
    assert proxy.count(path="/log.*follow=true") >= 7


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (404, "the server could not find the requested resource ( pods/log x)"),
        (400, "failed to try resolving symlinks in path /var/log/0.log: no such file or directory"),
    ],
)
def test_a_node_that_gives_no_log_for_a_while(
    led: KubeCase, proxy: TransportProxy, status: int, why: str
) -> None:
    """A kubelet that was restarted, or begins a new file, is asked again while the pod is there."""
    body = json.dumps({"kind": "Status", "status": "Failure", "code": status, "message": why})
    cut = Rule(Fault.CUT_MID_STREAM, path="/log.*follow=true", times=1, after_bytes=100)
    refusal = Rule(
        Fault.ERROR_500,
        path="/log.*follow=true",
        times=3,
        status=status,
        body=body.encode(),
    )
    proxy.arm(cut)
    proxy.arm(refusal)
    with led.open() as spawner:
        spawner.spawn(sh(COUNTS.format(count=60, pause="sleep 0.05"), job_id="away", **KEPT))
        assert _text(_read(spawner, "away", follow=True)) == _lines(60)
    assert proxy.count(path="/log.*follow=true") >= 5


@pytest.mark.alone
def test_the_api_server_is_restarted(case: KubeCase) -> None:
    """Over a restart of the API server nothing is lost and nothing comes twice."""
    with case.open() as spawner:
        spawner.spawn(sh(COUNTS.format(count=300, pause="sleep 0.05"), job_id="over", **KEPT))
        begun, found = threading.Event(), []

        def read() -> None:
            with spawner.logs("over", follow=True) as stream:
                for chunk in stream:
                    found.append(chunk)
                    begun.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert begun.wait(PATIENCE)
        restart(case.kubectl, "kube-apiserver")
        reader.join(PATIENCE)
        assert not reader.is_alive()
        assert spawner.wait("over", timeout=PATIENCE).state is JobState.SUCCEEDED
    assert _text(found) == _lines(300)


def test_what_a_rotation_drops_is_told(case: KubeCase) -> None:
    """To a new reader, to one whose place is gone, and to a follower that lost any."""
    # The node drops what a program writes right before its end, too: it stays a moment.
    script = (
        "echo begin; until [ -e /tmp/read ]; do sleep 0.2; done; seq 1 400000;"
        " until [ -e /tmp/rotated ]; do sleep 0.2; done; seq 400001 500000; echo end; sleep 5"
    )
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="rotated", **KEPT))
        followed: list[LogChunk] = []
        reader = threading.Thread(
            target=lambda: followed.extend(_read(spawner, "rotated", follow=True)), daemon=True
        )
        eventually(lambda: _text(_read(spawner, "rotated")))
        pod = case.pods("rotated")[0]["metadata"]["name"]
        reader.start()
        first = _read(spawner, "rotated")[0]
        case.kubectl("exec", "-n", case.namespace, pod, "--", "touch", "/tmp/read")
        eventually(lambda: not _text(_read(spawner, "rotated")).startswith(b"begin\n"))
        case.kubectl("exec", "-n", case.namespace, pod, "--", "touch", "/tmp/rotated")
        assert spawner.wait("rotated", timeout=PATIENCE).state is JobState.SUCCEEDED
        reader.join(PATIENCE)
        chunks = _read(spawner, "rotated")
        assert [chunk.gap for chunk in chunks].index(True) == len(chunks) - 1
        assert not _text(chunks).startswith(b"begin\n")
        resumed = _read(spawner, "rotated", cursor=first.cursor)
        assert [chunk.gap for chunk in resumed] == [True, *[False] * (len(resumed) - 1)]
        assert not any(chunk.gap for chunk in _read(spawner, "rotated", cursor=chunks[0].cursor))
    lines = _text(followed).splitlines()
    assert lines[-1] == b"end"
    assert len(lines) == 500_002 or any(chunk.gap for chunk in followed)


@pytest.mark.parametrize("size", [1, 6, 7, 300, 16_000, 50_000, 10**6])
def test_the_last_bytes(logged: tuple[Spawner, bytes], size: int) -> None:
    """The last bytes are exactly these, and reading goes on from each of their cursors."""
    spawner, whole = logged
    chunks = _read(spawner, "logged", tail_bytes=size)
    assert _text(chunks) == whole[-size:]
    for number, chunk in enumerate(chunks):
        rest = _text(chunks[number + 1 :])
        assert _text(_read(spawner, "logged", cursor=chunk.cursor)) == rest


@pytest.fixture(scope="module")
def logged(account: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A job that has written lines, short and long, over some seconds."""
    case = KubeCase(tmp_path_factory.mktemp("logged"), account)
    script = COUNTS.format(count=60, pause="sleep 0.05")
    script += "; head -c 60000 /dev/zero | tr '\\000' z; echo; echo last"
    with case.open() as spawner:
        _ended(spawner, script, "logged")
        yield spawner, _lines(60) + b"z" * 60_000 + b"\nlast\n"
    case.close()


def test_since(logged: tuple[Spawner, bytes]) -> None:
    """What the node received before a moment is left out, to the line."""
    spawner, whole = logged
    chunks = _read(spawner, "logged")
    times = [chunk.time for chunk in chunks if chunk.time is not None]
    middle = times[0] + (times[-1] - times[0]) / 2
    later = _text(_read(spawner, "logged", since=middle))
    assert whole.endswith(later)
    assert 0 < len(later) <= len(whole)
    assert later.startswith((b"line ", b"z"))
    assert _text(_read(spawner, "logged", since=datetime(2001, 1, 1, tzinfo=UTC))) == whole
    assert _text(_read(spawner, "logged", since=datetime(2101, 1, 1, tzinfo=UTC))) == b""


def test_foreign_cursors(logged: tuple[Spawner, bytes]) -> None:
    """A cursor that is none of ours is refused."""
    spawner, _ = logged
    with pytest.raises(InvalidSpec, match="cursor"):
        spawner.logs("logged", cursor="n0-0")


def test_the_last_words(case: KubeCase) -> None:
    """Who follows a job that is stopped hears what it says while it is ended, and then the end."""
    with case.open() as spawner:
        spawner.spawn(sh(POLITE, job_id="words", resources=SMALL))
        running(spawner, "words")
        stream = spawner.logs("words", follow=True)
        stopper = threading.Thread(
            target=spawner.stop, args=("words",), kwargs={"grace_seconds": 9}
        )
        with stream:
            data = next(stream).data
            stopper.start()
            data += _text(list(stream))
        stopper.join(PATIENCE)
    assert data == b"ready\nbye\nlast\n"


def test_a_log_that_went_with_its_pod(case: KubeCase) -> None:
    """When the pod is gone its log is, and that is said, with what to do."""
    with case.open() as spawner:
        _ended(spawner, "echo hi", "went")
        eventually(lambda: "completionTime" in case.job("went")["status"])
        case.kubectl(
            "delete", "pod", "-n", case.namespace, case.pods("went")[0]["metadata"]["name"]
        )
        with pytest.raises(LogsUnavailable, match="no pod") as told:
            _read(spawner, "went")
        assert told.value.hint is not None
        assert "retention_seconds=900" in told.value.hint


def test_a_foreign_pod(case: KubeCase) -> None:
    """The log of an object that is not ours is never read, whatever its name."""
    case.plant("theirs")
    with case.open() as spawner:
        engine: Any = spawner._engine
        name = case.name("theirs")
        request = LogsRequest(job_id="theirs", name=name, deadline=Deadline.after(PATIENCE))
        with pytest.raises(LogsUnavailable):
            engine.logs(request)


def test_a_flood(case: KubeCase) -> None:
    """Seven megabytes arrive whole though the reader is slower than the program.

    With what the node writes beside each line they are less than the 10 MiB at which it begins a
    new file, and no longer gives what is in the old one.
    """
    script = f"yes {'x' * 249} | head -n 30000"
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="flood", **KEPT))
        size, largest = 0, 0
        with spawner.logs("flood", follow=True) as stream:
            for chunk in stream:
                size += len(chunk.data)
                largest = max(largest, len(chunk.data))
                assert chunk.lost == 0
        assert size == 30_000 * 250
        assert largest <= 2**20
        eventually(lambda: spawner.status("flood").state is JobState.SUCCEEDED)


def test_a_pod_that_is_replaced(case: KubeCase) -> None:
    """A Job that is suspended and resumed gets another pod: who follows reads both logs, to the
    job's end, and so does ``run``."""
    name = ("job", case.name("one"), "-n", case.namespace)
    words = ("--cpu-request", "10m", "--memory-request", "16Mi", "--image", BUSYBOX)
    script = "echo begin; sleep 8; echo end"
    command = ["-m", "spawnery", "run", "--job-id", "one", *words, "--", "sh", "-c", script]
    process = case.start(*command)
    with case.open() as spawner:
        eventually(case.objects)
        running(spawner, "one")
        with spawner.logs("one", follow=True) as chunks:
            assert next(iter(chunks)).data == b"begin\n"
            case.kubectl("patch", *name, "--type=merge", "-p", '{"spec": {"suspend": true}}')
            eventually(lambda: not case.pods("one"))
            case.kubectl("patch", *name, "--type=merge", "-p", '{"spec": {"suspend": false}}')
            assert b"".join(chunk.data for chunk in chunks) == b"begin\nend\n"
        assert spawner.wait("one", PATIENCE).state is JobState.SUCCEEDED
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out == b"begin\nbegin\nend\n"
