"""Images on a real engine: what is there, what is pulled, and how a pull can go wrong.

The registries here are our own (tests/support/servers); Debian's is in test_registry.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker_host import client_of, runtime_of
from registry import MANIFEST_LIST, Answer, BadRegistry, Image, bad_registry, make_image, refusal
from spawnery.contract import Deadline
from spawnery.errors import SpawnFailed
from spawnery.model import EventKind, JobEvent, JobSpec, PullPolicy
from spawnery_docker.errors import ApiError
from spawnery_docker.images.store import ImageFacts, Images

pytestmark = pytest.mark.engine("docker")
LONG = 60.0


class Desk:
    """An ``Images`` on the real engine, its events, and the images to take away afterwards."""

    def __init__(self, socket_path: str, folder: Path, environ: dict[str, str] | None = None):
        self.events: list[JobEvent] = []
        self.client = client_of({"DOCKER_HOST": f"unix://{socket_path}"})
        self.runtime = runtime_of(folder, environ, self.events.append)
        self.images = Images(self.client, self.runtime)
        self.used: set[str] = set()

    def ensure(
        self, image: str, policy: PullPolicy = PullPolicy.IF_NOT_PRESENT, **fields: float
    ) -> ImageFacts:
        """Ask for an image as a spawn does."""
        self.used.add(image)
        job = JobSpec(job_id="images", image=image, **fields)
        facts = self.images.ensure(job, policy, deadline=Deadline.after(LONG))
        self.used.add(facts.id)
        return facts

    def refused(self, image: str, policy: PullPolicy = PullPolicy.IF_NOT_PRESENT, **fields: float):
        """Ask for an image that cannot be had, and return the error."""
        with pytest.raises(SpawnFailed) as caught:
            self.ensure(image, policy, **fields)
        assert caught.value.job_id == "images"
        return caught.value

    def drop(self, image: str) -> None:
        """Remove an image from the engine."""
        with suppress(ApiError), self.client.within(LONG) as engine:
            engine.remove_image(image, force=True)


@pytest.fixture
def desk(docker_socket: str, tmp_path: Path) -> Iterator[Desk]:
    """Images of the system's engine."""
    desk = Desk(docker_socket, tmp_path)
    yield desk
    for image in desk.used:
        desk.drop(image)
    desk.client.close()


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    """A registry that can be told to misbehave."""
    with bad_registry() as registry:
        yield registry


def test_a_pull_and_what_the_image_says(desk: Desk, registry: BadRegistry) -> None:
    """A missing image is pulled; id, digest, USER, WORKDIR and ENV are those of the image."""
    config = {"User": "1000:1000", "WorkingDir": "/work", "Env": ["PATH=/bin", "A=b=c"]}
    registry.images["team/app"] = image = make_image(config=config)
    facts = desk.ensure(f"{registry.host}/team/app:1")
    assert facts.digest == facts.ran == image.digest
    assert facts.id.startswith("sha256:")
    assert (facts.user, facts.workdir, facts.env["A"]) == ("1000:1000", "/work", "b=c")
    assert facts.platform == "linux/amd64"
    assert facts.pulled_seconds > 0


def test_always_takes_what_the_registry_has_now(desk: Desk, registry: BadRegistry) -> None:
    """Policy always pulls again; if-not-present keeps the old one under the same tag."""
    name = f"{registry.host}/team/app:1"
    registry.images["team/app"] = old = make_image()
    assert desk.ensure(name).digest == old.digest
    registry.images["team/app"] = new = make_image()
    assert desk.ensure(name).digest == old.digest
    assert desk.ensure(name, PullPolicy.ALWAYS).digest == new.digest
    assert desk.ensure(name).digest == new.digest


def test_an_image_by_its_digest(desk: Desk, registry: BadRegistry) -> None:
    """A reference with a digest pulls exactly that image."""
    registry.images["team/app"] = image = make_image()
    facts = desk.ensure(f"{registry.host}/team/app@{image.digest}")
    assert facts.digest == image.digest


def test_never_says_what_is_missing(desk: Desk, registry: BadRegistry) -> None:
    """Policy never does not pull: the error names the image, the policy and both commands."""
    registry.images["team/app"] = make_image()
    name = f"{registry.host}/team/app:1"
    error = desk.refused(name, PullPolicy.NEVER)
    assert error.cause == "image.not_found"
    for words in (name, "never"):
        assert words in error.message
    for words in (f"docker pull {name}", f"docker build -t {name} ."):
        assert words in error.hint


def test_an_id_that_is_not_there(desk: Desk) -> None:
    """The id of an image is not looked for in a registry."""
    assert desk.refused("sha256:" + "0a" * 32).cause == "image.not_found"
    assert desk.events == []


def test_an_image_that_went_away_is_noticed(desk: Desk, registry: BadRegistry) -> None:
    """An image that was there is looked for at its next use, and pulled again."""
    registry.images["team/app"] = make_image()
    name = f"{registry.host}/team/app:1"
    desk.ensure(name)
    desk.drop(name)
    assert desk.ensure(name).pulled_seconds > 0


@pytest.mark.parametrize(
    ("refused", "cause"),
    [
        (refusal(401, "UNAUTHORIZED", "authentication required"), "image.auth"),
        (refusal(403, "DENIED", "requested access to the resource is denied"), "image.auth"),
        (refusal(404, "NAME_UNKNOWN", "repository name not known"), "image.not_found"),
        (refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"), "image.not_found"),
        (refusal(429, "TOOMANYREQUESTS", "you have reached your limit"), "image.rate_limit"),
        (refusal(500, "UNKNOWN", "internal"), "image.pull_failed"),
        (refusal(503, "UNAVAILABLE", "try later"), "image.pull_failed"),
    ],
)
def test_a_registry_that_refuses(
    desk: Desk, registry: BadRegistry, refused: Answer, cause: str
) -> None:
    """Each refusal of a registry has its cause, the engine's words and a next step."""
    registry.images["team/app"] = make_image()
    registry.answer = lambda _method, path: None if path == "/v2/" else refused
    name = f"{registry.host}/team/app:1"
    error = desk.refused(name)
    assert error.cause == cause
    assert error.retryable is (refused.status in {429, 500, 503})
    assert name in error.message
    assert error.hint


def test_a_registry_that_is_not_there(desk: Desk) -> None:
    """A registry that nobody runs: the next step is to try it from the engine, or to build."""
    with bad_registry() as gone:
        name = f"{gone.host}/team/app:1"
    error = desk.refused(name)
    assert (error.cause, error.retryable) == ("image.pull_failed", True)
    assert "connection refused" in error.message
    assert f"docker build -t {name}" in error.hint


def test_a_name_that_leads_nowhere(desk: Desk) -> None:
    """A registry without an address may be a name server's fault: nothing is said of the image."""
    error = desk.refused("missing.invalid/spawnery/none:0")
    assert (error.cause, error.retryable) == ("image.pull_failed", True)
    assert "getent hosts missing.invalid" in error.hint
    assert "docker build -t missing.invalid/spawnery/none:0 ." in error.hint


def test_scratch_is_no_image(desk: Desk) -> None:
    """The empty base of a Dockerfile is image.invalid; no proxy is blamed."""
    error = desk.refused("scratch")
    assert error.cause == "image.invalid"
    assert "reserved name" in error.message
    assert "Dockerfile" in error.hint
    assert "proxy" not in error.hint


def test_an_error_inside_a_stream_that_began_well(desk: Desk, registry: BadRegistry) -> None:
    """A layer that is damaged on the way ends a 200 stream with an error: image.invalid."""
    registry.images["team/app"] = make_image(padding=200_000)
    registry.corrupt = True
    error = desk.refused(f"{registry.host}/team/app:1")
    assert error.cause == "image.invalid"


def test_an_old_image_does_not_hide_a_failed_pull(desk: Desk, registry: BadRegistry) -> None:
    """Policy always with a broken registry fails, though the image of before is still there."""
    registry.images["team/app"] = make_image()
    name = f"{registry.host}/team/app:1"
    desk.ensure(name)
    registry.answer = lambda _method, _path: refusal(500, "UNKNOWN", "internal")
    assert desk.refused(name, PullPolicy.ALWAYS).cause == "image.pull_failed"


def test_an_image_for_another_processor(desk: Desk, registry: BadRegistry) -> None:
    """A list of manifests without ours is image.platform."""
    inner = make_image()
    platform = b"""{"schemaVersion": 2, "mediaType": "%s", "manifests": [{"mediaType":
        "application/vnd.docker.distribution.manifest.v2+json", "size": %d, "digest": "%s",
        "platform": {"architecture": "s390x", "os": "linux"}}]}""" % (
        MANIFEST_LIST.encode(),
        len(inner.manifest),
        inner.digest.encode(),
    )
    registry.images["team/app"] = Image(platform, inner.blobs, MANIFEST_LIST)
    error = desk.refused(f"{registry.host}/team/app:1")
    assert error.cause == "image.platform"
    assert "docker manifest inspect" in error.hint


def test_progress_is_told(desk: Desk, registry: BadRegistry) -> None:
    """Events of the job tell the bytes of the pull, never more than there are, up to the end."""
    registry.images["team/app"] = make_image(padding=3_000_000, layers=3)
    registry.pause = 0.01
    name = f"{registry.host}/team/app:1"
    desk.ensure(name)
    assert {event.kind for event in desk.events} == {EventKind.PROGRESS}
    assert {event.job_id for event in desk.events} == {"images"}
    assert len({event.id for event in desk.events}) == len(desk.events)
    assert desk.events[0].message == f"pulling {name}"
    amounts = [event.data for event in desk.events if "total" in event.data]
    assert any(0 < data["current"] < data["total"] for data in amounts)
    assert all(data["current"] <= data["total"] for data in amounts)
    assert desk.events[-1].data["total"] >= 9_000_000


@pytest.mark.parametrize(
    ("fields", "cause"),
    [({"deadline_seconds": 2}, "deadline"), ({"start_deadline_seconds": 2}, "deadline.start")],
)
def test_a_pull_counts_in_the_job_s_deadline(
    desk: Desk, registry: BadRegistry, fields: dict[str, float], cause: str
) -> None:
    """A pull that is too slow for the job is given up, in the engine too, and says so."""
    registry.images["team/app"] = make_image(padding=30_000_000)
    registry.pause = 0.5
    error = desk.refused(f"{registry.host}/team/app:1", **fields)
    assert error.cause == cause
    assert "2 s" in error.message
    assert registry.cut.wait(LONG), "the engine went on pulling"


def test_a_registry_that_never_answers(desk: Desk, registry: BadRegistry) -> None:
    """A registry that hangs before its first word does not outlast the deadline either."""
    stuck = threading.Event()
    registry.answer = lambda _method, _path: stuck.wait(LONG) and None
    try:
        error = desk.refused(f"{registry.host}/team/app:1", deadline_seconds=2)
    finally:
        stuck.set()
    assert error.cause == "deadline"


def test_several_jobs_that_need_one_image(desk: Desk, registry: BadRegistry) -> None:
    """Jobs that start together each get the image, and each sees the progress as its own."""
    registry.images["team/app"] = image = make_image(padding=2_000_000)
    registry.pause = 0.02
    name = f"{registry.host}/team/app:1"
    desk.used.add(name)
    found: list[object] = []

    def ask(number: int) -> None:
        job = JobSpec(job_id=f"images-{number}", image=name)
        limit = Deadline.after(LONG)
        found.append(desk.images.ensure(job, PullPolicy.IF_NOT_PRESENT, deadline=limit).digest)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert found == [image.digest] * 4
    assert len({event.job_id for event in desk.events}) == 4
