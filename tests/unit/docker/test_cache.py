"""When a container started: the engine's own time wins over an estimate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from spawnery_docker.cache import Cache, Entry
from spawnery_docker.status import NEVER_RAN, NOT_HEARD, End, outcome_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=0.4)
ENTRY = Entry(engine_id="e", name="n", labels={"spawnery.dev/job-id": "a"})


def event(at):
    """Return what the event of a start tells."""
    return Entry(engine_id="e", name="n", labels={}, started_at=at)


def test_the_event_of_a_start_replaces_an_estimate():
    """Whichever comes first, the time that the engine gives stays."""
    first, second = Cache(), Cache()
    first.note(ENTRY)
    first.started("e", LATER)
    assert first.get("e").started_at == LATER
    first.note(event(NOW))
    second.note(ENTRY)
    second.note(event(NOW))
    second.started("e", LATER)
    for cache in (first, second):
        cache.note(event(LATER))
        assert cache.get("e").started_at == NOW
        assert not cache.get("e").start_estimated


def test_an_estimated_start_is_never_behind_the_end():
    """The engine's clock is known but for some tenths of a second."""
    end = End(code=0, started_at=LATER, finished_at=NOW)
    assert outcome_of(end, {}).started_at == NOW


def test_an_exit_code_of_a_program_proves_that_it_ran():
    """Where nobody saw the start, only the engine's own codes say that there was none."""
    for code in (1, 3, 137, 255):
        outcome = outcome_of(End(code=code, started_at=None), {})
        assert outcome.exit_code == code
        assert outcome.cause != "start.failed"
        assert outcome.log_tail_missing == NOT_HEARD
    for code in (126, 127, 128):
        outcome = outcome_of(End(code=code, started_at=None), {})
        assert outcome.cause == "start.failed"
        assert outcome.log_tail_missing == NEVER_RAN


def test_a_failed_restart_is_no_word_on_the_run():
    """A container that ran and that somebody could not start again did run."""
    outcome = outcome_of(End(code=128, started_at=NOW, error="no such device"), {}, tail="done\n")
    assert outcome.log_tail == "done\n"
    assert outcome.log_tail_missing is None
