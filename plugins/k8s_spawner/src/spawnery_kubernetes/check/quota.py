"""What a namespace leaves for jobs: its Pod Security level, quotas and limits; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spawnery.contract import CheckItem
from spawnery.model import parse_quantity

from spawnery_kubernetes.jobs.namespace import RANGE

_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_ONE_JOB: Final = {"count/jobs.batch": "1", "pods": "1", "count/pods": "1"}
"""Counted as the keys of a ResourceQuota
(kubernetes.io/docs/concepts/policy/resource-quotas)."""
_SCOPES: Final = ("scopes", "scopeSelector")


def pod_security(namespace: Mapping[str, Any]) -> CheckItem:
    """Tell which pods a namespace admits.

    Args:
        namespace: As the API has it.
    """
    level = (namespace["metadata"].get("labels") or {}).get(_LEVEL)
    told = {
        None: "no level of its own: the cluster's default holds",
        "restricted": "restricted: jobs with the profile baseline are refused",
        "baseline": "baseline: jobs of both profiles are admitted",
        "privileged": "privileged: the cluster itself refuses no pod",
    }
    return CheckItem(name="pod security", detail=told.get(level, str(level)))


def user(namespace: Mapping[str, Any], assign_user: str) -> CheckItem:
    """Tell who chooses the user of a restricted job that names none.

    Args:
        namespace: As the API has it.
        assign_user: The setting.
    """
    found = (namespace["metadata"].get("annotations") or {}).get(RANGE)
    if assign_user == "cluster" or (assign_user == "auto" and found):
        why = f"the namespace has the range {found}" if found else "assign_user is cluster"
        return CheckItem(name="user", detail=f"the cluster chooses the user of jobs: {why}")
    if not found:
        return CheckItem(name="user", detail="restricted jobs run as 65532 where they name no user")
    detail = f"jobs run as 65532, and the namespace takes users of the range {found} only"
    hint = "leave the user to the cluster: SPAWNERY_KUBERNETES_ASSIGN_USER=auto"
    return CheckItem(name="user", level="warning", detail=detail, hint=hint)


def quotas(
    found: Sequence[Mapping[str, Any]], defaults: Mapping[str, tuple[str, str]]
) -> Iterator[CheckItem]:
    """Tell what each quota leaves, and whether one more job of default size fits.

    Args:
        found: ResourceQuotas as the API has them.
        defaults: Resource to request and limit of a job that asks for nothing.
    """
    if not found:
        yield CheckItem(name="quota", detail="none: jobs may take what the cluster has")
    for quota in found:
        yield _quota(quota, _needs(defaults))


def _needs(defaults: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    needs = dict(_ONE_JOB)
    for resource, (request, limit) in defaults.items():
        needs |= {
            resource: request,
            f"requests.{resource}": request,
            f"limits.{resource}": limit,
        }
    return needs


def _quota(quota: Mapping[str, Any], needs: Mapping[str, str]) -> CheckItem:
    metadata, status = quota["metadata"], quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    name, detail = f"quota {metadata['name']}", _told(hard, used)
    if any(quota["spec"].get(key) for key in _SCOPES):
        return CheckItem(name=name, detail=f"{detail}; it counts only some pods (its scopes)")
    full = sorted(
        key
        for key in hard
        if key in needs
        and parse_quantity(used.get(key, "0")) + parse_quantity(needs[key])
        > parse_quantity(hard[key])
    )
    if not full:
        return CheckItem(name=name, detail=detail)
    detail += f"; one more job of default size does not fit: {', '.join(full)}"
    hint = f"kubectl describe quota {metadata['name']} -n {metadata['namespace']}"
    return CheckItem(name=name, level="warning", detail=detail, hint=hint)


def _told(hard: Mapping[str, str], used: Mapping[str, str]) -> str:
    if not hard:
        return "not counted yet"
    return ", ".join(f"{key} {used.get(key, '0')} of {hard[key]}" for key in sorted(hard))


def limits(
    found: Sequence[Mapping[str, Any]], defaults: Mapping[str, tuple[str, str]]
) -> Iterator[CheckItem]:
    """Tell which containers the namespace admits, and whether a job of default size is one.

    Args:
        found: LimitRanges as the API has them.
        defaults: Resource to request and limit of a job that asks for nothing.
    """
    if not found:
        yield CheckItem(name="limits", detail="none: a job may be of any size")
    for limit in found:
        yield _limit(limit, defaults)


def _limit(limit: Mapping[str, Any], defaults: Mapping[str, tuple[str, str]]) -> CheckItem:
    metadata = limit["metadata"]
    told, refused = [], []
    for part in limit["spec"]["limits"]:
        if part["type"] not in {"Container", "Pod"}:
            continue
        least, most = part.get("min") or {}, part.get("max") or {}
        told += [f"{part['type']} {key} at least {least[key]}" for key in sorted(least)]
        ratio = part.get("maxLimitRequestRatio") or {}
        told += [f"{part['type']} {key} at most {most[key]}" for key in sorted(most)]
        told += [
            f"{part['type']} {key} limit at most {ratio[key]} times its request"
            for key in sorted(ratio)
        ]
        for key, (request, limited) in defaults.items():
            if key in least and parse_quantity(request) < parse_quantity(least[key]):
                refused.append(f"{key} request {request}")
            if key in most and parse_quantity(limited) > parse_quantity(most[key]):
                refused.append(f"{key} limit {limited}")
            if key in ratio and parse_quantity(limited) / parse_quantity(request) > parse_quantity(
                ratio[key]
            ):
                refused.append(f"{key} limit {limited} with request {request}")
    name, detail = f"limits {metadata['name']}", ", ".join(told) or "no bounds of size"
    if not refused:
        return CheckItem(name=name, detail=detail)
    detail += f"; a job of default size is refused: {', '.join(refused)}"
    hint = "let jobs say what they need: resources.memory_limit, resources.cpu_limit,"
    hint += " resources.memory_request, resources.cpu_request, or change the LimitRange"
    return CheckItem(name=name, level="warning", detail=detail, hint=hint)
