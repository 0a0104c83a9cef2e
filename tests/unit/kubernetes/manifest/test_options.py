"""Every option that is refused is named; what is allowed is taken as it is."""

from __future__ import annotations

from typing import Any

import pytest
from kube_manifest import options_of
from spawnery.errors import InvalidSpec
from spawnery_kubernetes.options import SAFE_SOURCES, SAFE_VOLUMES, refuse_patch

TOKEN = {"sources": [{"configMap": {"name": "c"}}, {"serviceAccountToken": {"path": "t"}}]}
REFUSED = [
    # option, value, field that the error names behind options.kubernetes
    ("node_selecter", {}, "node_selecter"),
    ("node_selector", ["disk"], "node_selector"),
    ("node_selector", {"disk": 1}, "node_selector.disk"),
    ("node_selector", {"a b": "c"}, "node_selector"),
    ("node_selector", {"disk": "a b"}, "node_selector.disk"),
    ("tolerations", {"key": "a"}, "tolerations"),
    ("tolerations", ["gpu"], "tolerations[0]"),
    ("tolerations", [{}, {"kye": "gpu"}], "tolerations[1].kye"),
    ("affinity", [], "affinity"),
    ("runtime_class", "", "runtime_class"),
    ("runtime_class", "gVisor", "runtime_class"),
    ("priority_class", "a_b", "priority_class"),
    ("service_account", "a/b", "service_account"),
    ("service_account", "-a", "service_account"),
    ("annotations", {"spawnery.dev/instance": "other"}, "annotations"),
    ("annotations", {"spawnery.dev/stopped": "stop"}, "annotations"),
    (
        "annotations",
        {"container.apparmor.security.beta.kubernetes.io/job": "unconfined"},
        "annotations.container.apparmor.security.beta.kubernetes.io/job",
    ),
    ("annotations", {"a": 1}, "annotations.a"),
    ("volumes", {"/data": "cache"}, "volumes./data"),
    ("volumes", {"data": {"emptyDir": {}}}, "volumes.data"),
    ("volumes", {"/": {"emptyDir": {}}}, "volumes./"),
    ("volumes", {"/a:b": {"emptyDir": {}}}, "volumes./a:b"),
    ("volumes", {"/data": {}}, "volumes./data"),
    ("volumes", {"/data": {"emptyDir": None}}, "volumes./data.emptyDir"),
    ("volumes", {"/data": {"emptyDir": {}, "secret": {}}}, "volumes./data"),
    ("volumes", {"/data": {"name": "x", "emptyDir": {}}}, "volumes./data.name"),
    ("volumes", {"/data": {"hostPath": {"path": "/"}}}, "volumes./data.hostPath"),
    ("volumes", {"/data": {"nfs": {}}}, "volumes./data.nfs"),
    ("volumes", {"/data": {"emptydir": {}}}, "volumes./data.emptydir"),
    (
        "volumes",
        {"/data": {"projected": TOKEN}},
        "volumes./data.projected.sources[1].serviceAccountToken",
    ),
    ("image_pull_secrets", "registry", "image_pull_secrets"),
    ("image_pull_secrets", ["Registry"], "image_pull_secrets"),
    ("suspend", "yes", "suspend"),
    ("queue", "a/b", "queue"),
    ("queue", "", "queue"),
    ("patch", [], "patch"),
]


@pytest.mark.parametrize(("option", "value", "field"), REFUSED)
def test_refused(option: str, value: Any, field: str) -> None:
    """The error names the option, and in it the part that is wrong."""
    with pytest.raises(InvalidSpec) as caught:
        options_of(**{option: value})
    assert caught.value.field == f"options.kubernetes.{field}"
    assert caught.value.message.startswith(f"options.kubernetes.{field}: ")


def test_a_near_miss_is_told() -> None:
    """Who mistypes an option is told the one that was meant."""
    with pytest.raises(InvalidSpec) as caught:
        options_of(node_selecter={"a": "b"})
    assert caught.value.hint == "did you mean node_selector?"


def test_the_safe_kinds_are_told() -> None:
    """Who asks for a volume of the host is told which kinds there are."""
    with pytest.raises(InvalidSpec) as caught:
        options_of(volumes={"/data": {"hostPath": {"path": "/"}}})
    assert caught.value.hint == f"there are: {', '.join(SAFE_VOLUMES)}"


@pytest.mark.parametrize("kind", SAFE_VOLUMES)
def test_safe_volumes(kind: str) -> None:
    """Each safe kind is taken with its settings as they are."""
    volumes = {"/a/b": {kind: {"name": "x"}}}
    assert options_of(volumes=volumes).volumes == volumes


@pytest.mark.parametrize("source", SAFE_SOURCES)
def test_safe_sources(source: str) -> None:
    """A projected volume may have what gives no identity."""
    volumes = {"/a": {"projected": {"sources": [{source: {}}]}}}
    assert options_of(volumes=volumes).volumes == volumes


def test_everything_at_once() -> None:
    """All options are taken unchanged, nulls of a patch included."""
    given: dict[str, Any] = {
        "node_selector": {"kubernetes.io/arch": "amd64", "pool": ""},
        "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}],
        "affinity": {"nodeAffinity": {}},
        "runtime_class": "gvisor",
        "priority_class": "low.prio",
        "service_account": "agents",
        "annotations": {"example.com/owner": "any text: {}"},
        "volumes": {},
        "image_pull_secrets": ["registry"],
        "suspend": True,
        "queue": "team-a",
        "patch": {"spec": {"template": {"spec": {"dnsPolicy": None}}}},
    }
    options = options_of(**given)
    lists = {"tolerations", "image_pull_secrets"}
    for name, value in given.items():
        assert getattr(options, name) == (tuple(value) if name in lists else value)


def test_a_patch_needs_the_operator() -> None:
    """Without the operator's setting a patch is refused, and the setting is named."""
    refuse_patch(options_of(), allowed=False)
    options = options_of(patch={"spec": {}})
    refuse_patch(options, allowed=True)
    with pytest.raises(InvalidSpec) as caught:
        refuse_patch(options, allowed=False)
    assert caught.value.field == "options.kubernetes.patch"
    assert "SPAWNERY_KUBERNETES_ALLOW_PATCH=1" in (caught.value.hint or "")
