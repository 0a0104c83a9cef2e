"""A test that lacks a tool is skipped with one line and a command; in CI it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import service_images
import tools
from tools import TOOLS, need, need_root

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Let no other test see what is found out here."""
    tools.why_missing.cache_clear()
    yield
    tools.why_missing.cache_clear()


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any tool, where we are root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools, "BUSYBOX", tmp_path / "busybox")
    monkeypatch.delenv("SPAWNERY_TEST_REQUIRE_ENGINES", raising=False)


@pytest.mark.parametrize("name", [*TOOLS, "busybox", "docker compose"])
def test_a_missing_tool_skips(name: str, nothing: None) -> None:
    """The line names the tool, what is missing, and the command that brings it."""
    with pytest.raises(pytest.skip.Exception) as caught:
        need(name)
    text = str(caught.value)
    assert text.startswith(f"engine absent: {name}: ")
    assert text.endswith("; bring it with: make engines")


@pytest.mark.parametrize("name", [*TOOLS, "busybox", "docker compose"])
def test_a_missing_tool_fails_in_ci(
    name: str, nothing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI installs everything, so a skip there would hide a suite that never runs."""
    monkeypatch.setenv("SPAWNERY_TEST_REQUIRE_ENGINES", "1")
    with pytest.raises(pytest.fail.Exception):
        need(name)


def test_a_debian_that_cannot_be_bootstrapped_skips(nothing: None, tmp_path: Path) -> None:
    """Images of services need debootstrap: without it their tests are skipped, not errors."""
    with pytest.raises(pytest.skip.Exception, match="debootstrap"):
        service_images._make_tar(tmp_path / "base.tar")


def test_rights_are_no_tool(nothing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command makes us root: such a test is skipped in CI too."""
    monkeypatch.setenv("SPAWNERY_TEST_REQUIRE_ENGINES", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="only root can start an sshd"):
        need("sshd")
    with pytest.raises(pytest.skip.Exception):
        need_root("mount")


def test_busybox_must_be_static(
    nothing: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busybox that needs libraries cannot be the only file of an image."""
    (tmp_path / "busybox").write_bytes(b"\x7fELF ... /lib64/ld-linux-x86-64.so.2 ...")
    (tmp_path / "busybox").chmod(0o755)
    with pytest.raises(pytest.skip.Exception, match="not statically linked"):
        need("busybox")


def test_make_engines_installs_every_tool() -> None:
    """The command that a skipped test names brings each of the programs."""
    script = (ROOT / "scripts" / "engines.sh").read_text()
    programs = {program for needed in TOOLS.values() for program in needed} - {"nsenter"}
    brought = {"ssh": "openssh", "ssh-keygen": "openssh", "containerd": "docker.io"}
    for program in sorted(programs):
        assert brought.get(program, program) in script, program
