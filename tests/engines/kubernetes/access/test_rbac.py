"""The rights of deploy/kubernetes: a whole life needs each of them, and no other."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docker_images import BUSYBOX
from kube_account import Account, deployed, right_of, runtime_of, without
from kube_case import PATIENCE, KubeCase, eventually, sh
from kube_request import request_of
from kubectl import Kubectl
from spawnery.contract import (
    CheckItem,
    Deadline,
    LogsRequest,
    RemoveRequest,
    StopRequest,
    WatchRequest,
)
from spawnery.errors import EngineDenied, SpecConflict, StreamLost
from spawnery.model import JobState, Secret, SecretRef, Security
from spawnery_kubernetes.objects.rights import (
    CHECK_RULES,
    PLACE_RULES,
    SPAWNER_RULES,
    Right,
    rights_of,
)
from spawnery_kubernetes.plugin import KubernetesSpawner
from spawnery_kubernetes.settings import KubernetesSettings

pytestmark = pytest.mark.engine("kubernetes")
SLEEPER = ("sleep", "3600")


@pytest.fixture
def whole(kubectl: Kubectl, tmp_path: Path) -> Iterator[Account]:
    """The account of the manifests, the second Role with it."""
    with deployed(kubectl, tmp_path, "check") as made:
        yield made


def test_a_whole_life_needs_exactly_these(whole: Account, tmp_path: Path) -> None:
    """Check, plan, spawn, follow, conflict, stop, failure, logs, list, remove: every right of the
    Roles is used by some request, and no request needs another."""
    with whole.proxy() as proxy:
        case = KubeCase(tmp_path, whole, proxy.address.replace("tcp://", "http://"))
        with case.open() as spawner:
            live_through(case)
            assert [item.name for item in spawner.check() if item.level != "ok"] == []
        needed = {right_of(seen.method, seen.path) for seen in proxy.seen()} - {None}
        case.close()
    assert needed == set(rights_of((*SPAWNER_RULES, *PLACE_RULES, *CHECK_RULES)))


def live_through(case: KubeCase) -> None:
    """Do once whatever a spawner can do."""
    hello = sh("echo hello; echo $WORD", secrets={"WORD": SecretRef.literal("swordfish")})
    with case.open() as spawner:
        assert spawner.plan(hello, validate=True).plan.problems == ()
        spawner.spawn(hello, follow=True)
        with spawner.logs(hello.job_id, follow=True) as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"hello\nswordfish\n"
        assert spawner.wait(hello.job_id, PATIENCE).state is JobState.SUCCEEDED
        sleeper = spawner.spawn(sh("echo ready; sleep 3600", retention_seconds=600)).job_id
        with pytest.raises(SpecConflict):
            spawner.spawn(sh("true", job_id=sleeper))
        with spawner.logs(sleeper, follow=True) as chunks:
            assert next(iter(chunks)).data == b"ready\n"
            assert spawner.stop(sleeper, grace_seconds=1).state is JobState.CANCELLED
            assert list(chunks) == []
        refused = spawner.spawn(sh("true", security=Security.BASELINE)).job_id
        assert spawner.wait(refused, PATIENCE).cause == "security.forbidden"
        kept = spawner.spawn(sh("echo kept; exit 3", retention_seconds=600)).job_id
        outcome = spawner.wait(kept, PATIENCE)
        assert (outcome.exit_code, outcome.log_tail) == (3, "kept\n")
    with case.open() as other:
        assert {sleeper, kept} <= {status.job_id for status in other.list()}
        with other.logs(kept) as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"kept\n"
        other.remove(kept)
        other.remove(sleeper)
    eventually(lambda: not case.objects())


def test_nothing_else_is_allowed(account: Account) -> None:
    """What an attacker with our token would like to have is denied."""
    who = f"system:serviceaccount:{account.namespace}:spawnery"
    for verb, resource in (
        ("get", "secrets"),
        ("list", "secrets"),
        ("delete", "secrets"),
        ("create", "pods"),
        ("patch", "pods"),
        ("create", "pods/exec"),
        ("create", "pods/attach"),
        ("create", "pods/portforward"),
        ("update", "jobs.batch"),
        ("deletecollection", "jobs.batch"),
        ("create", "serviceaccounts/token"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("watch", "events"),
    ):
        words = ("auth", "can-i", verb, resource, f"--as={who}", "-n", account.namespace)
        assert account.kubectl.run(*words).stdout.strip() == "no", (verb, resource)
    for verb, resource in (("list", "jobs.batch"), ("get", "pods")):
        words = ("auth", "can-i", verb, resource, f"--as={who}", "-n", "default")
        assert account.kubectl.run(*words).stdout.strip() == "no", (verb, resource)


# -- one right less --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def instance() -> str:
    """The owner of all jobs of this module, whoever acts."""
    return f"r{secrets.token_hex(4)}"


def spawner_of(kubeconfig: str, folder: Path, instance: str) -> KubernetesSpawner:
    """Make a spawner without core: what a hook raises is what is looked at."""
    settings = KubernetesSettings(kubeconfig=kubeconfig)
    return KubernetesSpawner(settings, runtime_of(folder, instance))


@pytest.fixture(scope="module")
def jobs(
    account: Account, instance: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """A job that runs, one that has ended and one that gets no pod, made with all rights."""
    owner = spawner_of(account.kubeconfig(), tmp_path_factory.mktemp("owner"), instance)
    made = SimpleNamespace(live="live", done="done", stuck="stuck", talks="talks")
    for job, fields in (
        (made.live, {"command": SLEEPER}),
        (made.talks, {"command": ("sh", "-c", "echo ready; exec sleep 3600")}),
        (made.done, {"command": ("true",)}),
        (made.stuck, {"command": SLEEPER, "security": Security.BASELINE}),
    ):
        owner.spawn(asked(instance, job, **fields))

    def delete_pod_of(job_id: str) -> None:
        mine = f"spawnery.dev/instance={instance},spawnery.dev/job-id={job_id}"
        account.kubectl("delete", "pod", "-n", account.namespace, "-l", mine, "--grace-period=1")

    made.delete_pod_of = delete_pod_of
    eventually(lambda: state(owner, made.live) is JobState.RUNNING)
    eventually(lambda: state(owner, made.talks) is JobState.RUNNING)
    eventually(lambda: state(owner, made.done) is JobState.SUCCEEDED)
    yield made
    owner.close()


def asked(instance: str, job_id: str, *, secret: bool = False, **fields: object) -> object:
    """Return a request of a small job."""
    return request_of(
        instance=instance,
        name=f"{instance}-{job_id}",
        job_id=job_id,
        image=BUSYBOX,
        retention_seconds=600,
        secrets={"WORD": Secret("swordfish")} if secret else None,
        **fields,
    )


def state(spawner: KubernetesSpawner, job_id: str) -> JobState | None:
    """Return the state of a job."""
    status = spawner.status(job_id)
    return status and status.state


class Uses:
    """What a person does who lacks a right, for each of them.

    Args:
        spawner: Of an account that lacks it.
        jobs: There already.
        instance: Their owner.
    """

    def __init__(self, spawner: KubernetesSpawner, jobs: SimpleNamespace, instance: str) -> None:
        self.spawner = spawner
        self.jobs = jobs
        self.instance = instance

    def spawn(self) -> None:
        """Spawn a job."""
        self.spawner.spawn(asked(self.instance, "more", command=SLEEPER))

    def spawn_with_secret(self) -> None:
        """Spawn a job that has a secret."""
        self.spawner.spawn(asked(self.instance, "secret", command=SLEEPER, secret=True))

    def status(self) -> None:
        """Look at a job that runs."""
        self.spawner.status(self.jobs.live)

    def status_of_stuck(self) -> None:
        """Look at a job that gets no pod."""
        self.spawner.status(self.jobs.stuck)

    def list(self) -> None:
        """List all jobs."""
        self.spawner.list_jobs()

    def watch(self) -> None:
        """Follow all jobs."""
        with self.spawner.watch(WatchRequest()) as stream:
            for _event in stream:
                pass

    def logs(self) -> None:
        """Read the log of a job that has ended."""
        with self.spawner.logs(self._log_of(self.jobs.done)) as chunks:
            for _chunk in chunks:
                pass

    def logs_to_the_end(self) -> None:
        """Follow the log of a job whose pod somebody deletes meanwhile."""
        with self.spawner.logs(self._log_of(self.jobs.talks)) as chunks:
            next(iter(chunks))
            self.jobs.delete_pod_of(self.jobs.talks)
            for _chunk in chunks:
                pass

    def _log_of(self, job_id: str) -> LogsRequest:
        return LogsRequest(
            job_id=job_id,
            name=f"{self.instance}-{job_id}",
            follow=True,
            deadline=Deadline.after(PATIENCE),
        )

    def stop(self) -> None:
        """Stop a job."""
        self.spawner.stop(
            StopRequest(
                job_id=self.jobs.live,
                name=f"{self.instance}-{self.jobs.live}",
                reason="stop",
                grace_seconds=1,
                deadline=Deadline.after(PATIENCE),
            )
        )

    def remove(self) -> None:
        """Remove a job."""
        self.spawner.remove(
            RemoveRequest(
                job_id=self.jobs.done,
                name=f"{self.instance}-{self.jobs.done}",
                deadline=Deadline.after(PATIENCE),
            )
        )


USES: dict[str, Callable[[Uses], None]] = {
    "create jobs": Uses.spawn,
    "get jobs": Uses.status,
    "list jobs": Uses.list,
    "watch jobs": Uses.watch,
    "delete jobs": Uses.remove,
    "patch jobs": Uses.stop,
    "get pods": Uses.logs_to_the_end,
    "list pods": Uses.list,
    "watch pods": Uses.watch,
    "delete pods": Uses.stop,
    "get pods/log": Uses.logs,
    "list events": Uses.status_of_stuck,
    "create secrets": Uses.spawn_with_secret,
}


def rights_item(spawner: KubernetesSpawner) -> CheckItem:
    """Return what the doctor says of our rights."""
    return next(item for item in spawner.check() if item.name == "rights")


@pytest.mark.parametrize("right", rights_of(SPAWNER_RULES), ids=str)
def test_each_right_is_needed(
    account: Account, jobs: SimpleNamespace, instance: str, tmp_path: Path, right: Right
) -> None:
    """Without one right its use fails in words that name it, and check prints its rule."""
    name = f"no-{right}".replace(" ", "-").replace("/", "-")
    account.clone(name, without(SPAWNER_RULES, right))
    spawner = spawner_of(account.kubeconfig(name), tmp_path, instance)
    missing = f"in {account.namespace} we may not: {right}"
    # The API server learns of a new Role a moment later.
    eventually(lambda: rights_item(spawner).detail == missing)
    item = rights_item(spawner)
    rule = [{"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}]
    assert item.level == "failed"
    assert yaml.safe_load((item.hint or "").partition("\n")[2]) == rule
    with pytest.raises((EngineDenied, StreamLost)) as caught:
        USES[str(right)](Uses(spawner, jobs, instance))
    spawner.close()
    assert f'cannot {right.verb} resource "{right.resource}"' in caught.value.message
    assert f'in the namespace "{account.namespace}"' in caught.value.message
    if isinstance(caught.value, EngineDenied):
        assert yaml.safe_load((caught.value.hint or "").partition("\n")[2]) == rule
    else:
        assert right.resource == "pods", "only in the middle of a log it may be a lost stream"


# -- as a person sees it ---------------------------------------------------------------------


def test_check_with_a_probe(case: KubeCase) -> None:
    """``spawnery check --probe`` runs a job with these rights and leaves nothing."""
    done = case.cli("check", "--probe", "--image", BUSYBOX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ran and succeeded" in done.stdout
    eventually(lambda: not case.objects())


def test_check_prints_the_rule(case: KubeCase, account: Account) -> None:
    """A person sees the missing rule as YAML to paste, at the end of a line where lines are short
    of breaks."""
    account.clone("unable", without(SPAWNER_RULES, Right("batch", "jobs", "create")))
    path = account.kubeconfig("unable")
    lacking = "we may not: create jobs"

    def told() -> str:
        return case.cli("check", SPAWNERY_KUBERNETES_KUBECONFIG=path).stdout

    shown = eventually(lambda: text if lacking in (text := told()) else "")
    (rule,) = [line.partition("- {")[2] for line in shown.splitlines() if lacking in line]
    assert yaml.safe_load("{" + rule) == {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["create"],
    }
