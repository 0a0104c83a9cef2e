"""What stays of a Job whatever its options change: pure.

What our promises rest on (P1, P3, P6, P8) must be as it was before, and no container may reach
beyond the job's security profile, whoever added it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spawnery_kubernetes.manifest.containers import Part
from spawnery_kubernetes.manifest.security_checks import hold_confinement
from spawnery_kubernetes.objects.facts import CONTAINER
from spawnery_kubernetes.options import check_annotation

_POD: Final = (
    "restartPolicy",
    "activeDeadlineSeconds",
    "terminationGracePeriodSeconds",
)
_FIELDS: Final = (
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "workingDir",
    "restartPolicy",
    "restartPolicyRules",
)
_PROMISES: Final = "it stays as it is: what Spawnery promises of a job rests on it"
_SPEC: Final = "it stays as it is: the job's own spec says it"


def hold_floor(job: Mapping[str, Any], *, base: Mapping[str, Any], restricted: bool) -> None:
    """Refuse a Job whose options have taken away what must stay.

    Args:
        job: The manifest with its options and its patch applied.
        base: The manifest before, which is taken to be sound.
        restricted: Whether the job's profile is ``restricted``; else it is ``baseline``.

    Raises:
        InvalidSpec: Names the place as ``options.kubernetes.patch.spec...``.
    """
    if job is base:
        return
    after, before = Part(job, "patch"), Part(base, "patch")
    _same_but(after, before, {"metadata", "spec"})
    _hold_metadata(after.at("metadata"), before.at("metadata"))
    after, before = after.at("spec"), before.at("spec")
    _same_but(after, before, {"template", "suspend"})
    after, before = after.at("template"), before.at("template")
    if after.value is before.value:
        return
    _same_but(after, before, {"metadata", "spec"})
    _hold_metadata(after.at("metadata"), before.at("metadata"))
    after, before = after.at("spec"), before.at("spec")
    _same(after, before, _POD, _PROMISES)
    _hold_container(_own(after), _own(before))
    hold_confinement(after, restricted=restricted)


def _same(after: Part, before: Part, keys: Iterable[str], problem: str) -> None:
    now, then = after.mapping(), before.mapping()
    for key in keys:
        if now.get(key) != then.get(key):
            after.at(key).refuse(problem)


def _same_but(after: Part, before: Part, free: set[str]) -> None:
    keys = {*after.mapping(), *before.mapping()} - free
    _same(after, before, sorted(keys), _PROMISES)


def _hold_metadata(after: Part, before: Part) -> None:
    """Labels and annotations may come in addition, none of them may change."""
    if after.value is before.value:
        return
    _same_but(after, before, {"labels", "annotations"})
    for kind in ("labels", "annotations"):
        ours = before.at(kind).mapping()
        _same(after.at(kind), before.at(kind), ours, _PROMISES)
        for key in after.at(kind).mapping():
            if key not in ours:
                check_annotation(key, inside=after.at(kind).place)


def _own(pod: Part) -> Part:
    containers = pod.at("containers")
    for container in containers.items():
        if container.at("name").value == CONTAINER:
            return container
    return containers.refuse(f"the container {CONTAINER!r}, which runs the job, is missing")


def _hold_container(after: Part, before: Part) -> None:
    _same(after, before, _FIELDS, _SPEC)
    variables = {item.at("name").value: item for item in after.at("env").items()}
    for item in before.at("env").items():
        kept = variables.get(item.at("name").value)
        if kept is None or kept.value != item.value:
            item.refuse(_SPEC)
