"""What a job gets on a real cluster: its manifest, and what its program sees of it."""

from __future__ import annotations

import pytest
from kube_account import Account, deployed
from kube_case import PATIENCE, KubeCase, eventually, output, sh
from kubectl import Kubectl
from spawnery.errors import InvalidSpec, SpawnFailed
from spawnery.model import JobSpec, JobState, Resources, Security

pytestmark = pytest.mark.engine("kubernetes")


def test_the_job(case: KubeCase) -> None:
    """Names, limits and what runs it once stand on the Job that the cluster has."""
    spec = sh(
        "sleep 600",
        job_id="shown",
        labels={"team": "red"},
        deadline_seconds=600,
        retention_seconds=1200,
    )
    with case.open() as spawner:
        handle = spawner.spawn(spec)
    job = case.job("shown")
    assert job["metadata"]["name"] == handle.name == f"{case.prefix}-shown"
    assert job["metadata"]["uid"] == handle.engine_id
    assert job["metadata"]["labels"]["team"] == "red"
    assert job["metadata"]["labels"]["spawnery.dev/instance"] == case.instance
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert job["spec"]["ttlSecondsAfterFinished"] == 1200
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "red"
    assert template["spec"]["restartPolicy"] == "Never"
    assert template["spec"]["automountServiceAccountToken"] is False


def test_a_program_sees_its_text_as_it_is(case: KubeCase) -> None:
    """Dollars in command, arguments and variables are not expanded by the kubelet."""
    script = "printf '%s|' \"$@\" \"$A\" '$(JOB_ID)' '$$'"
    args = ("sh", "$(A)", "$$(A)", "$", "$$", "$$$")
    spec = JobSpec(
        image="spawnery-test/busybox:1",
        command=("sh", "-c", script),
        args=args,
        env={"A": "$(JOB_ID) $$ $"},
        resources=Resources(cpu_request="10m"),
    )
    with case.open() as spawner:
        text = output(spawner, spec)
    assert text == "$(A)|$$(A)|$|$$|$$$|$(JOB_ID) $$ $|$(JOB_ID)|$$|"


def test_a_restricted_job(case: KubeCase) -> None:
    """In a namespace that enforces it: nobody, no rights, no token, home and /tmp writable."""
    script = (
        "id -u; id -g; pwd; echo $HOME; touch here /tmp/there && echo writable;"
        " grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status;"
        " test -e /var/run/secrets/kubernetes.io || echo no token;"
        " touch /bin/x 2>/dev/null || echo read only"
    )
    with case.open() as spawner:
        lines = output(spawner, sh(script, job_id="restricted")).split("\n")
        told = [line.split() for line in lines]
    assert lines[:5] == ["65532", "65532", "/home/job", "/home/job", "writable"]
    status = {words[0]: words[1] for words in told if len(words) == 2 and words[0].endswith(":")}
    assert int(status["CapEff:"], 16) == int(status["CapBnd:"], 16) == 0
    assert status["NoNewPrivs:"] == "1"
    assert status["Seccomp:"] == "2"
    assert "no token" in lines
    assert "read only" in lines


@pytest.mark.parametrize("user", ["1000", "1000:2000"])
def test_a_chosen_user(case: KubeCase, user: str) -> None:
    """Home and /tmp are writable for a user that is named, too."""
    uid, _, gid = user.partition(":")
    script = "id -u; id -g; touch $HOME/x /tmp/x && echo writable"
    with case.open() as spawner:
        lines = output(spawner, sh(script, user=user)).split()
    assert lines[0] == uid
    assert lines[1] == (gid or "0")
    assert lines[2] == "writable"


def test_baseline_is_refused_where_restricted_is_enforced(case: KubeCase) -> None:
    """The namespace's policy is told in the cluster's words, and nothing stays."""
    spec = sh("true", job_id="base", security=Security.BASELINE, start_deadline_seconds=60)
    with case.open(SPAWNERY_KUBERNETES_START_GRACE_SECONDS="1") as spawner:
        spawner.spawn(spec)
        outcome = spawner.wait("base", PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "security.forbidden")
    assert "runAsNonRoot" in outcome.message
    eventually(lambda: not case.objects())


@pytest.fixture
def baseline(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Account:  # type: ignore[misc]
    """The account of our manifests in a namespace that enforces "baseline"."""
    with deployed(kubectl, tmp_path_factory.mktemp("baseline")) as made:
        label = "pod-security.kubernetes.io/enforce=baseline"
        kubectl("label", "namespace", made.namespace, label, "--overwrite")
        yield made


def test_a_baseline_job(baseline: Account, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The image's own user, the engine's capabilities, and still no new privileges."""
    case = KubeCase(tmp_path_factory.mktemp("case"), baseline)
    script = "id -u; touch /bin/x && echo writable; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    try:
        with case.open() as spawner:
            text = output(spawner, sh(script, security=Security.BASELINE))
    finally:
        case.close()
    lines = text.split("\n")
    assert lines[:2] == ["0", "writable"]
    assert "NoNewPrivs:\t1" in lines
    assert int(next(line for line in lines if "CapEff" in line).split()[1], 16) > 0


def test_requests_and_limits(case: KubeCase) -> None:
    """Those of the spec are enforced by the node, the defaults are those of every engine."""
    asked = Resources(memory_limit="64Mi", cpu_limit="500m", cpu_request="10m")
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="limits", resources=asked))
        (container,) = case.job("limits")["spec"]["template"]["spec"]["containers"]
        assert container["resources"] == {
            "requests": {"memory": "64Mi", "cpu": "10m"},
            "limits": {"memory": "64Mi", "cpu": "500m"},
        }
        spawner.remove("limits", force=True)


def test_what_a_patch_misspells(case: KubeCase) -> None:
    """The cluster drops no field silently: it is asked to be strict."""
    patch = {"spec": {"template": {"spec": {"nodeSelektor": {"a": "b"}}}}}
    spec = sh("true", options={"kubernetes": {"patch": patch}})
    with (
        case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner,
        pytest.raises((InvalidSpec, SpawnFailed)) as caught,
    ):
        spawner.spawn(spec)
    assert "nodeSelektor" in caught.value.message
    assert case.objects() == set()


def test_zombies_are_reaped_and_children_end(case: KubeCase) -> None:
    """What a program leaves behind ends with it, and does not hold up its end."""
    with case.open() as spawner:
        job = spawner.spawn(sh("sleep 600 & (exit 0) & sleep 0.3; exit 3")).job_id
        assert spawner.wait(job, PATIENCE).exit_code == 3
