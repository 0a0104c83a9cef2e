"""What a job's options add to its Job: pure.

Everything is a merge patch (RFC 7396) in which some lists are merged too, as ``kubectl patch``
does (kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch):

| list | its items are told apart by | an item of the patch |
|---|---|---|
| ``containers``, ``initContainers`` | ``name`` | is merged into the other |
| ``env``, ``volumes`` | ``name`` | replaces the other: each is one of several things |
| ``volumeMounts`` | ``mountPath`` | replaces the other |
| ``imagePullSecrets`` | ``name`` | replaces the other |
| ``tolerations`` | ``key``, ``operator``, ``value``, ``effect`` | replaces the other |

Every other list is replaced as a whole. Items that are new are appended in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from spawnery_kubernetes.objects.facts import CONTAINER
from spawnery_kubernetes.options import KubernetesOptions, refuse

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
"""kueue.sigs.k8s.io/docs/tasks/run/jobs"""
_NOTHING: Final = KubernetesOptions()


def apply_options(job: dict[str, Any], options: KubernetesOptions) -> dict[str, Any]:
    """Return the Job with its options and then its patch applied; what is given stays as it is.

    Every part that they do not touch is the very one that is given. A container that is new gets
    the security context of the job's own, under the one it brings.

    Args:
        job: The manifest, with a container called ``job``.
        options: Of the job.

    Raises:
        InvalidSpec: A list of the patch cannot be merged.
    """
    if options == _NOTHING:
        return job
    containers = job["spec"]["template"]["spec"]["containers"]
    own = next(item for item in containers if item["name"] == CONTAINER)
    merge = _Merge({"securityContext": own.get("securityContext", {})})
    changed = merge.whole(job, _overlay(options), "options")
    result: dict[str, Any] = merge.whole(changed, options.patch, "patch")
    return result


def _overlay(options: KubernetesOptions) -> dict[str, Any]:
    """Return the options as a patch; what is unset is absent."""
    mounts = {f"options-{n}": path for n, path in enumerate(sorted(options.volumes))}
    pod = {
        "nodeSelector": dict(options.node_selector),
        "tolerations": list(options.tolerations),
        "affinity": dict(options.affinity),
        "runtimeClassName": options.runtime_class,
        "priorityClassName": options.priority_class,
        "serviceAccountName": options.service_account,
        "imagePullSecrets": [{"name": name} for name in options.image_pull_secrets],
        "volumes": [{"name": name, **options.volumes[path]} for name, path in mounts.items()],
        "containers": mounts
        and [
            {
                "name": CONTAINER,
                "volumeMounts": [{"name": n, "mountPath": path} for n, path in mounts.items()],
            }
        ],
    }
    metadata = {
        "labels": {QUEUE_LABEL: options.queue} if options.queue else None,
        "annotations": dict(options.annotations),
    }
    template = {
        "metadata": _set({"annotations": dict(options.annotations)}),
        "spec": _set(pod),
    }
    spec = {"suspend": options.suspend or options.queue is not None, "template": _set(template)}
    return _set({"metadata": _set(metadata), "spec": _set(spec)})


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


@frozen
class _Rule:
    """How the items of a list are told apart, and whether they are merged or replaced."""

    identity: Callable[[Mapping[str, Any]], Any]
    needs: str | None
    replaces: bool = True


def _by(key: str, *, replaces: bool = True) -> _Rule:
    return _Rule(lambda item: item.get(key), key, replaces)


def _toleration(item: Mapping[str, Any]) -> Any:
    """Return what two tolerations of the same taint share (``MatchToleration`` of k8s.io/api)."""
    same = {"operator": "Equal"} | {key: value for key, value in item.items() if value}
    return tuple(str(same.get(key)) for key in ("key", "operator", "value", "effect"))


_RULES: Final[Mapping[str, _Rule]] = {
    "containers": _by("name", replaces=False),
    "initContainers": _by("name", replaces=False),
    "env": _by("name"),
    "volumes": _by("name"),
    "volumeMounts": _by("mountPath"),
    "imagePullSecrets": _by("name"),
    "tolerations": _Rule(_toleration, None),
}


@frozen
class _Merge:
    """Merges patches.

    Attributes:
        fresh: What a container that is new begins with.
    """

    fresh: Mapping[str, Any]

    def whole(self, target: Any, patch: Any, place: str) -> Any:
        """Merge as RFC 7396 says, and the lists of the table by their items."""
        if not isinstance(patch, Mapping):
            return _copy(patch)
        base = target if isinstance(target, Mapping) else {}
        if not patch and base is target:
            return base
        result = {key: value for key, value in base.items() if key not in patch}
        for key, value in patch.items():
            if value is None:
                continue
            inside = f"{place}.{key}"
            if key in _RULES and isinstance(value, list | tuple):
                result[key] = self._items(base.get(key), value, _RULES[key], inside)
            else:
                result[key] = self.whole(base.get(key), value, inside)
        return {key: result[key] for key in (*base, *patch) if key in result}

    def _items(self, target: Any, patch: Sequence[Any], rule: _Rule, place: str) -> list[Any]:
        found: dict[Any, Any] = {}
        for item in target if isinstance(target, list | tuple) else ():
            found[rule.identity(item)] = item
        for number, item in enumerate(patch):
            inside = f"{place}[{number}]"
            if not isinstance(item, Mapping):
                refuse(inside, "must be a mapping")
            if rule.needs is not None and not isinstance(item.get(rule.needs), str):
                refuse(f"{inside}.{rule.needs}", "is missing: items are merged by it")
            identity = rule.identity(item)
            before = {} if rule.replaces else found.get(identity, self.fresh)
            found[identity] = self.whole(before, item, inside)
        return list(found.values())


def _copy(value: Any) -> Any:
    """Copy to what JSON knows, so that nobody shares a part with the spec."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
