"""Named volumes: who may write them (restricted profile)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from docker_case import PATIENCE, DockerCase, eventually, output, sh
from docker_images import BUSYBOX
from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("docker")

_LAST_BESIDE_READ_ONLY = 20
WRITE = "touch /cache/new && stat -c '%u %g' /cache /cache/new"


@pytest.fixture
def spawner(case: DockerCase) -> Iterator[Spawner]:
    """A spawner of the case."""
    with case.open() as made:
        yield made


@pytest.fixture
def volume(case: DockerCase) -> Iterator[str]:
    """The name of a volume that is not there yet; it is removed after the jobs."""
    name = f"{case.prefix}-cache"
    yield name
    eventually(lambda: not case.containers())
    case.docker("volume", "rm", "-f", name)


def at_cache(volume: str, **options: Any) -> dict[str, Any]:
    """Mount the volume at /cache."""
    return {"docker": {"volumes": {"/cache": volume}, **options}}


@pytest.mark.parametrize(
    ("fields", "owner"),
    [({}, "65532 65532"), ({"user": "1000:2000"}, "1000 2000"), ({"user": "1000"}, "1000 0")],
)
def test_a_new_volume_can_be_written(
    spawner: Spawner, volume: str, fields: dict[str, str], owner: str
) -> None:
    """By default a job may write into a volume that the engine makes for it; the next one too."""
    for _ in range(2):
        written = output(spawner, sh(WRITE, options=at_cache(volume), **fields))
        assert written.splitlines() == [owner, owner]


def test_root_keeps_its_volume(spawner: Spawner, volume: str) -> None:
    """A job of root's leaves the volume to root."""
    written = output(spawner, sh(WRITE, options=at_cache(volume), security="baseline"))
    assert written.splitlines() == ["0 0", "0 0"]


def test_a_volume_that_the_image_gave_to_its_own_user(
    case: DockerCase, spawner: Spawner, volume: str
) -> None:
    """The folder of USER app in the image can be written by the user who stands in for it."""
    image, folder = f"{case.prefix}/app:1", case.folder / "image"
    folder.mkdir()
    lines = [
        f"FROM {BUSYBOX}",
        "RUN echo app:x:7:7::/:/bin/sh >>/etc/passwd; mkdir /cache; chown app /cache",
    ]
    (folder / "Dockerfile").write_text("\n".join([*lines, "USER app", ""]))
    case.docker("build", "-q", "-t", image, str(folder))
    try:
        spec = JobSpec(image=image, command=["sh", "-c", WRITE], options=at_cache(volume))
        assert output(spawner, spec).splitlines()[1].split()[0] == "65532"
    finally:
        case.docker("rmi", "-f", image)


def test_what_is_in_a_volume_stays_as_it_is(
    case: DockerCase, spawner: Spawner, volume: str
) -> None:
    """A volume with content of somebody else is given to nobody."""
    case.docker("run", "--rm", "-v", f"{volume}:/cache", BUSYBOX, "touch", "/cache/old")
    outcome = spawner.wait(spawner.spawn(sh(WRITE, options=at_cache(volume))).job_id, PATIENCE)
    assert outcome.state is JobState.FAILED
    owner = "stat -c '%u' /cache /cache/old; true"
    assert output(spawner, sh(owner, options=at_cache(volume))).split() == ["0", "0"]


def test_a_volume_that_is_only_read(spawner: Spawner, volume: str) -> None:
    """What is mounted to be read is not given away."""
    script = "stat -c %u /cache"
    assert output(spawner, sh(script, options=at_cache(f"{volume}:ro"))) == "0\n"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_deep_path(case: DockerCase, spawner: Spawner, volume: str, read_only: bool) -> None:
    """The folder may lie anywhere, also beside a root file system that is only read."""
    version = case.docker("version", "--format", "{{.Server.Version}}")
    if read_only and int(version.partition(".")[0]) > _LAST_BESIDE_READ_ONLY:
        pytest.skip(f"Docker {version} does not write beside a root that is read-only")
    options = {"docker": {"volumes": {"/srv/a/cache/": volume}, "read_only": read_only}}
    assert output(spawner, sh("touch /srv/a/cache/x && echo ok", options=options)) == "ok\n"
