"""Secrets of jobs on a real cluster: in the job, in a Secret that goes with it, nowhere else."""

from __future__ import annotations

import json
import secrets as randomness
import threading

import pytest
from kube_case import PATIENCE, KubeCase, eventually, output, running, sh
from spawnery.errors import InvalidSpec, SpecConflict
from spawnery.model import JobState, SecretRef
from spawnery.testing.faults import Fault, Rule, Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

SECRETS = r"/secrets(\?|$)"
CALLER = """
import sys
from spawnery.jobfile.reader import parse
from spawnery.spawner import Spawner
with Spawner.open() as spawner:
    spawner.spawn(parse(sys.argv[1].encode(), name="job.json"))
"""


@pytest.fixture
def value() -> str:
    """A value that nothing else contains."""
    return randomness.token_hex(12)


def made(case: KubeCase) -> list[str]:
    """Name the Secrets of the test."""
    return sorted(name for name in case.objects() if name.startswith("Secret/"))


def test_a_secret_of_the_job(case: KubeCase, value: str) -> None:
    """The program has the value; the Job has a reference; the Secret goes with the Job."""
    spec = sh("sleep 600", job_id="one", secrets={"TOKEN": SecretRef.literal(value)})
    with case.open() as spawner:
        spawner.spawn(spec)
        running(spawner, "one")
        (name,) = made(case)
        job = case.job("one")
        assert value not in json.dumps(job)
        assert f"Secret/{job['metadata']['annotations']['spawnery.dev/secrets']}" == name
        secret = case.kubectl.get(name, "-n", case.namespace)
        (owner,) = secret["metadata"]["ownerReferences"]
        assert owner["uid"] == job["metadata"]["uid"]
        assert owner.get("blockOwnerDeletion", False) is False
        spawner.remove("one", force=True)
    eventually(lambda: not case.objects())


def test_values_reach_the_program_as_they_are(case: KubeCase) -> None:
    """Dollars, quotes, line breaks and characters beyond ASCII."""
    text = "a$(JOB_ID)$$b\n\"'\\ é€"
    secrets = {"TOKEN": SecretRef.literal(text), "EMPTY": SecretRef.literal("")}
    script = 'printf "%s|%s" "$TOKEN" "${EMPTY-unset}"'
    with case.open() as spawner:
        assert output(spawner, sh(script, secrets=secrets)) == f"{text}|"


def test_a_secret_of_the_cluster(case: KubeCase, value: str) -> None:
    """An existing Secret by name and key; one that is not there only where it is optional."""
    words = ("create", "secret", "generic", f"{case.prefix}-there", f"--from-literal=k={value}")
    case.kubectl(*words, "-n", case.namespace)
    there = f"{case.prefix}-there"
    secrets = {
        "TOKEN": SecretRef.engine(there, "k"),
        "NONE": SecretRef.engine(there, "other", optional=True),
        "NEVER": SecretRef.engine(f"{case.prefix}-absent", "k", optional=True),
    }
    script = 'printf "%s %s %s" "$TOKEN" "${NONE-unset}" "${NEVER-unset}"'
    with case.open() as spawner:
        assert output(spawner, sh(script, secrets=secrets)) == f"{value} unset unset"
    assert made(case) == [f"Secret/{there}"]
    case.kubectl("delete", "secret", there, "-n", case.namespace)


def test_a_secret_of_the_cluster_that_is_not_there(case: KubeCase) -> None:
    """It is waited for during the grace, then the job fails with its name."""
    absent = f"{case.prefix}-absent"
    spec = sh("true", job_id="one", secrets={"TOKEN": SecretRef.engine(absent, "k")})
    with case.open(SPAWNERY_KUBERNETES_START_GRACE_SECONDS="3") as spawner:
        spawner.spawn(spec)
        outcome = spawner.wait("one", PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "secret.not_found")
    assert absent in outcome.message
    eventually(lambda: not case.objects())


def test_no_tail_where_a_value_is_not_known(case: KubeCase, value: str) -> None:
    """What a process cannot mask it does not record; the one that spawned the job masks it."""
    script = "echo token $TOKEN; sleep 5; exit 3"
    secrets = {"TOKEN": SecretRef.literal(value)}
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="one", secrets=secrets))
        mine = spawner.wait("one", PATIENCE)
        spawner.spawn(sh(script, job_id="two", secrets=secrets, retention_seconds=900))
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "other")) as other:
        theirs = other.wait("two", PATIENCE)
    assert mine.log_tail == "token ***\n"
    assert theirs.log_tail is None
    assert "secret" in (theirs.log_tail_missing or "")


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.ERROR_500_AFTER])
def test_a_lost_reply_to_the_secret(
    led: KubeCase, proxy: TransportProxy, value: str, fault: Fault
) -> None:
    """The job has its Secret all the same, one, and is made by this call."""
    proxy.arm(Rule(fault, method="POST", path=SECRETS, times=1))
    secrets = {"TOKEN": SecretRef.literal(value)}
    with led.open() as spawner:
        handle = spawner.spawn(sh(f'test "$TOKEN" = {value}; sleep 600', secrets=secrets))
        assert handle.created
        running(spawner, handle.job_id)
        assert len(made(led)) == 1


def test_a_denied_secret(led: KubeCase, proxy: TransportProxy, value: str) -> None:
    """Where the Secret is refused for good the Job goes again, and the error tells why."""
    body = json.dumps({"kind": "Status", "message": "no", "reason": "Forbidden"}).encode()
    rule = Rule(Fault.ERROR_500, method="POST", path=SECRETS, status=403, body=body)
    proxy.arm(rule)
    spec = sh("true", job_id="one", secrets={"TOKEN": SecretRef.literal(value)})
    with led.open() as spawner:
        with pytest.raises(Exception, match="Secret") as caught:
            spawner.spawn(spec)
        assert value not in str(caught.value)
        assert spawner.records.get("one") is None
    eventually(lambda: not led.objects())


def killed_between(led: KubeCase, proxy: TransportProxy, **variables: str) -> None:
    """Kill a caller when it asks for its Secret."""
    asked, killed = threading.Event(), threading.Event()

    def hold(seen: Seen) -> None:
        if seen.method == "POST" and "/secrets" in seen.path:
            asked.set()
            killed.wait(PATIENCE)
            raise ConnectionError

    proxy.on_request = hold
    process = led.start("-c", CALLER, SPEC, **variables)
    assert asked.wait(PATIENCE), process.communicate()
    process.kill()
    process.wait(PATIENCE)
    killed.set()
    proxy.on_request = None
    assert made(led) == []


SPEC = json.dumps(
    {
        "job_id": "one",
        "image": "spawnery-test/busybox:1",
        "command": ["sh", "-c", 'test "$TOKEN" = "$WANTED"'],
        "env": {"WANTED": "a value"},
        "secrets": {"TOKEN": {"environment": "OWN", "optional": True}},
        "resources": {"cpu_request": "10m"},
        "retention_seconds": 900,
    }
)


def test_whoever_resumes_completes_it(led: KubeCase, proxy: TransportProxy) -> None:
    """A Job whose caller died before its Secret gets it from whoever spawns it again."""
    killed_between(led, proxy, OWN="a value")
    left = led.job("one")["metadata"]["uid"]
    resumer = led.start("-c", CALLER, SPEC, OWN="a value")
    _, err = resumer.communicate(timeout=PATIENCE)
    assert resumer.returncode == 0, err
    with led.open() as spawner:
        assert spawner.wait("one", PATIENCE).state is JobState.SUCCEEDED
    assert led.job("one")["metadata"]["uid"] == left


def test_whoever_lacks_the_value_makes_it_anew(led: KubeCase, proxy: TransportProxy) -> None:
    """Without the (optional) value the Job that waits for it is deleted, and one without made."""
    killed_between(led, proxy, OWN="a value")
    left = led.job("one")["metadata"]["uid"]
    resumer = led.start("-c", CALLER, SPEC)
    _, err = resumer.communicate(timeout=PATIENCE)
    assert resumer.returncode == 0, err
    with led.open() as spawner:
        assert spawner.wait("one", PATIENCE).exit_code == 1
    assert led.job("one")["metadata"]["uid"] != left
    assert made(led) == []


def test_reap_removes_what_nobody_completes(led: KubeCase, proxy: TransportProxy) -> None:
    """A Job that waits for its Secret for ever never started; it is told so and removed."""
    killed_between(led, proxy, OWN="a value")
    with led.open() as spawner:
        eventually(lambda: not spawner.status("one").launched)
        assert [d.action for d in spawner.reap()] == ["keep"]
    with led.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        decisions = spawner.reap()
        assert decisions[0].action == "remove"
        assert spawner.status("one").state is JobState.LOST
    eventually(lambda: not led.objects())


def test_a_conflict_says_nothing_of_the_job_that_is_there(case: KubeCase) -> None:
    """A spawn with a secret that is refused leaves another's pending job launched."""
    nowhere = {"kubernetes": {"node_selector": {"example.com/test": "no-such-node"}}}
    secrets = {"TOKEN": SecretRef.literal("a value")}
    with case.open() as spawner:
        spawner.spawn(sh("true", job_id="one", options=nowhere))
        spawner.records.forget("one")
        with pytest.raises(SpecConflict):
            spawner.spawn(sh("true", job_id="one", secrets=secrets))
        assert spawner.status("one").launched
        spawner.remove("one", force=True)
    eventually(lambda: not case.objects())


def test_a_required_value_that_is_missing(case: KubeCase) -> None:
    """Nothing is made."""
    secrets = {"TOKEN": SecretRef.environment("NOT_SET_ANYWHERE")}
    with case.open() as spawner, pytest.raises(InvalidSpec):
        spawner.spawn(sh("true", secrets=secrets))
    assert case.objects() == set()
