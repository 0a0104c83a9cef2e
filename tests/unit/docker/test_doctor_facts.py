"""What an engine's own words about itself mean for jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery_docker.check.engine_facts import engine_items

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}
INFO = {
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "MemoryLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "SwapLimit": True,
    "LiveRestoreEnabled": False,
    "ServerVersion": "20.10.24+dfsg1",
    "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"],
    "LoggingDriver": "json-file",
}


def found(**changes: object) -> dict[str, tuple[str, str]]:
    """Return level and detail of each finding for an engine that differs in something."""
    items = engine_items(VERSION, {**INFO, **changes})
    return {item.name: (item.level, item.detail) for item in items}


def test_a_sound_engine_has_no_warning() -> None:
    """Everything in order is told without a warning."""
    assert {level for level, _ in found().values()} == {"ok"}
    assert found()["cgroup"][1] == "version 2, driver systemd"
    assert "rootless" in found()["security"][1]


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"MemoryLimit": False}, "limits", "memory"),
        ({"PidsLimit": False, "CpuCfsQuota": False}, "limits", "CPU, processes"),
        ({"LiveRestoreEnabled": True}, "live-restore", "may kill jobs"),
        ({"SecurityOptions": []}, "security", "none"),
        ({"LoggingDriver": "syslog"}, "logging", "syslog"),
    ],
)
def test_what_is_warned_of(changes: dict[str, object], name: str, words: str) -> None:
    """What an engine lacks is one warning, at its place."""
    level, detail = found(**changes)[name]
    assert level == "warning"
    assert words in detail
    assert [n for n, (lvl, _) in found(**changes).items() if lvl != "ok"] == [name]


def test_live_restore_of_a_newer_engine() -> None:
    """From Docker 25 on live-restore keeps jobs."""
    level, detail = found(LiveRestoreEnabled=True, ServerVersion="25.0.1")["live-restore"]
    assert (level, "survive" in detail) == ("ok", True)


def test_podman_is_told_from_docker() -> None:
    """Podman answers as Docker and names itself in its components."""
    version = {**VERSION, "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
    assert next(engine_items(version, INFO)).detail.startswith("Podman 20.10.24")


@given(st.dictionaries(st.sampled_from(sorted(INFO)), st.none() | st.just("") | st.just(0)))
def test_an_engine_may_leave_out_anything(holes: dict[str, object]) -> None:
    """Facts that are missing or empty make findings and no error."""
    assert all(item.name for item in engine_items({}, {**INFO, **holes}))
    assert all(item.name for item in engine_items(VERSION, None))
