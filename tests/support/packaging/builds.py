"""Wheels, sdists and clean environments for the packaging tests, each made once per session.

Under pytest-xdist the workers share them: whoever takes the file lock first makes them.
"""

from __future__ import annotations

import email
import email.message
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import uv
from attrs import frozen
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "core"
UV = uv.find_uv_bin()
_SECONDS = 300


def members() -> list[Path]:
    """Return the folders of all distributions of the workspace."""
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    found = (ROOT.glob(f"{pattern}/pyproject.toml") for pattern in workspace["members"])
    return sorted(path.parent for paths in found for path in paths)


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    limit: float = _SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
    )


def checked(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done


def unpack(sdist: Path, folder: Path) -> None:
    """Unpack an sdist that we have made, also on a Python without extraction filters (3.11.2)."""
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202


@frozen
class Built:
    """The two files of a distribution."""

    wheel: Path
    sdist: Path


@frozen
class Environment:
    """A virtual environment with nothing in it but what was installed."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return a program of it."""
        return self.folder / "bin" / name

    def variables(self, home: Path, **more: str) -> dict[str, str]:
        """Return the whole environment of a process in it."""
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(home),
            "SPAWNERY_STATE_DIR": str(home / "state"),
            **more,
        }

    def python(self, code: str, home: Path, **more: str) -> str:
        """Run Python code in it, warnings as errors, and return what it prints."""
        command = (self.path("python"), "-W", "error", "-c", code)
        return checked(*command, cwd=home, env=self.variables(home, **more)).stdout


class Workshop:
    """Builds and installs, each thing once.

    Args:
        folder: Shared by all workers of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        target = self._folder / name
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                draft = self._folder / f"{name}.draft"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                make(draft)
                draft.rename(target)
        return target

    def folder(self, name: str) -> Path:
        """Return a folder below the shared one."""
        return self._folder / name

    def build(self, project: Path, *, name: str | None = None) -> Built:
        """Build sdist and wheel of a project folder, the wheel out of the sdist.

        Args:
            project: The folder.
            name: Says that folders of several workers are the same project.
        """
        name = name or f"{project.name}-{_digest(str(project.resolve()))}"
        folder = self._once(name, lambda out: build(project, out))
        return Built(wheel=next(folder.glob("*.whl")), sdist=next(folder.glob("*.tar.gz")))

    def core(self, version: str) -> Path:
        """Return the wheel of a version of core: this tree's, or that of its git tag."""
        if version == version_of(CORE):
            return self.build(CORE).wheel

        def make(out: Path) -> None:
            released(CORE, version, out / "tree")
            build(out / "tree" / CORE.name, out)

        return next(self._once(f"core-{version}", make).glob("*.whl"))

    def environment(
        self,
        *requirements: str | Path,
        python: str | Path = sys.executable,
        links: Sequence[Path] = (),
    ) -> Environment:
        """Make an environment with these requirements and what they depend on.

        Args:
            requirements: As pip takes them.
            python: Whose environment it is.
            links: Wheels that are there for whoever depends on them.
        """
        wanted = [str(item) for item in requirements]
        for wheel in links:
            wanted += ["--find-links", str(wheel.parent)]
        name = f"env-{_digest(*wanted, str(python))}"
        # An environment cannot be moved, so it is made in place and only marked in the draft.
        place = self._folder / f"{name}.venv"
        self._once(name, lambda _draft: _environment(place, wanted, python))
        return Environment(place)


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]


def version_of(project: Path) -> str:
    """Return the version of a project folder."""
    version: str = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    return version


def released(project: Path, version: str, folder: Path, *, root: Path = ROOT) -> None:
    """Unpack a project of the workspace as it was in a version, by the tag of its release.

    Args:
        project: Its folder today.
        version: The tag is ``v`` and this.
        folder: Where to.
        root: The repository.
    """
    name, tag = str(project.relative_to(ROOT)), f"v{version}"
    made = subprocess.run(
        ["git", "-C", root, "archive", tag, name], capture_output=True, timeout=_SECONDS
    )
    assert not made.returncode, (
        f"{name} {version} cannot be built: {made.stderr.decode().strip()}; bring the tag {tag}"
        " (git fetch --tags), or raise the lower bound of who asks for it (CONTRIBUTING.md)"
    )
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202


def metadata(wheel: Path) -> email.message.Message:
    """Read the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def requirements(wheel: Path) -> list[Requirement]:
    """Return what a wheel depends on, extras included."""
    return [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]


def oldest(requirement: Requirement) -> str:
    """Return the lower bound of a requirement, a version."""
    (bound,) = (item.version for item in requirement.specifier if item.operator == ">=")
    return bound


def build(project: Path, out: Path) -> None:
    """Build sdist and wheel of a project folder with the workspace's own hatchling."""
    options = ("--no-build-isolation", "--python", sys.executable, "--out-dir", out)
    checked(UV, "build", "--quiet", *options, project, env=dict(os.environ))


def _environment(place: Path, wanted: Sequence[str], python: str | Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    checked(UV, "venv", "--quiet", "--python", python, place)
    install = (UV, "pip", "install", "--quiet", "--python", place / "bin" / "python", *wanted)
    if run(*install, "--offline").returncode == 0:  # what is in the cache needs no network
        return
    if os.environ.get("UV_OFFLINE"):
        pytest.skip("UV_OFFLINE is set, and the cache lacks packages for a clean environment")
    checked(*install)
