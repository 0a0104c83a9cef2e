"""Commands whose clock is an hour wrong: deadlines, retention and ages are the cluster's."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

import pytest
from docker_images import BUSYBOX
from job_calls import finished_program
from kube_bare import Bare
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from shown_times import ages_in
from spawnery.errors import Ambiguous
from spawnery.model import JobState, Secret
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

FAKETIME = shutil.which("faketime")
pytestmark = [
    pytest.mark.engine("kubernetes"),
    pytest.mark.tool("faketime"),
]
MINUTE = 60.0
BOTH = pytest.mark.parametrize("off", ["+1h", "-1h"], ids=["ahead", "behind"])


def cli(case: KubeCase, off: str, *words: str) -> str:
    """Run the command with a clock that is wrong; returns what it prints."""
    command = [str(FAKETIME), "-f", off, sys.executable, "-m", "spawnery"]
    done = finished_program(
        [*command, *words], folder=case.folder, environ=case.environ, patience=PATIENCE * 2
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def spawn(case: KubeCase, off: str, script: str, *flags: str) -> None:
    """Spawn a small job with a clock that is wrong."""
    small = ("--cpu-request", "10m", "--memory-request", "16Mi")
    words = ("spawn", "--job-id", "one", "--image", BUSYBOX, *small, *flags)
    cli(case, off, *words, "--", "sh", "-c", script)


def state(case: KubeCase) -> JobState:
    """Return the state of the job, by a process whose clock is right."""
    with case.open() as spawner:
        return spawner.status("one").state


# A client that is behind would not believe the certificate of a fresh cluster: through the proxy.


@BOTH
def test_a_deadline(led: KubeCase, off: str) -> None:
    """A job far from its deadline is left alone by a process with another clock."""
    spawn(led, off, "sleep 600", "--deadline-seconds", "300")
    with led.open() as spawner:
        running(spawner, "one")
    cli(led, off, "reap")
    assert state(led) is JobState.RUNNING


@BOTH
def test_a_start_deadline(led: KubeCase, off: str) -> None:
    """A job that waits is given up when its time to start is over, and not before."""
    with led.open() as spawner:
        for name, seconds in (("soon", 2), ("late", 600)):
            nowhere: Any = {"kubernetes": {"node_selector": {"no": "where"}}}
            spec = sh("true", job_id=name, start_deadline_seconds=seconds, options=nowhere)
            spawner.spawn(spec)
    time.sleep(4)  # what is waited for is the cluster's clock
    cli(led, off, "reap")
    with led.open() as spawner:
        assert spawner.wait("soon", PATIENCE).state is JobState.TIMED_OUT
        assert spawner.status("late").state is JobState.PENDING


@BOTH
def test_a_retention(led: KubeCase, off: str) -> None:
    """An ended job is removed when its retention is over, and not before."""
    with led.open() as spawner:
        spawner.spawn(sh("true", job_id="kept", retention_seconds=600))
        spawner.spawn(sh("true", job_id="gone", retention_seconds=8))
        spawner.wait("kept", PATIENCE)
        spawner.wait("gone", PATIENCE)
    name = f"Job/{led.name('gone')}"

    def reaped() -> bool:
        cli(led, off, "reap")
        return name not in led.objects()

    eventually(reaped)
    assert f"Job/{led.name('kept')}" in led.objects()


@BOTH
def test_an_orphan(led: KubeCase, proxy: TransportProxy, off: str) -> None:
    """A Job that never got its Secret stays for its grace, whatever the clock of who reaps."""
    bare = Bare(led)
    proxy.arm(Rule(Fault.DROP_BEFORE, method="POST", path=r"/secrets(\?|$)", times=1))
    with pytest.raises(Ambiguous):
        bare.spawner.spawn(bare.asked("true", secrets={"WORD": Secret("swordfish")}))
    bare.spawner.close()
    cli(led, off, "reap")
    assert f"Job/{led.name('one')}" in led.objects()
    time.sleep(3)
    led.environ["SPAWNERY_ORPHAN_GRACE_SECONDS"] = "2"
    cli(led, off, "reap")
    eventually(lambda: f"Job/{led.name('one')}" not in led.objects())


@BOTH
def test_an_age(led: KubeCase, off: str) -> None:
    """The ages that ``status`` shows are those of the job, not the error of our clock."""
    spawn(led, off, "sleep 600")
    shown = cli(led, off, "status", "one")
    assert ages_in(shown), shown
    assert all(age < MINUTE for age in ages_in(shown)), shown


@BOTH
def test_how_long_it_took(led: KubeCase, off: str) -> None:
    """The ages and the duration that ``status`` shows of an ended job are by the engine's clock."""
    spawn(led, off, "sleep 3", "--retention-seconds", "600")
    with led.open() as spawner:
        spawner.wait("one", PATIENCE)
    shown = cli(led, off, "status", "one")
    assert ages_in(shown), shown
    assert all(age < MINUTE * 20 for age in ages_in(shown)), shown


@BOTH
def test_so_long_ago(led: KubeCase, off: str) -> None:
    """``logs --since`` counts back from the engine's present."""
    spawn(led, off, "echo said; sleep 600")
    with led.open() as spawner:
        running(spawner, "one")
    eventually(lambda: "said" in cli(led, off, "logs", "one"))
    assert "said" in cli(led, off, "logs", "--since", "10m", "one")
    time.sleep(3)  # what is said must be older than what is asked for
    assert "said" not in cli(led, off, "logs", "--since", "1s", "one")


@BOTH
def test_a_deadline_that_is_over(led: KubeCase, off: str) -> None:
    """A job past its deadline is ended, and its outcome is the same for who has no record."""
    spawn(led, off, "sleep 600", "--deadline-seconds", "8", "--retention-seconds", "600")
    with led.open(SPAWNERY_STATE_DIR=str(led.folder / "another")) as spawner:
        assert spawner.wait("one", PATIENCE).state is JobState.TIMED_OUT
    assert "TIMED_OUT" in cli(led, off, "status", "one")


@BOTH
def test_check_tells(led: KubeCase, off: str) -> None:
    """The offset is a warning of ``check``."""
    way = "behind" if off == "+1h" else "ahead of"
    assert f"s {way} ours" in cli(led, off, "check")
