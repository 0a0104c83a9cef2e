"""Image references, and what a failed pull is called."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.errors import SpawnFailed
from spawnery.model import PullPolicy
from spawnery_docker.images.errors import missing, pull_failed, pull_timed_out
from spawnery_docker.images.progress import PullProgress
from spawnery_docker.images.reference import Reference
from spawnery_docker.images.store import facts_of

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "repository", "version", "registry"),
    [
        ("busybox", "busybox", "latest", "docker.io"),
        ("busybox:1", "busybox", "1", "docker.io"),
        ("team/app", "team/app", "latest", "docker.io"),
        ("localhost/app:2", "localhost/app", "2", "localhost"),
        ("127.0.0.1:5000/a/b:v1.2", "127.0.0.1:5000/a/b", "v1.2", "127.0.0.1:5000"),
        ("ghcr.io/o/i@" + DIGEST, "ghcr.io/o/i", DIGEST, "ghcr.io"),
        ("ghcr.io/o/i:9@" + DIGEST, "ghcr.io/o/i", DIGEST, "ghcr.io"),
    ],
)
def test_reference_parts(text: str, repository: str, version: str, registry: str) -> None:
    """A reference falls into the parts that the docker command sees; no tag means latest."""
    found = Reference.parse(text)
    assert (found.repository, found.version, found.registry) == (repository, version, registry)


@pytest.mark.parametrize("text", ["", "UPPER", "a//b", "a:b:c", "a@sha256:12", "-a", "a/:1", "a b"])
def test_no_reference(text: str) -> None:
    """What is no reference is image.invalid and says how one looks."""
    with pytest.raises(SpawnFailed) as caught:
        Reference.parse(text, job_id="j")
    assert (caught.value.cause, caught.value.job_id) == ("image.invalid", "j")
    assert "name[:tag]" in caught.value.hint


@given(st.text(max_size=300))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    """No text makes the parser fail in another way, and what it accepts it gives back."""
    with suppress(SpawnFailed):
        found = Reference.parse(text)
        assert found.text == text
        assert text.startswith(found.repository)


def test_an_id_is_not_pulled() -> None:
    """The id of an image is told from a name of 64 letters in a registry."""
    assert Reference.parse(DIGEST).is_id
    assert Reference.parse("a1" * 32).is_id
    assert not Reference.parse("r/" + "a1" * 32).is_id


@pytest.mark.parametrize(
    ("text", "cause", "retryable"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "image.rate_limit", True),
        ("write /x: no space left on device", "engine.full", True),
        ("no matching manifest for linux/arm64/v8 in the manifest list", "image.platform", False),
        (
            "pull access denied for x, repository does not exist or may require",
            "image.not_found",
            0,
        ),
        ("unauthorized: authentication required", "image.auth", False),
        ("Head http://h/v2/: no basic auth credentials", "image.auth", False),
        ("denied: requested access to the resource is denied", "image.auth", False),
        ("manifest for a:1 not found: manifest unknown", "image.not_found", False),
        ("dial tcp: lookup nowhere.invalid: no such host", "image.pull_failed", True),
        ("failed commit on ref: unexpected commit digest sha256:1", "image.invalid", False),
        ("lookup r.example on 10.0.0.2:53: server misbehaving", "image.pull_failed", True),
        ("Temporary failure in name resolution", "image.pull_failed", True),
        ("'scratch' is a reserved name", "image.invalid", False),
        ("filesystem layer verification failed for digest", "image.invalid", False),
        ("x509: certificate signed by unknown authority", "image.pull_failed", False),
        ("received unexpected HTTP status: 503 Service Unavailable", "image.pull_failed", True),
        ("dial tcp 10.0.0.1:443: i/o timeout", "image.pull_failed", True),
        ("", "image.pull_failed", True),
    ],
)
def test_what_a_failed_pull_is_called(text: str, cause: str, retryable: bool) -> None:
    """The engine's text decides on the cause; image, policy, text and next step are told."""
    reference = Reference.parse("r.example/a:1")
    error = pull_failed(reference, PullPolicy.ALWAYS, text, login="no credentials", job_id="j")
    assert (error.cause, error.retryable, error.job_id) == (cause, bool(retryable), "j")
    assert "r.example/a:1" in error.message
    assert "always" in error.message
    assert text in error.message
    assert error.hint


@pytest.mark.parametrize("name", ["r.example:429/denied/a:401", "h/unauthorized:403"])
def test_the_name_of_an_image_is_no_evidence(name: str) -> None:
    """Words of the image's own name do not decide on the cause."""
    text = f'Get "http://{name}": manifest for {name} broke'
    error = pull_failed(Reference.parse(name), PullPolicy.ALWAYS, text)
    assert error.cause == "image.pull_failed"


def test_missing_image_says_what_to_do() -> None:
    """A missing image: what is missing, the policy in force, pull and build commands."""
    error = missing(Reference.parse("agent:1"), PullPolicy.NEVER, job_id="j")
    assert error.cause == "image.not_found"
    assert "agent:1" in error.message
    assert "never" in error.message
    for words in ("docker pull agent:1", "docker build -t agent:1 .", "pull_policy=if-not-present"):
        assert words in error.hint


def test_a_digest_is_not_given_to_a_build() -> None:
    """What is built has another digest: the build command names the repository with a tag."""
    name = f"r.example:5000/a:1@{DIGEST}"
    hint = missing(Reference.parse(name), PullPolicy.IF_NOT_PRESENT).hint
    assert f"docker pull {name}" in hint
    assert "docker build -t r.example:5000/a:1 ." in hint


@pytest.mark.parametrize("cause", ["deadline", "deadline.start", "image.pull_failed"])
def test_a_pull_that_took_too_long(cause: str) -> None:
    """The limit that was over is named; only the pull's own may be tried again."""
    error = pull_timed_out(Reference.parse("a"), cause, 2.5)
    assert error.cause == cause
    assert "2.5 s" in error.message
    assert error.retryable is (cause == "image.pull_failed")


def test_facts_of_an_image() -> None:
    """USER, WORKDIR, ENV, the id and the digest of the reference's own registry are read."""
    shown = {
        "Id": "sha256:id",
        "RepoDigests": ["other/a@sha256:o", "r.example:5000/a@sha256:mine"],
        "Os": "linux",
        "Architecture": "amd64",
        "Config": {"User": "1000:1000", "WorkingDir": "/w", "Env": ["A=b=c", "EMPTY="]},
    }
    facts = facts_of("r.example:5000/a:1", shown)
    assert (facts.user, facts.workdir, facts.platform) == ("1000:1000", "/w", "linux/amd64")
    assert facts.env == {"A": "b=c", "EMPTY": ""}
    assert (facts.id, facts.digest, facts.ran) == ("sha256:id", "sha256:mine", "sha256:mine")


def test_facts_of_a_bare_image() -> None:
    """An image made by import has no config and no digest: its id is what ran."""
    facts = facts_of("a", {"Id": "sha256:id", "RepoDigests": None, "Config": None})
    assert (facts.user, facts.digest, facts.ran) == ("", None, "sha256:id")


def lines() -> list[dict[str, object]]:
    """Return what an engine says of a pull of two layers."""
    return [
        {"status": "Pulling from a", "id": "1"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "x"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "y"},
        {"status": "Downloading", "progressDetail": {"current": 50, "total": 100}, "id": "x"},
        {"status": "Download complete", "progressDetail": {}, "id": "x"},
        {"status": "Downloading", "progressDetail": {"current": 300, "total": 300}, "id": "y"},
        {"status": "Download complete", "progressDetail": {}, "id": "y"},
        {"status": "Extracting", "progressDetail": {"current": 60, "total": 100}, "id": "x"},
        {"status": "Pull complete", "progressDetail": {}, "id": "x"},
        {"status": "Pull complete", "progressDetail": {}, "id": "y"},
        {"status": "Digest: sha256:x"},
    ]


def test_progress_adds_up_layers() -> None:
    """Loading, then unpacking: current never exceeds total, and both steps come to their end."""
    progress = PullProgress("a:1")
    told = []
    for number, line in enumerate(lines()):
        if progress.add(line, now=float(number)):
            told.append((progress.message, dict(progress.data)))
    assert told[1] == ("pulling a:1", {"image": "a:1", "current": 50, "total": 100})
    assert told[-1] == ("unpacking a:1", {"image": "a:1", "current": 400, "total": 400})
    assert all(data.get("current", 0) <= data.get("total", 0) for _, data in told)


def test_progress_is_told_seldom() -> None:
    """A thousand lines within a second are few events, but a new step is told at once."""
    progress = PullProgress("a")
    loading = {"status": "Downloading", "id": "x"}
    told = sum(
        progress.add({**loading, "progressDetail": {"current": n, "total": 1000}}, now=n / 1000)
        for n in range(1000)
    )
    assert 2 <= told <= 7
    assert progress.add({"status": "Download complete", "id": "x"}, now=1.0)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["status", "id", "progressDetail", "aux"]),
            st.none()
            | st.sampled_from(["Downloading", "Extracting", "x", "Pull complete"])
            | st.fixed_dictionaries(
                {"current": st.integers(0, 10**12), "total": st.integers(0, 10**12)}
            ),
        )
    )
)
def test_progress_bears_any_line(given_lines: list[dict[str, object]]) -> None:
    """Lines of any shape make no error, and the sums stay sums that JSON holds."""
    progress = PullProgress("a")
    for number, line in enumerate(given_lines):
        progress.add(line, now=float(number))
        json.dumps(dict(progress.data))
