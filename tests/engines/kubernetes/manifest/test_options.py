"""What options.kubernetes and a patch do to jobs on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kube_case import PATIENCE, KubeCase, eventually, output, sh
from kubectl import Kubectl
from spawnery.errors import InvalidSpec, SpawnFailed
from spawnery.model import JobState
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("kubernetes")


@pytest.fixture
def spawner(case: KubeCase) -> Iterator[Spawner]:
    """A spawner whose operator allows patches."""
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as made:
        yield made


def options(**given: Any) -> dict[str, Any]:
    """Return the options of a spec."""
    return {"kubernetes": given}


def patch(**pod: Any) -> dict[str, Any]:
    """Return the options with a patch of the pod."""
    return options(patch={"spec": {"template": {"spec": pod}}})


def test_options_are_read_back(case: KubeCase, spawner: Spawner, kubectl: Kubectl) -> None:
    """The pod that runs has each option, and nothing of the security profile is lost."""
    node = kubectl.get("nodes")["items"][0]["metadata"]["labels"]["kubernetes.io/hostname"]
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "agents", "namespace": case.namespace},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "words", "namespace": case.namespace},
            "data": {"word": "swordfish"},
        },
    )
    given = options(
        node_selector={"kubernetes.io/hostname": node},
        tolerations=[{"key": "spawnery.dev-test", "operator": "Exists", "effect": "NoSchedule"}],
        affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        service_account="agents",
        annotations={"example.com/owner": "red"},
        volumes={
            "/etc/words": {"configMap": {"name": "words"}},
            "/tmp": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        },
        image_pull_secrets=["registry"],
    )
    script = (
        "cat /etc/words/word; echo; grep ' /tmp ' /proc/mounts; ls /var/run/secrets 2>&1 || true"
    )
    job = sh(script, options=given, retention_seconds=600)
    text = output(spawner, job)
    assert text.startswith("swordfish\ntmpfs /tmp ")
    assert "No such file" in text, "a token is mounted"
    pod = case.pods(job.job_id)[0]
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": node}
    assert "spawnery.dev-test" in [item.get("key") for item in pod["spec"]["tolerations"]]
    assert "podAntiAffinity" in pod["spec"]["affinity"]
    assert pod["spec"]["serviceAccountName"] == "agents"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["metadata"]["annotations"]["example.com/owner"] == "red"
    assert case.job(job.job_id)["metadata"]["annotations"]["example.com/owner"] == "red"
    context = pod["spec"]["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_classes(case: KubeCase, spawner: Spawner) -> None:
    """A runtime or priority class is passed on: the cluster refuses one that it does not know."""
    for given in (options(runtime_class="sp-none"), options(priority_class="sp-none")):
        job = spawner.spawn(sh("true", options=given)).job_id
        eventually(lambda job=job: "sp-none" in (spawner.status(job).message or ""))
        spawner.stop(job)
    eventually(lambda: not case.objects())


def test_a_patch(case: KubeCase, spawner: Spawner) -> None:
    """A sidecar and a name in /etc/hosts come by a patch; the job's own end is its outcome."""
    side = {
        "name": "side",
        "image": sh("").image,
        "command": ["sh", "-c", "echo from the side > /shared/word; exec sleep 3600"],
        "restartPolicy": "Always",
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    given = patch(
        hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db.test"]}],
        volumes=[{"name": "shared", "emptyDir": {}}],
        initContainers=[side],
        containers=[
            {
                "name": "job",
                "env": [{"name": "MORE", "value": "1"}],
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
            }
        ],
    )
    script = (
        "until [ -s /shared/word ]; do sleep 0.1; done; cat /shared/word; grep db.test /etc/hosts;"
        " echo $MORE $JOB_ID; exit 3"
    )
    job = sh(script, options=given, retention_seconds=600)
    spawner.spawn(job, follow=True)
    with spawner.logs(job.job_id, follow=True) as chunks:
        text = b"".join(chunk.data for chunk in chunks).decode()
    assert text.split() == ["from", "the", "side", "192.0.2.7", "db.test", "1", job.job_id]
    outcome = spawner.wait(job.job_id, PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
    pod = case.pods(job.job_id)[0]["spec"]
    assert pod["initContainers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


REFUSED = [
    # options, the field that is named
    (options(node_selecter={}), "options.kubernetes.node_selecter"),
    (
        options(volumes={"/host": {"hostPath": {"path": "/"}}}),
        "options.kubernetes.volumes./host.hostPath",
    ),
    (patch(hostNetwork=True), "options.kubernetes.patch.spec.template.spec.hostNetwork"),
    (options(patch={"spec": {"backoffLimit": 6}}), "options.kubernetes.patch.spec.backoffLimit"),
]


@pytest.mark.parametrize(("given", "field"), REFUSED)
def test_refused(case: KubeCase, spawner: Spawner, given: dict[str, Any], field: str) -> None:
    """What goes below the floor is refused by its place before anything is created."""
    job = sh("true", options=given)
    for verb in (spawner.spawn, spawner.plan):
        with pytest.raises(InvalidSpec) as caught:
            verb(job)
        assert caught.value.field == field
    assert case.objects() == set()


def test_a_patch_that_nobody_allowed(case: KubeCase) -> None:
    """By default a patch is refused, and who may allow it is told how."""
    with case.open() as spawner, pytest.raises(InvalidSpec) as caught:
        spawner.spawn(sh("true", options=patch(hostname="agent")))
    assert caught.value.field == "options.kubernetes.patch"
    assert "SPAWNERY_KUBERNETES_ALLOW_PATCH=1" in (caught.value.hint or "")
    assert case.objects() == set()


def test_a_mistyped_field(case: KubeCase, spawner: Spawner) -> None:
    """A field of a patch that the cluster does not know is refused, not dropped in silence."""
    job = sh("true", options=patch(hostAliasses=[]))
    with pytest.raises(SpawnFailed) as caught:
        spawner.spawn(job)
    assert caught.value.cause == "spec.invalid"
    assert "hostAliasses" in caught.value.message
    assert any(
        "hostAliasses" in problem for problem in spawner.plan(job, validate=True).plan.problems
    )
    assert case.objects() == set()


def test_a_volume_that_the_job_may_write_to(case: KubeCase) -> None:
    """The user of the profile restricted, and one that the job names, may write to a volume
    that belongs to root otherwise."""
    volume = {"name": "cache", "emptyDir": {}}
    mount = {"name": "cache", "mountPath": "/cache"}
    container = {"name": "job", "volumeMounts": [mount]}
    patch = {"spec": {"template": {"spec": {"volumes": [volume], "containers": [container]}}}}
    script = "touch /cache/f && stat -c %g /cache"
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner:
        for user, group in ((None, "65532"), ("1000", "1000"), ("1000:2000", "2000")):
            spec = sh(script, user=user, options={"kubernetes": {"patch": patch}})
            assert output(spawner, spec).strip() == group
