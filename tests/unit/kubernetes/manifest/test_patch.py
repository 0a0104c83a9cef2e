"""What options and a patch make of a Job: by table, and by the rules that hold for any patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube_manifest import job_manifest, options_of, patch_of, pod_of
from spawnery.errors import InvalidSpec
from spawnery_kubernetes.manifest.patch import QUEUE_LABEL, apply_options

RFC_7396 = [
    # target, patch, result: appendix A of the RFC, where both are mappings
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def patched(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return what a patch makes of an affinity, a part that has no rules of its own."""
    job = job_manifest()
    pod_of(job)["affinity"] = target
    found: dict[str, Any] = pod_of(
        apply_options(job, options_of(patch=patch_of(affinity=patch)))
    ).get("affinity", {})
    return found


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_the_examples_of_the_rfc(
    target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    """A patch does what RFC 7396 says."""
    assert patched(target, patch) == result


A1, A2 = {"name": "A", "value": "1"}, {"name": "A", "value": "2"}
B1 = {"name": "B", "value": "1"}
FROM = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
TAINT = {"key": "t", "operator": "Equal", "value": "v", "effect": "NoExecute"}
LISTS = [
    # list, before, patch, after
    ("env", [A1], [B1], [A1, B1]),
    ("env", [A1, B1], [A2], [A2, B1]),
    ("env", [A1], [FROM], [FROM]),
    ("env", None, [A1], [A1]),
    ("env", [A1], [], [A1]),
    (
        "volumes",
        [{"name": "a", "emptyDir": {"medium": "Memory"}}],
        [{"name": "a", "csi": {}}],
        None,
    ),
    ("volumes", [{"name": "a", "csi": {}}], [{"name": "b", "csi": {}}], ["a", "b"]),
    (
        "volumeMounts",
        [{"name": "tmp", "mountPath": "/tmp", "subPath": "x"}],
        [{"name": "big", "mountPath": "/tmp"}],
        None,
    ),
    ("imagePullSecrets", [{"name": "a"}], [{"name": "b"}, {"name": "a"}], ["a", "b"]),
    ("tolerations", [TAINT], [TAINT | {"tolerationSeconds": 5}], None),
    ("tolerations", [TAINT], [TAINT | {"value": "w"}], [TAINT, TAINT | {"value": "w"}]),
    (
        "tolerations",
        [TAINT],
        [TAINT | {"effect": "NoSchedule"}],
        [TAINT, TAINT | {"effect": "NoSchedule"}],
    ),
    ("tolerations", [{"key": "t"}], [{"key": "t", "operator": "Equal", "value": ""}], None),
    ("tolerations", [], [{"operator": "Exists"}], [{"operator": "Exists"}]),
    ("hostAliases", [{"ip": "1.1.1.1"}], [{"ip": "2.2.2.2"}], None),
]


@pytest.mark.parametrize(("name", "before", "patch", "after"), LISTS)
def test_lists(name: str, before: Any, patch: list[Any], after: Any) -> None:
    """The lists of the table are merged by what their items are told apart by, others replaced.

    ``after`` is the whole list, the names of its items, or None for the list of the patch.
    """
    job = job_manifest()
    in_container = name in {"env", "volumeMounts"}
    holder = pod_of(job)["containers"][0] if in_container else pod_of(job)
    holder.pop(name, None)
    if before is not None:
        holder[name] = before
    inside = {name: patch}
    if in_container:
        inside = {"containers": [{"name": "job", **inside}]}
    pod = pod_of(apply_options(job, options_of(patch=patch_of(**inside))))
    found = (pod["containers"][0] if in_container else pod)[name]
    if after is None:
        after = patch
    if after and isinstance(after[0], str):
        found = [item["name"] for item in found]
    assert found == after


def test_containers_are_merged() -> None:
    """A container of that name keeps what the patch leaves out; a new one comes behind it."""
    side = {"name": "side", "image": "proxy"}
    patch = patch_of(
        containers=[{"name": "job", "tty": True}, side], initContainers=[{"name": "first"}]
    )
    before = pod_of(job_manifest())["containers"][0]
    pod = pod_of(apply_options(job_manifest(), options_of(patch=patch)))
    context = before["securityContext"]
    assert pod["containers"] == [before | {"tty": True}, side | {"securityContext": context}]
    assert pod["initContainers"] == [{"name": "first", "securityContext": context}]


def test_a_new_container_has_its_own_word() -> None:
    """What a new container says of its security comes over what it begins with."""
    side = {"name": "side", "securityContext": {"runAsUser": 7, "capabilities": None}}
    pod = pod_of(apply_options(job_manifest(), options_of(patch=patch_of(containers=[side]))))
    assert pod["containers"][1]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "runAsUser": 7,
    }


def test_every_option_has_its_field() -> None:
    """Each option stands where Kubernetes reads it, and nothing else has changed."""
    options = options_of(
        node_selector={"pool": "a"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        runtime_class="gvisor",
        priority_class="low",
        service_account="agents",
        annotations={"example.com/a": "b"},
        volumes={"/b": {"configMap": {"name": "c"}}, "/a": {"emptyDir": {}}},
        image_pull_secrets=["registry"],
        queue="team-a",
    )
    job = apply_options(job_manifest(), options)
    expected = job_manifest()
    expected["metadata"]["labels"][QUEUE_LABEL] = "team-a"
    expected["metadata"]["annotations"]["example.com/a"] = "b"
    expected["spec"]["suspend"] = True
    expected["spec"]["template"]["metadata"]["annotations"] = {"example.com/a": "b"}
    pod = pod_of(expected)
    pod |= {
        "nodeSelector": {"pool": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "runtimeClassName": "gvisor",
        "priorityClassName": "low",
        "serviceAccountName": "agents",
        "imagePullSecrets": [{"name": "registry"}],
    }
    pod["volumes"] += [
        {"name": "options-0", "emptyDir": {}},
        {"name": "options-1", "configMap": {"name": "c"}},
    ]
    pod["containers"][0]["volumeMounts"] += [
        {"name": "options-0", "mountPath": "/a"},
        {"name": "options-1", "mountPath": "/b"},
    ]
    assert job == expected


def test_suspended_without_a_queue() -> None:
    """A job that is to be resumed by hand is suspended, and in no queue."""
    job = apply_options(job_manifest(), options_of(suspend=True))
    assert job["spec"]["suspend"] is True
    assert QUEUE_LABEL not in job["metadata"]["labels"]


def test_a_volume_over_a_folder_of_ours() -> None:
    """A volume for /tmp takes the place of ours there."""
    options = options_of(volumes={"/tmp": {"persistentVolumeClaim": {"claimName": "big"}}})
    mounts = pod_of(apply_options(job_manifest(), options))["containers"][0]["volumeMounts"]
    assert mounts == [{"name": "options-0", "mountPath": "/tmp"}]


def test_the_patch_is_last() -> None:
    """What an option and the patch both say is as the patch says."""
    options = options_of(runtime_class="gvisor", patch=patch_of(runtimeClassName="kata"))
    assert pod_of(apply_options(job_manifest(), options))["runtimeClassName"] == "kata"


UNMERGEABLE = [
    # patch of the pod, where the error stands behind options.kubernetes.patch.spec.template.spec
    ({"containers": [{"image": "x"}]}, "containers[0].name"),
    ({"containers": [{"name": 7}]}, "containers[0].name"),
    ({"containers": [{"name": "job"}, "side"]}, "containers[1]"),
    ({"containers": [{"name": "job", "env": [{"value": "x"}]}]}, "containers[0].env[0].name"),
    ({"volumes": [{"emptyDir": {}}]}, "volumes[0].name"),
    ({"tolerations": ["gpu"]}, "tolerations[0]"),
]


@pytest.mark.parametrize(("pod", "place"), UNMERGEABLE)
def test_an_item_that_cannot_be_told_apart(pod: dict[str, Any], place: str) -> None:
    """An item of a list without what it is merged by is refused by its place."""
    with pytest.raises(InvalidSpec) as caught:
        apply_options(job_manifest(), options_of(patch=patch_of(**pod)))
    assert caught.value.field == f"options.kubernetes.patch.spec.template.spec.{place}"


# -- for any patch ---------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b"])
keys = st.sampled_from(["a", "b", "c", "name", "effect"])
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=4,
)
objects = st.dictionaries(keys, trees, max_size=3)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return what the pseudo code of RFC 7396, section 2, says."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge_patch(target.get(name), value)
    return target


@given(target=objects, patch=objects)
def test_any_merge_is_the_rfcs(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Where no list has a rule, the result is what the RFC's own pseudo code says."""
    assert patched(copy.deepcopy(target), patch) == merge_patch(copy.deepcopy(target), patch)


named = st.sampled_from(["job", "a", "b"]).flatmap(
    lambda name: objects.map(lambda item: item | {"name": name})
)
mounts = objects.map(lambda item: item | {"mountPath": "/tmp"})
containers = st.builds(
    lambda item, env, mounted: item | {"env": env, "volumeMounts": mounted},
    named,
    st.lists(named, max_size=3),
    st.lists(mounts, max_size=2),
)
pods = st.fixed_dictionaries(
    {},
    optional={
        "containers": st.lists(containers, max_size=3),
        "initContainers": st.lists(containers, max_size=2),
        "volumes": st.lists(named, max_size=3),
        "tolerations": st.lists(st.dictionaries(keys, leaves, max_size=4), max_size=3),
        "hostAliases": trees,
        "securityContext": objects,
    },
)


@given(pod=pods)
def test_any_patch(pod: dict[str, Any]) -> None:
    """A patch of the pod is taken twice as once, changes nothing that it is given, not even through
    its result, and no name stands twice in a list that is merged by it."""
    base, options = job_manifest(), options_of(patch=patch_of(**pod))
    asked = copy.deepcopy(options.patch)
    once = apply_options(base, options)
    assert base == job_manifest()
    assert options.patch == asked
    assert apply_options(once, options) == once
    result = pod_of(once)
    lists = [result[key] for key in ("containers", "initContainers", "volumes") if key in result]
    lists += [item["env"] for item in result["containers"] if "env" in item]
    for items in lists:
        names = [item["name"] for item in items]
        assert len(names) == len(set(names))
    spoil(once)
    assert options.patch == asked


def test_what_no_option_touches_is_the_very_part_that_was_given() -> None:
    """A part that is the same needs no look at what may have become of it."""
    base = job_manifest()
    result = apply_options(base, options_of(suspend=True))
    assert result["spec"]["template"] is base["spec"]["template"]
    assert result["metadata"] is base["metadata"]


def spoil(value: Any) -> None:
    """Empty every mapping and list."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            spoil(item)
    value.clear()
