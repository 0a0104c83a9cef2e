"""What goes wrong with images, in our words: by status and by the engine's text.

The engine hands a registry's answer on as text, with status 404 or 500, or inside a stream that
began with 200. The words are those of github.com/distribution/distribution (errcode) and of moby
(distribution/errors.go).
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen
from spawnery.errors import SpawnFailed
from spawnery.model import PullPolicy

from spawnery_docker.images.reference import DOCKER_HUB, Reference

_QUOTE_LIMIT: Final = 600


@frozen
class _Kind:
    """One kind of failed pull: what gives it away, its cause, and whether trying again may help."""

    words: re.Pattern[str]
    cause: str
    retryable: bool = False


def _kind(words: str, cause: str, *, retryable: bool = False) -> _Kind:
    return _Kind(re.compile(words, re.IGNORECASE), cause, retryable)


_NO_ADDRESS: Final = (
    r"no such host|server misbehaving|name resolution|dial tcp: lookup|could not resolve"
)
"""The name of the registry could not be resolved (Go, net/net.go and net/dnsclient.go)."""
_KINDS: Final = (
    _kind(
        r"toomanyrequests|too many requests|\b429\b|rate limit", "image.rate_limit", retryable=True
    ),
    _kind(r"no space left on device|disk quota exceeded", "engine.full", retryable=True),
    _kind(r"no matching manifest|does not match the specified platform", "image.platform"),
    _kind(r"repository does not exist or may require", "image.not_found"),
    _kind(
        r"unauthorized|authentication required|no basic auth credentials|denied|forbidden"
        r"|\b401\b|\b403\b",
        "image.auth",
    ),
    _kind(
        r"manifest unknown|name unknown|manifest for .* not found|no such image", "image.not_found"
    ),
    _kind(
        r"invalid reference|manifest invalid|unsupported media type|unsupported manifest"
        r"|verification failed|invalid repository name|invalid tar header|digest invalid"
        r"|unexpected media type|failed commit on ref|unexpected commit digest",
        "image.invalid",
    ),
    _kind(r"x509|certificate|server gave HTTP response to HTTPS client", "image.pull_failed"),
    _kind(r"reserved name", "image.invalid"),
    # Nobody was asked for the image: the name is mistyped, or the engine has no network.
    _kind(_NO_ADDRESS, "image.pull_failed", retryable=True),
    _kind(r"\bnot found\b", "image.not_found"),
)
_OTHER: Final = _kind("", "image.pull_failed", retryable=True)


def missing(reference: Reference, policy: PullPolicy, *, job_id: str | None = None) -> SpawnFailed:
    """Say that the image is not in the engine and will not be pulled."""
    msg = f"the image {reference.text} is not in the engine (pull policy: {policy})"
    if reference.is_id:
        hint = "an id names an image of this engine only; see what it has: docker images --no-trunc"
    else:
        hint = _get_it(reference)
        if policy is PullPolicy.NEVER:
            hint += f"\nor let it be pulled: pull_policy={PullPolicy.IF_NOT_PRESENT}"
    return SpawnFailed(msg, cause="image.not_found", hint=hint, job_id=job_id)


def pull_timed_out(
    reference: Reference, cause: str, seconds: float, *, job_id: str | None = None
) -> SpawnFailed:
    """Say that a pull took longer than the job may take."""
    limit = {
        "deadline": "the job's deadline",
        "deadline.start": "the job's start deadline",
    }.get(cause, "the limit for a pull")
    msg = f"the image {reference.text} was still being pulled when {limit} ({seconds:g} s) was over"
    hint = f"pull it beforehand: docker pull {reference.text}"
    return SpawnFailed(
        msg, cause=cause, hint=hint, job_id=job_id, retryable=cause == "image.pull_failed"
    )


def pull_failed(
    reference: Reference,
    policy: PullPolicy,
    text: str,
    *,
    login: str = "",
    login_hint: str | None = None,
    job_id: str | None = None,
) -> SpawnFailed:
    """Say why the engine could not pull an image.

    Args:
        reference: The image.
        policy: The pull policy in force.
        text: What the engine said.
        login: Whose credentials were sent, for a person.
        login_hint: What to do where credentials could not be read.
        job_id: The job.
    """
    bare = text
    for name in (reference.text, reference.repository, reference.registry):
        bare = bare.replace(name, "")
    kind = next((kind for kind in _KINDS if kind.words.search(bare)), _OTHER)
    said = " ".join(text.split())[:_QUOTE_LIMIT]
    msg = (
        f"the image {reference.text} could not be pulled (pull policy: {policy});"
        f" the engine says: {said}"
    )
    if login and kind.cause in {"image.auth", "image.not_found"}:
        msg += f" ({login})"
    return SpawnFailed(
        msg,
        cause=kind.cause,
        hint=_hint(kind.cause, reference, said, login_hint or _log_in(reference)),
        job_id=job_id,
        retryable=kind.retryable,
    )


def _hint(cause: str, reference: Reference, said: str, log_in: str) -> str:
    hints = {
        "image.not_found": _get_it(reference),
        "image.auth": log_in,
        "image.rate_limit": f"wait, or use an account for a higher limit; {log_in}",
        "engine.full": "make room on the engine's disk: docker system df; docker image prune",
        "image.platform": (
            "build it for this engine, or see what there is:"
            f" docker manifest inspect {reference.text}"
        ),
        "image.invalid": f"look at it by hand: docker pull {reference.text}",
    }
    if "reserved name" in said:
        return (
            "scratch is the empty base of a Dockerfile and has no program;"
            " name the image that was built from it, see: docker images"
        )
    if cause == "image.not_found" and "may require" in said:
        return f"{hints[cause]}\nwhere it is private, {log_in}"
    if re.search(_NO_ADDRESS, said, re.IGNORECASE):
        return (
            f"check the name of the registry and the engine's name server:"
            f" getent hosts {reference.host}\n{_get_it(reference)}"
        )
    if cause in hints:
        return hints[cause]
    return (
        f"the engine must reach the registry {reference.registry}; try it there:"
        f" {_get_it(reference)}"
    )


def _get_it(reference: Reference) -> str:
    pull = f"docker pull {reference.text}"
    if reference.digest is None:
        return f"{pull}\nor make it: docker build -t {reference.text} ."
    # What is built here has another digest, and no digest can be given to a build.
    tagged = f"{reference.repository}:{reference.tag or 'latest'}"
    return f"{pull}\nor make it, and name it without digest: docker build -t {tagged} ."


def _log_in(reference: Reference) -> str:
    registry = "" if reference.registry == DOCKER_HUB else f" {reference.registry}"
    return f"log in as the user that runs Spawnery, then try again: docker login{registry}"
