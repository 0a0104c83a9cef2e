"""The home folder of a job: its image's own where it runs as its image's user, else told."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator

import pytest
from docker_case import DockerCase
from docker_images import BUSYBOX

pytestmark = pytest.mark.engine("docker")

LOOK = 'echo "$HOME"; cat "$HOME/file"; touch "$HOME/new" && echo writable'
HOME = (
    "RUN mkdir -p /home/app && echo its file > /home/app/file && chown -R 1000:1000 /home/app"
    " && echo app:x:1000:1000:app:/home/app:/bin/sh >> /etc/passwd"
)


@pytest.fixture
def built(case: DockerCase) -> Iterator[Callable[..., str]]:
    """Build images with a home folder of user ``app`` (1000), and with more lines."""
    names: list[str] = []

    def build(*lines: str) -> str:
        name = f"spawnery-test/home-{secrets.token_hex(4)}:1"
        folder = case.folder / name.partition("/")[2].replace(":", "-")
        folder.mkdir()
        text = "\n".join([f"FROM {BUSYBOX}", HOME, *lines])
        (folder / "Dockerfile").write_text(text)
        case.docker("build", "-q", "-t", name, str(folder))
        names.append(name)
        return name

    yield build
    for name in names:
        case.docker("image", "rm", "-f", name)


def looked(case: DockerCase, image: str, *flags: str) -> list[str]:
    """Let a job of an image look at its home."""
    return case.cli("run", "--image", image, *flags, "--", "sh", "-c", LOOK).stdout.splitlines()


def notes(case: DockerCase, image: str, *flags: str) -> str:
    """Return what ``plan`` notes on the home, for a person."""
    plan = case.cli("plan", "--image", image, *flags, "--", "true").stdout.splitlines()
    return "".join(line for line in plan if "HOME" in line and line.startswith("note"))


@pytest.mark.parametrize("user", ["1000", "1000:1000"])
def test_the_user_of_the_image(case: DockerCase, built: Callable[..., str], user: str) -> None:
    """Its home has its files, and is writable, as with docker run."""
    image = built(f"USER {user}")
    assert looked(case, image) == ["/home/app", "its file", "writable"]
    assert notes(case, image) == ""
    assert looked(case, image, "--user", user) == ["/home/app", "its file", "writable"]


def test_another_user(case: DockerCase, built: Callable[..., str]) -> None:
    """A user that the job names has a writable home; ``plan`` says that it is not the image's."""
    image = built("USER 1000")
    assert looked(case, image, "--user", "2000") == ["/home/job", "writable"]
    assert "HOME /home/job, not the one of the image (--env HOME=PATH)" in notes(
        case, image, "--user", "2000"
    )


def test_a_home_that_is_named(case: DockerCase, built: Callable[..., str]) -> None:
    """The job's variable counts, then the image's."""
    image = built("ENV HOME=/home/app", "USER app")
    assert looked(case, image, "--user", "1000") == ["/home/app", "its file", "writable"]
    assert notes(case, image) == ""
    other = ("--env", "HOME=/tmp")
    assert looked(case, image, *other)[0] == "/tmp"
    assert notes(case, BUSYBOX, *other) == ""


def test_a_failed_job_of_an_image_with_a_named_user(
    case: DockerCase, built: Callable[..., str]
) -> None:
    """The end says that user and home are others, and how to name them; its success does not."""
    image = built("USER app")
    done = case.cli("run", "--image", image, "--", "sh", "-c", "cat ~/file")
    assert done.returncode == 1
    hint = done.stderr.splitlines()[-1]
    assert hint.startswith("hint: it did not run as its image's user app, and with another HOME")
    assert hint.endswith("--user UID --env HOME=PATH")
    mended = ("--user", "1000", "--env", "HOME=/home/app")
    done = case.cli("run", "--image", image, *mended, "--", "sh", "-c", "cat ~/file")
    assert (done.returncode, done.stdout) == (0, "its file\n")
    assert "hint" not in done.stderr
    assert "hint" not in case.cli("run", "--image", image, "--", "true").stderr


def test_a_failed_job_of_an_image_of_root(case: DockerCase) -> None:
    """Most images name no user: nothing is said of a home that nobody has."""
    done = case.cli("--json", "run", "--image", BUSYBOX, "--", "sh", "-c", "exit 1")
    assert "HOME" not in json.loads(done.stdout.splitlines()[-1])["outcome"]["hint"]
