"""The image of a job: is it there, is it to be pulled, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen
from spawnery.contract import Cancellation, Deadline
from spawnery.model import JobSpec, PullPolicy

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.images.errors import missing, pull_timed_out
from spawnery_docker.images.pulls import Puller
from spawnery_docker.images.reference import Reference

if TYPE_CHECKING:
    from spawnery.contract import SpawnerRuntime

_LONGEST_PULL: Final = 1800.0
_LEAST: Final = 0.01
_FORBIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""What a socket proxy says that does not allow to look at images; create then tells."""


@frozen(kw_only=True)
class ImageFacts:
    """What one image reference stands for.

    Attributes:
        reference: As the job names it.
        id: The engine's id of the image, ``sha256:...``; empty where a proxy lets nobody look.
        digest: ``sha256:...`` of the manifest in the registry, None for an image made here.
        user: ``USER`` of the image, empty when it has none.
        workdir: ``WORKDIR`` of the image, empty when it has none.
        env: ``ENV`` of the image.
        platform: ``os/architecture``.
        pulled_seconds: How long the pull took that this call made, 0 without one.
    """

    reference: str
    id: str
    digest: str | None = None
    user: str = ""
    workdir: str = ""
    env: Mapping[str, str] = field(factory=dict, repr=False)
    platform: str = ""
    pulled_seconds: float = 0.0

    @property
    def ran(self) -> str | None:
        """What an outcome carries: the digest, or the id of an image without one."""
        return self.digest or self.id or None


class Images:
    """Finds and pulls images; one for all jobs of a spawner.

    Args:
        client: The engine.
        runtime: The host: clock, events, our own environment.
        pull_timeout_seconds: Limit for a pull where the job has no shorter deadline.
    """

    def __init__(
        self,
        client: DockerClient,
        runtime: SpawnerRuntime,
        *,
        pull_timeout_seconds: float = _LONGEST_PULL,
    ) -> None:
        self._client = client
        self._clock = runtime.clock
        self._puller = Puller(client, runtime)
        self._pull_timeout = pull_timeout_seconds

    def ensure(
        self,
        job: JobSpec,
        policy: PullPolicy,
        *,
        deadline: Deadline,
        cancellation: Cancellation | None = None,
    ) -> ImageFacts:
        """Make sure that the image of a job is in the engine, as the policy says.

        A pull does not count against ``deadline`` but against the job's own deadlines: take a new
        I/O deadline when ``pulled_seconds`` is not 0.

        Args:
            job: The job; its image is set.
            policy: The pull policy in force.
            deadline: I/O limit of the inspection.
            cancellation: Ends a pull.

        Raises:
            SpawnFailed: The image is not there (``image.not_found``), may not be read
                (``image.auth``), cannot be pulled (``image.*``, ``engine.full``), or was not there
                in time (``deadline``, ``deadline.start``, ``image.pull_failed``).
            EngineError: The engine does not answer.
        """
        name = job.image or ""
        reference = Reference.parse(name, job_id=job.job_id)
        if policy is not PullPolicy.ALWAYS:
            facts = self.inspect(name, deadline=deadline)
            if facts is not None:
                return facts
            if policy is PullPolicy.NEVER or reference.is_id:
                raise missing(reference, policy, job_id=job.job_id)
        return self._pulled(job, reference, policy, cancellation or Cancellation())

    def inspect(self, name: str, *, deadline: Deadline) -> ImageFacts | None:
        """Return what an image says of itself now: a tag may be rebuilt at any time.

        None where the engine has no such image.
        """
        try:
            with self._client.within(max(_LEAST, deadline.remaining())) as engine:
                shown = engine.inspect_image(name)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status not in _FORBIDDEN:
                raise in_words(error, f"look at the image {name}") from None
            return ImageFacts(reference=name, id="")
        return facts_of(name, shown)

    def _pulled(
        self, job: JobSpec, reference: Reference, policy: PullPolicy, cancellation: Cancellation
    ) -> ImageFacts:
        begun = self._clock.monotonic()
        cause, seconds = self._limit(job)
        limit = Deadline(begun + seconds)
        done = self._puller.pull(
            reference, policy, job_id=job.job_id, deadline=limit, cancellation=cancellation
        )
        if not done:
            raise pull_timed_out(reference, cause, seconds, job_id=job.job_id)
        facts = self.inspect(reference.text, deadline=limit)
        if facts is None:
            raise missing(reference, policy, job_id=job.job_id)
        return evolve(facts, pulled_seconds=self._clock.monotonic() - begun)

    def _limit(self, job: JobSpec) -> tuple[str, float]:
        """Return the tightest limit of a pull and the cause code that it stands for."""
        limits = [("image.pull_failed", self._pull_timeout)]
        if job.deadline_seconds is not None:
            limits.append(("deadline", job.deadline_seconds))
        if job.start_deadline_seconds is not None:
            limits.append(("deadline.start", job.start_deadline_seconds))
        return min(limits, key=lambda limit: limit[1])


def facts_of(name: str, shown: Mapping[str, Any]) -> ImageFacts:
    """Read the reply of ``GET /images/{name}/json``.

    Args:
        name: The reference that was asked for.
        shown: The reply.
    """
    config = shown.get("Config") or {}
    pairs = (text.partition("=") for text in config.get("Env") or ())
    return ImageFacts(
        reference=name,
        id=shown["Id"],
        digest=_digest(name, shown.get("RepoDigests") or ()),
        user=config.get("User") or "",
        workdir=config.get("WorkingDir") or "",
        env={key: value for key, _, value in pairs},
        platform=f"{shown.get('Os', '')}/{shown.get('Architecture', '')}",
    )


def _digest(name: str, digests: Sequence[str]) -> str | None:
    """Return the digest under which the reference's own registry knows the image, else any."""
    base = name.partition("@")[0]
    head, slash, last = base.rpartition("/")
    repository = f"{head}{slash}{last.partition(':')[0]}"
    known = [tuple(text.split("@", 1)) for text in digests if "@" in text]
    own = [digest for repo, digest in known if repo == repository]
    return next(iter([*own, *(digest for _, digest in known)]), None)
