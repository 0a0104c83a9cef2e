"""``JobSpec.options["kubernetes"]``: the extras that Kubernetes has, from an allow-list.

Grammars: kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from attrs import field, frozen
from spawnery.errors import InvalidSpec
from spawnery.model import names as naming

SAFE_VOLUMES: Final = (
    "configMap",
    "secret",
    "emptyDir",
    "persistentVolumeClaim",
    "ephemeral",
    "projected",
    "csi",
    "downwardAPI",
)
"""What the "restricted" Pod Security Standard lets a pod mount."""
SAFE_SOURCES: Final = ("configMap", "secret", "downwardAPI", "clusterTrustBundle")
"""Of a projected volume: all but those that give the job an identity in the cluster."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_PATH: Final = re.compile(r"/[^:\0]+\Z")
_TOLERATION: Final = ("key", "operator", "value", "effect", "tolerationSeconds")
_OPERATOR: Final = "the operator may allow it: export SPAWNERY_KUBERNETES_ALLOW_PATCH=1"


def refuse(name: str, problem: str, hint: str | None = None) -> NoReturn:
    """Refuse an option.

    Args:
        name: The option and what is inside it, with dots: ``patch.spec.backoffLimit``.
        problem: What is wrong with it.
        hint: The way out.

    Raises:
        InvalidSpec: Always.
    """
    path = f"options.kubernetes.{name}"
    msg = f"{path}: {problem}"
    raise InvalidSpec(msg, field=path, hint=hint)


def check_annotation(key: str, *, inside: str) -> None:
    """Refuse the annotations that are ours, and those that weaken a pod's confinement.

    Args:
        key: Of the annotation.
        inside: The option that it stands in.

    Raises:
        InvalidSpec: It is one of them, or no key.
    """
    if key.startswith("container.apparmor.security.beta.kubernetes.io/"):
        refuse(f"{inside}.{key}", "AppArmor stays as the node has it")
    naming.check_label_key(key, field=f"options.kubernetes.{inside}")


def check_volume(volume: Mapping[str, Any], *, inside: str) -> None:
    """Refuse a volume that is not of exactly one safe kind.

    Args:
        volume: Kind to its settings, as in a pod; a ``name`` beside it is not looked at.
        inside: The option that it stands in.

    Raises:
        InvalidSpec: Names the kind, or the source of a projected volume.
    """
    kinds = [key for key in volume if key != "name"]
    for kind in kinds:
        if kind not in SAFE_VOLUMES:
            refuse(f"{inside}.{kind}", "not a volume for a job", _one_of(SAFE_VOLUMES))
    if len(kinds) != 1:
        refuse(inside, "must have one kind of volume", _one_of(SAFE_VOLUMES))
    kind = kinds[0]
    if not isinstance(volume[kind], Mapping):
        refuse(f"{inside}.{kind}", "must be a mapping, {} where there is nothing to set")
    sources = volume[kind].get("sources") if kind == "projected" else None
    for number, source in enumerate(sources if isinstance(sources, list | tuple) else ()):
        for name in source if isinstance(source, Mapping) else ():
            if name not in SAFE_SOURCES:
                place = f"{inside}.projected.sources[{number}].{name}"
                refuse(place, "would give the job an identity", _one_of(SAFE_SOURCES))


def _one_of(names: tuple[str, ...]) -> str:
    return f"there are: {', '.join(names)}"


def _labels(_instance: object, attribute: Any, value: Mapping[str, str]) -> None:
    path = f"options.kubernetes.{attribute.name}"
    for key, text in value.items():
        naming.check_label_key(key, field=path)
        naming.check_label_value(text, field=f"{path}.{key}")


def _annotations(_instance: object, attribute: Any, value: Mapping[str, str]) -> None:
    for key in value:
        check_annotation(key, inside=attribute.name)


def _name(_instance: object, attribute: Any, value: str | None) -> None:
    if value is not None and not _NAME.match(value):
        refuse(attribute.name, f"{value!r} is no name of an object (a-z, 0-9, hyphens, dots)")


def _names(_instance: object, attribute: Any, value: tuple[str, ...]) -> None:
    for name in value:
        _name(None, attribute, name)


def _queue(_instance: object, attribute: Any, value: str | None) -> None:
    if value is not None:
        naming.check_label_value(value, field=f"options.kubernetes.{attribute.name}")
        _name(None, attribute, value)


def _tolerations(_instance: object, attribute: Any, value: tuple[Mapping[str, Any], ...]) -> None:
    for number, toleration in enumerate(value):
        for key in toleration:
            if key not in _TOLERATION:
                place = f"{attribute.name}[{number}].{key}"
                refuse(place, "there is no such field", _one_of(_TOLERATION))


def _volumes(_instance: object, attribute: Any, value: Mapping[str, Mapping[str, Any]]) -> None:
    for path, volume in value.items():
        place = f"{attribute.name}.{path}"
        if not _PATH.match(path):
            refuse(place, "the key is an absolute path in the container")
        if "name" in volume:
            refuse(f"{place}.name", "there is no such field", "volumes get their names from us")
        check_volume(volume, inside=place)


@frozen(kw_only=True)
class KubernetesOptions:
    """What a job may say to Kubernetes beside its spec. Unset leaves the cluster's default.

    Attributes:
        node_selector: Labels that the node must have.
        tolerations: Taints that the pod puts up with, each as in a pod.
        affinity: As in a pod.
        runtime_class: Name of a RuntimeClass, for example one of gVisor.
        priority_class: Name of a PriorityClass.
        service_account: Name of the pod's ServiceAccount; its token is never mounted.
        annotations: On the Job and its pod.
        volumes: Path in the container to what is mounted there, as in a pod without its name:
            ``{"/cache": {"persistentVolumeClaim": {"claimName": "cache"}}}``.
        image_pull_secrets: Names of Secrets for the image's registry, beside the operator's.
        suspend: The Job is created suspended: QUEUED until somebody resumes it.
        queue: Kueue's queue (label ``kueue.x-k8s.io/queue-name``); implies ``suspend``.
        patch: JSON merge patch (RFC 7396) of the Job, for what is not modelled; only where the
            operator allows it. ``patch.py`` has the rules for lists, ``floor.py`` what stays.
    """

    node_selector: Mapping[str, str] = field(factory=dict, validator=_labels)
    tolerations: tuple[Mapping[str, Any], ...] = field(default=(), validator=_tolerations)
    affinity: Mapping[str, Any] = field(factory=dict)
    runtime_class: str | None = field(default=None, validator=_name)
    priority_class: str | None = field(default=None, validator=_name)
    service_account: str | None = field(default=None, validator=_name)
    annotations: Mapping[str, str] = field(factory=dict, validator=_annotations)
    volumes: Mapping[str, Mapping[str, Any]] = field(factory=dict, validator=_volumes)
    image_pull_secrets: tuple[str, ...] = field(default=(), validator=_names)
    suspend: bool = False
    queue: str | None = field(default=None, validator=_queue)
    patch: Mapping[str, Any] = field(factory=dict)


def refuse_patch(options: KubernetesOptions, *, allowed: bool) -> None:
    """Refuse a patch, unless the operator's setting permits it.

    Raises:
        InvalidSpec: Names the option.
    """
    if options.patch and not allowed:
        refuse("patch", "it could change more than a spec says", _OPERATOR)
