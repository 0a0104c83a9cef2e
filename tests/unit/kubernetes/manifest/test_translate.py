"""From a request to its Job."""

from __future__ import annotations

import pytest
from kube_request import HASH, request_of
from spawnery.errors import InvalidSpec
from spawnery.model import PullPolicy, Resources, Secret, SecretRef, Security
from spawnery_kubernetes.options import KubernetesOptions
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import job_of, refuse


def job(settings=None, **fields):
    asked = request_of(**fields)
    refuse(asked, settings or KubernetesSettings())
    return job_of(asked, settings or KubernetesSettings(), namespace="ns", secret="the-secret")


def pod(**fields):
    return job(**fields)["spec"]["template"]["spec"]


def container(**fields):
    (found,) = pod(**fields)["containers"]
    return found


def env(**fields):
    return {
        item["name"]: item.get("value", item.get("valueFrom"))
        for item in container(**fields)["env"]
    }


def test_who_the_job_is():
    """Name, namespace, labels for finding it, and annotations for whoever finds it."""
    meta = job(labels={"team": "red"}, deadline_seconds=90, retention_seconds=5)["metadata"]
    assert (meta["name"], meta["namespace"]) == ("agentsmith-j1", "ns")
    assert meta["labels"] == {
        "team": "red",
        "spawnery.dev/instance": "me",
        "spawnery.dev/job-id": "j1",
        "spawnery.dev/spec-hash": HASH,
        "spawnery.dev/record-id": "r1",
        "spawnery.dev/deadline-seconds": "90.000",
        "spawnery.dev/retention-seconds": "5.000",
    }
    assert meta["annotations"]["spawnery.dev/spec-hash"] == HASH
    assert meta["annotations"]["spawnery.dev/instance"] == "me"


def test_the_pod_is_found_by_the_same_labels():
    """And by those of the job itself, so that a network policy can pick it."""
    labels = job(labels={"team": "red"})["spec"]["template"]["metadata"]["labels"]
    assert labels == {"team": "red", "spawnery.dev/instance": "me", "spawnery.dev/job-id": "j1"}


def test_it_runs_once():
    """No second try, no second pod beside one that ends, no restart in the pod."""
    spec = job()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "activeDeadlineSeconds" not in spec


@pytest.mark.parametrize(("seconds", "whole"), [(0.2, 1), (1.0, 1), (90.5, 91)])
def test_a_deadline_in_whole_seconds(seconds, whole):
    """Kubernetes knows no fractions: the job is not ended early."""
    assert job(deadline_seconds=seconds)["spec"]["activeDeadlineSeconds"] == whole


@pytest.mark.parametrize(("retention", "ttl"), [(0, 900), (60, 900), (3600.5, 3601)])
def test_the_cluster_keeps_the_job_long_enough(retention, ttl):
    """As long as it is to be kept, and never shorter than it takes to read how it ended."""
    assert job(retention_seconds=retention)["spec"]["ttlSecondsAfterFinished"] == ttl


def test_restricted_is_the_default():
    """The fields of the Pod Security Standard, a user other than root, writable home and /tmp."""
    found = pod()
    assert found["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    own = found["containers"][0]
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert own["workingDir"] == "/home/job"
    assert {m["mountPath"]: m["name"] for m in own["volumeMounts"]} == {
        "/home/job": "home",
        "/tmp": "tmp",
    }
    assert [set(v) for v in found["volumes"]] == [{"name", "emptyDir"}] * 2
    assert found["volumes"][0]["emptyDir"] == {"sizeLimit": "1073741824"}
    assert job()["metadata"]["annotations"]["spawnery.dev/replaced-user"] == "65532:65532"


def test_baseline_has_the_images_own_user():
    """And the engine's default capabilities; new privileges and the host are out all the same."""
    found = pod(security=Security.BASELINE)
    assert found["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert found["containers"][0]["securityContext"] == {"allowPrivilegeEscalation": False}
    assert "volumes" not in found
    assert "workingDir" not in found["containers"][0]
    assert "HOME" not in env(security=Security.BASELINE)


@pytest.mark.parametrize("security", list(Security))
def test_no_job_gets_the_cluster(security):
    """No token, no addresses of services among its variables, no namespace of the node."""
    found = pod(security=security)
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(found)


def test_a_user_of_its_own():
    """With the group that is named, and no note that the profile had put one in."""
    assert pod(user="1000")["securityContext"]["runAsUser"] == 1000
    assert "runAsGroup" not in pod(user="1000")["securityContext"]
    assert pod(user="1000:2000")["securityContext"]["runAsGroup"] == 2000
    assert "spawnery.dev/replaced-user" not in job(user="1000")["metadata"]["annotations"]


@pytest.mark.parametrize("user", ["nobody", "1000:users", "4294967296", "-1"])
def test_a_user_by_name_is_refused(user):
    """Kubernetes takes numbers only."""
    with pytest.raises(InvalidSpec) as caught:
        job(user=user)
    assert caught.value.field == "user"
    assert caught.value.hint


def test_root_is_for_baseline():
    """A restricted job that asks for root is told the way out."""
    with pytest.raises(InvalidSpec) as caught:
        job(user="0")
    assert "baseline" in str(caught.value.hint)
    assert pod(user="0", security=Security.BASELINE)["securityContext"]["runAsUser"] == 0


def test_default_resources():
    """Those of every engine."""
    assert container()["resources"] == {
        "requests": {"memory": "512Mi", "cpu": "250m"},
        "limits": {"memory": "1Gi", "cpu": "1000m"},
    }


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        ({"memory_limit": "64Mi"}, {"memory": "64Mi", "cpu": "250m"}, {"memory": "64Mi"}),
        ({"memory_request": "2Gi"}, {"memory": "2Gi"}, {"memory": "2Gi", "cpu": "1000m"}),
        ({"cpu_limit": "0.1"}, {"cpu": "0.1"}, {"cpu": "0.1"}),
        ({"cpu_request": "3"}, {"cpu": "3"}, {"cpu": "3"}),
        ({"ephemeral_storage": "1Gi"}, {"ephemeral-storage": "1Gi"}, {"ephemeral-storage": "1Gi"}),
        ({"gpus": 2}, {"memory": "512Mi"}, {"nvidia.com/gpu": "2"}),
    ],
)
def test_a_default_never_contradicts_what_is_set(asked, requests, limits):
    """A request above its limit would be refused."""
    found = container(resources=Resources(**asked))["resources"]
    assert found["requests"] | requests == found["requests"]
    assert found["limits"] | limits == found["limits"]


def test_text_stays_as_it_is():
    """The kubelet would replace $(NAME), and $$ by $."""
    found = container(command=("sh", "-c", "echo $$ $(date)"), args=("$5",), env={"A": "$(B)"})
    assert found["command"] == ["sh", "-c", "echo $$$$ $$(date)"]
    assert found["args"] == ["$$5"]
    assert {"name": "A", "value": "$$(B)"} in found["env"]


def test_an_image_without_command_runs_its_own():
    """Absent fields are absent."""
    assert not {"command", "args"} & set(container())


def test_secrets_are_references():
    """To the job's own Secret for values, to the named one for the cluster's; never a value."""
    secrets = {
        "TOKEN": Secret("hidden-value"),
        "KEY": SecretRef.engine("existing", "k"),
        "MAYBE": SecretRef.engine("existing", "m", optional=True),
    }
    found = env(secrets=secrets)
    assert found["TOKEN"] == {"secretKeyRef": {"name": "the-secret", "key": "TOKEN"}}
    assert found["KEY"] == {"secretKeyRef": {"name": "existing", "key": "k"}}
    assert found["MAYBE"]["secretKeyRef"]["optional"] is True
    made = job(secrets=secrets)
    assert "hidden-value" not in repr(made)
    assert made["metadata"]["annotations"]["spawnery.dev/secrets"] == "the-secret"
    assert made["metadata"]["annotations"]["spawnery.dev/secret-env"] == "KEY,MAYBE,TOKEN"


def test_no_secret_of_its_own_without_values():
    """Nobody waits for a Secret that will not come."""
    notes = job(secrets={"KEY": SecretRef.engine("existing", "k")})["metadata"]["annotations"]
    assert "spawnery.dev/secrets" not in notes


def test_home_is_the_jobs_own_where_it_says_so():
    """One variable, one value."""
    assert env()["HOME"] == "/home/job"
    assert env(env={"HOME": "/elsewhere"})["HOME"] == "/elsewhere"


@pytest.mark.parametrize(
    ("asked", "setting", "policy"),
    [
        (None, "if-not-present", "IfNotPresent"),
        (None, "never", "Never"),
        (PullPolicy.ALWAYS, "never", "Always"),
    ],
)
def test_pull_policy(asked, setting, policy):
    """The job's own, else the operator's; never Kubernetes' guess by the tag."""
    settings = KubernetesSettings(pull_policy=setting)
    assert container(pull_policy=asked, settings=settings)["imagePullPolicy"] == policy


def test_settings_of_the_operator():
    """Account and pull secrets of all jobs."""
    settings = KubernetesSettings(
        service_account="jobs", image_pull_secrets=("one", "two"), ttl_seconds=60
    )
    found = pod(settings=settings)
    assert found["serviceAccountName"] == "jobs"
    assert found["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert job(settings=settings)["spec"]["ttlSecondsAfterFinished"] == 60


def test_options_are_applied():
    """And the security floor is held on the result."""
    settings = KubernetesSettings(allow_patch=True)
    found = job(options=KubernetesOptions(queue="team"), settings=settings)
    assert found["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert found["spec"]["suspend"] is True
    patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    with pytest.raises(InvalidSpec):
        job(options=KubernetesOptions(patch=patch), settings=settings)


def test_a_patch_needs_the_operators_permission():
    """Refused by name."""
    with pytest.raises(InvalidSpec) as caught:
        job(options=KubernetesOptions(patch={"spec": {"suspend": True}}))
    assert caught.value.field == "options.kubernetes.patch"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image": None}, "image"),
        ({"env": {"BIG": "x" * 131_072}}, "env.BIG"),
        ({"secrets": {"BIG": Secret("x" * 131_072)}}, "secrets.BIG"),
        ({"labels": {"job-name": "x"}}, "labels.job-name"),
        ({"labels": {"batch.kubernetes.io/job-name": "x"}}, "labels.batch.kubernetes.io/job-name"),
    ],
)
def test_what_the_cluster_would_refuse_late(fields, field):
    """It is refused here, by the name of the field."""
    with pytest.raises(InvalidSpec) as caught:
        job(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({"user": "1000"}, 1000),
        ({"user": "1000:2000"}, 2000),
        ({"user": "0", "security": Security.BASELINE}, None),
        ({"security": Security.BASELINE}, None),
    ],
)
def test_volumes_belong_to_the_user(fields, group):
    """Who is not root may write to volumes, by a group of theirs."""
    assert pod(**fields)["securityContext"].get("fsGroup") == group


def test_a_user_that_the_cluster_chooses():
    """Neither user nor groups are set, and nothing is said of a user that was replaced; one that
    the job names stays."""
    request = request_of()
    made = job_of(request, KubernetesSettings(), namespace="n", secret="s", cluster_user=True)
    context = made["spec"]["template"]["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert "spawnery.dev/replaced-user" not in made["metadata"]["annotations"]
    named = request_of(user="7")
    made = job_of(named, KubernetesSettings(), namespace="n", secret="s", cluster_user=True)
    assert made["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 7
