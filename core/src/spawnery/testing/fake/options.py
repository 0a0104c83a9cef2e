"""What a test may ask of the fake: settings for all jobs, ``options.fake`` for one."""

from __future__ import annotations

from attrs import frozen

from spawnery.contract.fields import setting


@frozen(kw_only=True)
class FakeSettings:
    """Settings of the fake spawner (``SPAWNERY_FAKE_*``)."""

    engine: str | None = setting(
        None,
        description="A path: the engine is a file, shared by processes; a word: an engine of this"
        " process by that name. Unset: an engine of this process per state directory.",
    )
    endpoint: str | None = setting(
        None,
        description="The address under which the engine is reached, for tests that reach one"
        " engine in two ways. Unset: where the engine lives.",
    )
    clock_ahead: float = setting(
        0.0,
        description="Seconds by which the engine's clock is ahead of ours (negative: behind).",
    )
    auto_remove: bool = setting(
        default=False,
        description="Whether a job with retention 0, its log included, is gone at its exit, as"
        " with Docker's AutoRemove.",
    )


@frozen(kw_only=True)
class FakeOptions:
    """A script for one job, given as ``options={"fake": {...}}``.

    Attributes:
        start_error: The engine will not start it, with this cause code (``image.platform``, ...).
        start_message, start_hint: The words of that error.
        missing_image: The engine says that the image does not exist.
        queued_seconds: So long the engine holds it back before it accepts it.
        slow_start_seconds: So long it stays PENDING.
        pending_cause, pending_message, pending_hint: Why it is PENDING meanwhile.
        fatal: It stays PENDING for good, and the engine knows that.
        lost_after_seconds: Its object vanishes without a trace so long after it began to run.
        oom_after_seconds: It runs out of memory so long after it began to run.
        hang_before: ``create`` or ``start``: so long the engine does not answer that request, and
            nothing happens meanwhile.
        hang_seconds: How long that is.
    """

    start_error: str | None = None
    start_message: str = "the fake engine was told to refuse the start"
    start_hint: str | None = None
    missing_image: bool = False
    queued_seconds: float = 0.0
    slow_start_seconds: float = 0.0
    pending_cause: str | None = None
    pending_message: str | None = None
    pending_hint: str | None = None
    fatal: bool = False
    lost_after_seconds: float | None = None
    oom_after_seconds: float | None = None
    hang_before: str | None = None
    hang_seconds: float = 600.0
