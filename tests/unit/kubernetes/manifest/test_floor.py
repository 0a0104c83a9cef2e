"""What a patch cannot take from a Job, by place; what is harmless passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kube_hostile import HARMLESS, HOSTILE, HOSTILE_RESTRICTED, STRICTER
from kube_manifest import job_manifest, options_of, patch_of, pod_of
from kube_request import request_of
from spawnery.errors import InvalidSpec
from spawnery.model import Secret, Security
from spawnery_kubernetes.manifest.containers import Part
from spawnery_kubernetes.manifest.patch import apply_options
from spawnery_kubernetes.manifest.security_checks import hold_confinement
from spawnery_kubernetes.manifest.security_floor import hold_floor
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import job_of

POD = "options.kubernetes.patch.spec.template.spec"
REFUSED = HOSTILE | HOSTILE_RESTRICTED | STRICTER
BASELINE = {
    # of what the restricted profile refuses, the baseline one takes this
    "root",
    "root for the pod",
    "perhaps root",
    "perhaps root, unsaid",
    "perhaps root for the pod",
    "the engine's capabilities",
    "some of them",
    "one of them",
    "an init container that may be root",
    "a sidecar with capabilities",
    "a low port",
}


def hold(patch: dict[str, Any], *, restricted: bool = True, **options: Any) -> None:
    """Apply a patch and hold the floor."""
    base = job_manifest(restricted=restricted)
    job = apply_options(base, options_of(patch=patch, **options))
    hold_floor(job, base=base, restricted=restricted)


def place_of(patch: dict[str, Any], *, restricted: bool = True) -> str:
    """Return the place that is named when the patch is refused."""
    with pytest.raises(InvalidSpec) as caught:
        hold(patch, restricted=restricted)
    place = caught.value.field or ""
    assert caught.value.message.startswith(f"{place}: ")
    return place


@pytest.mark.parametrize(("pod", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_beyond_restricted(pod: dict[str, Any], place: str) -> None:
    """What reaches beyond the restricted profile is refused, and its place is named."""
    assert place_of(patch_of(**pod)) == f"{POD}.{place}"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_beyond_baseline(name: str) -> None:
    """The baseline profile takes root and the engine's capabilities, and nothing of the host."""
    pod, place = REFUSED[name]
    if name in BASELINE:
        hold(patch_of(**pod), restricted=False)
    else:
        assert place_of(patch_of(**pod), restricted=False) == f"{POD}.{place}"


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("pod", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless(pod: dict[str, Any], restricted: bool) -> None:
    """What gives a job nothing of the host is taken in both profiles."""
    hold(patch_of(**pod), restricted=restricted)


@pytest.mark.parametrize("security", list(Security))
def test_what_is_made_of_a_request(security: Security) -> None:
    """The manifest that options are applied to is confined itself, in both profiles."""
    request = request_of(security=security, secrets={"WORD": Secret("swordfish")}, user="1000")
    job = job_of(request, KubernetesSettings(), namespace="ns", secret="s")
    hold_confinement(Part(pod_of(job), "pod"), restricted=security is Security.RESTRICTED)


def test_every_option_passes() -> None:
    """No option alone can go below the floor."""
    hold(
        {},
        node_selector={"pool": "a"},
        tolerations=[{"operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        runtime_class="gvisor",
        priority_class="low",
        service_account="agents",
        annotations={"example.com/a": "b"},
        volumes={"/tmp": {"emptyDir": {}}},
        image_pull_secrets=["registry"],
        queue="team-a",
    )


OURS = [
    # patch of the Job, the place that is named behind options.kubernetes.patch
    ({"kind": "CronJob"}, "kind"),
    ({"apiVersion": "batch/v2"}, "apiVersion"),
    ({"status": {"succeeded": 1}}, "status"),
    ({"metadata": {"name": "other"}}, "metadata.name"),
    ({"metadata": {"generateName": "other-"}}, "metadata.generateName"),
    ({"metadata": {"namespace": "kube-system"}}, "metadata.namespace"),
    ({"metadata": {"finalizers": ["example.com/stay"]}}, "metadata.finalizers"),
    ({"metadata": {"ownerReferences": []}}, "metadata.ownerReferences"),
    ({"metadata": {"labels": None}}, "metadata.labels.spawnery.dev/instance"),
    ({"metadata": {"labels": {"team": "blue"}}}, "metadata.labels.team"),
    (
        {"metadata": {"labels": {"spawnery.dev/job-id": "j2"}}},
        "metadata.labels.spawnery.dev/job-id",
    ),
    ({"metadata": {"labels": {"spawnery.dev/new": "x"}}}, "metadata.labels"),
    (
        {"metadata": {"annotations": {"spawnery.dev/spec-hash": None}}},
        "metadata.annotations.spawnery.dev/spec-hash",
    ),
    ({"metadata": {"annotations": {"spawnery.dev/stopped": "stop"}}}, "metadata.annotations"),
    ({"metadata": "x"}, "metadata"),
    ({"metadata": {"labels": ["x"]}}, "metadata.labels"),
    ({"spec": None}, "spec.activeDeadlineSeconds"),
    ({"spec": {"backoffLimit": 3}}, "spec.backoffLimit"),
    ({"spec": {"backoffLimit": None}}, "spec.backoffLimit"),
    ({"spec": {"completions": 2}}, "spec.completions"),
    ({"spec": {"parallelism": 0}}, "spec.parallelism"),
    ({"spec": {"podReplacementPolicy": "TerminatingOrFailed"}}, "spec.podReplacementPolicy"),
    ({"spec": {"podFailurePolicy": {"rules": []}}}, "spec.podFailurePolicy"),
    ({"spec": {"completionMode": "Indexed"}}, "spec.completionMode"),
    ({"spec": {"manualSelector": True}}, "spec.manualSelector"),
    ({"spec": {"managedBy": "example.com/other"}}, "spec.managedBy"),
    ({"spec": {"ttlSecondsAfterFinished": 0}}, "spec.ttlSecondsAfterFinished"),
    ({"spec": {"activeDeadlineSeconds": None}}, "spec.activeDeadlineSeconds"),
    ({"spec": {"template": None}}, "spec.template.metadata.labels.spawnery.dev/instance"),
    (
        {"spec": {"template": {"metadata": {"labels": {"spawnery.dev/instance": "x"}}}}},
        "spec.template.metadata.labels.spawnery.dev/instance",
    ),
    (
        {"spec": {"template": {"metadata": {"finalizers": ["example.com/stay"]}}}},
        "spec.template.metadata.finalizers",
    ),
    (
        {
            "spec": {
                "template": {
                    "metadata": {
                        "annotations": {
                            "container.apparmor.security.beta.kubernetes.io/job": "unconfined"
                        }
                    }
                }
            }
        },
        "spec.template.metadata.annotations.container.apparmor.security.beta.kubernetes.io/job",
    ),
    (patch_of(restartPolicy="OnFailure"), "spec.template.spec.restartPolicy"),
    (patch_of(activeDeadlineSeconds=5), "spec.template.spec.activeDeadlineSeconds"),
    (
        patch_of(terminationGracePeriodSeconds=9999),
        "spec.template.spec.terminationGracePeriodSeconds",
    ),
    (patch_of(containers=None), "spec.template.spec.containers"),
    (patch_of(containers="job"), "spec.template.spec.containers"),
    (patch_of(securityContext="none"), "spec.template.spec.securityContext"),
    (patch_of(volumes={"name": "v"}), "spec.template.spec.volumes"),
    (
        patch_of(ephemeralContainers=[{"name": "e"}]),
        "spec.template.spec.ephemeralContainers[e].securityContext.allowPrivilegeEscalation",
    ),
    (patch_of(volumes=[{"name": "v"}]), "spec.template.spec.volumes[v]"),
]
CONTAINER = [
    # field of the job's container, value, the place that is named behind containers[job]
    ("image", "other", "image"),
    ("image", None, "image"),
    ("imagePullPolicy", "Always", "imagePullPolicy"),
    ("command", ["other"], "command"),
    ("args", None, "args"),
    ("workingDir", "/", "workingDir"),
    ("restartPolicy", "Always", "restartPolicy"),
    ("restartPolicyRules", [{"action": "Restart"}], "restartPolicyRules"),
    ("env", [{"name": "JOB_ID", "value": "j2"}], "env[JOB_ID]"),
    ("env", [{"name": "TOKEN", "value": "plain"}], "env[TOKEN]"),
    ("env", None, "env[JOB_ID]"),
    ("env", "none", "env"),
    ("securityContext", [], "securityContext"),
    (
        "securityContext",
        {"windowsOptions": {"hostProcess": True}},
        "securityContext.windowsOptions.hostProcess",
    ),
    ("securityContext", {"capabilities": {"add": "ALL"}}, "securityContext.capabilities.add"),
]


@pytest.mark.parametrize(("patch", "place"), OURS)
def test_ours_stays(patch: dict[str, Any], place: str) -> None:
    """What names and bounds a job and makes it ours is as it was, or the patch is refused."""
    assert place_of(patch) == f"options.kubernetes.patch.{place}"


@pytest.mark.parametrize(("field", "value", "place"), CONTAINER)
def test_what_the_spec_says_stays(field: str, value: Any, place: str) -> None:
    """What the job's own spec says of its container is as it was, or the patch is refused."""
    patch = patch_of(containers=[{"name": "job", field: value}])
    assert place_of(patch) == f"{POD}.containers[job].{place}"


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID", "hostIPC"])
@pytest.mark.parametrize("value", [1, 0, "false", "true", [], {}])
def test_values_that_only_look_false(field: str, value: Any) -> None:
    """A switch has to be false; what a server might read in another way is refused."""
    assert place_of(patch_of(**{field: value})) == f"{POD}.{field}"


@pytest.mark.parametrize("value", [0, 1, "false", "no", [], {}])
def test_escalation_that_only_looks_false(value: Any) -> None:
    """So is what stands for new privileges."""
    patch = patch_of(
        containers=[{"name": "job", "securityContext": {"allowPrivilegeEscalation": value}}]
    )
    place = f"{POD}.containers[job].securityContext.allowPrivilegeEscalation"
    assert place_of(patch) == place


def test_more_labels_are_taken() -> None:
    """Labels and annotations that are nobody's come beside those that are ours."""
    more = {
        "labels": {"kueue.x-k8s.io/priority-class": "low"},
        "annotations": {"example.com/a": "b"},
    }
    hold({"metadata": more, "spec": {"suspend": True, "template": {"metadata": more}}})


def test_a_pod_need_not_say_what_its_container_says() -> None:
    """A profile of seccomp of the container's own is enough: the pod's may be taken away."""
    hold(patch_of(**HARMLESS[OWN_SECCOMP] | REFUSED[POD_SECCOMP][0]))


OWN_SECCOMP, POD_SECCOMP = "a profile of seccomp", "seccomp unsaid"
harmless = st.lists(st.sampled_from(sorted(HARMLESS)), max_size=3, unique=True)


@given(before=harmless, hostile=st.sampled_from(sorted(REFUSED)), as_patch=st.booleans())
def test_hostile_among_harmless(before: list[str], hostile: str, as_patch: bool) -> None:
    """Nothing that is harmless hides what is not: not in the manifest, not in the same patch."""
    assume(hostile != POD_SECCOMP or OWN_SECCOMP not in before)  # see the test above
    base = job_manifest()
    job: Any = base
    for name in before:
        job = apply_options(job, options_of(patch=patch_of(**HARMLESS[name])))
    hold_floor(job, base=base, restricted=True)
    pod, _ = REFUSED[hostile]
    if as_patch:
        for name in before:
            pod = HARMLESS[name] | pod
    job = apply_options(job, options_of(patch=patch_of(**pod)))
    with pytest.raises(InvalidSpec):
        hold_floor(job, base=base, restricted=True)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from(["", "ALL", "job"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "add", "drop", "securityContext", "capabilities", "env"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
PLACES = [
    "volumes",
    "containers",
    "initContainers",
    "securityContext",
    "hostNetwork",
    "tolerations",
]


@given(pod=st.dictionaries(st.sampled_from(PLACES), junk))
def test_junk_is_refused_or_harmless(pod: dict[str, Any]) -> None:
    """Whatever a patch is made of, the answer is a refusal in words or a Job that is confined."""
    try:
        job = apply_options(job_manifest(), options_of(patch=patch_of(**pod)))
        hold_floor(job, base=job_manifest(), restricted=True)
    except InvalidSpec as error:
        refused = error.field or ""
    else:
        refused = None
    assert refused is None or refused.startswith(POD)
    if refused is not None:
        return
    found = job["spec"]["template"]["spec"]
    assert found.get("hostNetwork") in {None, False}
    assert "job" in [item["name"] for item in found["containers"]]
    for container in [*found["containers"], *found.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert "ALL" in context["capabilities"]["drop"]
