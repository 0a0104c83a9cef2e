"""Findings about an engine from its ``/version`` and ``/info``: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spawnery.contract import CheckItem

_LIVE_RESTORE_FIXED: Final = (25, 0)
"""moby/moby#46857: older engines kill AutoRemove containers when they restart."""
_LIMITS: Final = (
    ("MemoryLimit", "memory"),
    ("CpuCfsQuota", "CPU"),
    ("PidsLimit", "processes"),
)
_NOT_THERE: Final = "N/A"
_UNREADABLE_LOGS: Final = frozenset({"none", "syslog", "gelf", "fluentd", "awslogs", "splunk"})


def engine_items(version: Mapping[str, Any], info: Mapping[str, Any] | None) -> Iterator[CheckItem]:
    """Say what matters to jobs.

    Args:
        version: Reply of ``/version``.
        info: Reply of ``/info``, None where it may not be asked.
    """
    yield _engine(version)
    if info is None:
        detail = "GET /info is not allowed here (socket proxy?): limits and live-restore unknown"
        yield CheckItem(name="engine facts", level="warning", detail=detail)
        return
    yield CheckItem(name="storage", detail=str(info.get("Driver") or "unknown"))
    yield CheckItem(
        name="cgroup",
        detail=f"version {info.get('CgroupVersion') or '1'}, driver {info.get('CgroupDriver')}",
    )
    yield _limits(info)
    yield _live_restore(info)
    yield _security(info)
    yield _logging(info)
    yield from _init(info)


def _engine(version: Mapping[str, Any]) -> CheckItem:
    parts = {part.get("Name"): part.get("Version") for part in version.get("Components") or ()}
    name = "Podman" if "Podman Engine" in parts else "Docker"
    detail = (
        f"{name} {version.get('Version')}, API {version.get('ApiVersion')}"
        f" (oldest {version.get('MinAPIVersion')}), {version.get('Os')}/{version.get('Arch')}"
    )
    return CheckItem(name="engine", detail=detail)


def _limits(info: Mapping[str, Any]) -> CheckItem:
    missing = [word for key, word in _LIMITS if not info.get(key)]
    if missing:
        return CheckItem(
            name="limits",
            level="warning",
            detail=f"the engine cannot limit: {', '.join(missing)}",
            hint="jobs may use more than they were given; see: docker info (its warnings)",
        )
    swap = "" if info.get("SwapLimit") else " (swap cannot be limited)"
    return CheckItem(name="limits", detail=f"memory, CPU and processes can be limited{swap}")


def _live_restore(info: Mapping[str, Any]) -> CheckItem:
    if not info.get("LiveRestoreEnabled"):
        return CheckItem(name="live-restore", detail="off: a restart of the engine ends its jobs")
    if _numbers(str(info.get("ServerVersion") or "")) < _LIVE_RESTORE_FIXED:
        return CheckItem(
            name="live-restore",
            level="warning",
            detail="on, but this version may kill jobs without retention when the engine restarts",
            hint="Docker 25 or newer, or keep ended jobs: retention_seconds=900",
        )
    return CheckItem(name="live-restore", detail="on: jobs survive a restart of the engine")


def _security(info: Mapping[str, Any]) -> CheckItem:
    names = [
        text.removeprefix("name=").partition(",")[0] for text in info.get("SecurityOptions") or ()
    ]
    detail = ", ".join(names) or "none"
    if "seccomp" not in names:
        hint = "jobs run without a system call filter: use an engine built with seccomp"
        return CheckItem(name="security", level="warning", detail=detail, hint=hint)
    return CheckItem(name="security", detail=detail)


def _init(info: Mapping[str, Any]) -> Iterator[CheckItem]:
    """Warn where the engine could not run its own init (moby, daemon/info_unix.go)."""
    if (info.get("InitCommit") or {}).get("ID") != _NOT_THERE:
        return
    yield CheckItem(
        name="init",
        level="failed",
        detail=f"the engine has no init program ({info.get('InitBinary')}): no job can start",
        hint="install it beside the engine (package tini or docker-init), or run each job without:"
        " options.docker.init=false",
    )


def _logging(info: Mapping[str, Any]) -> CheckItem:
    driver = str(info.get("LoggingDriver") or "unknown")
    if driver in _UNREADABLE_LOGS:
        return CheckItem(
            name="logging",
            level="warning",
            detail=f"{driver}: the engine may not be able to read logs back",
            hint="jobs get json-file unless the operator chose otherwise",
        )
    return CheckItem(name="logging", detail=driver)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
