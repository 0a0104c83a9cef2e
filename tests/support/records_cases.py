"""What every kind of records does: a class of cases that each kind's tests inherit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from spawnery import JobState, Outcome
from spawnery.errors import JobNotFound
from spawnery.holders import is_alive, new_holder
from spawnery.outcomes import KillReason
from spawnery.records import JobRecords, Kill, Record

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
DONE = Outcome(
    state=JobState.FAILED,
    cause="exit.nonzero",
    message="exit code 3 \N{SNOWMAN}",
    hint="look",
    exit_code=3,
    oom=False,
    started_at=NOW,
    finished_at=NOW + timedelta(seconds=1.5),
    image_digest="sha256:1",
    log_tail="a\nb",
    log_tail_missing=None,
)
OTHER = Outcome(state=JobState.LOST, cause="lost.missing")
KILL = Kill(reason=KillReason.STOP, at=NOW, cause="c", message="m", hint="h")
LIMIT = 60
SOON = 0.05
"""Seconds of a lease that is to run out; twice as many later it has."""


def intent(job_id="a", **changes):
    record = Record(
        job_id=job_id,
        name=f"p-{job_id}",
        spec_hash="v1.x",
        intended_at=NOW,
        retention_seconds=2.5,
    )
    return evolve(record, **changes)


def finish(records: JobRecords, record, outcome=DONE, at=NOW, *, new=True):
    return records.finish(record, outcome, at=at, expires_at=LATER, new=new)


def begin(records, holder, record=None, seconds=60.0):
    return records.begin(record or intent(), holder=holder, seconds=seconds)


def python(script, *args, **options):
    """Start Python on a script with pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
        **options,
    )


def end(process):
    """Kill a child of ours and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait(LIMIT)
    for pipe in (process.stdin, process.stdout):
        pipe.close()


def together(script, count, *args):
    """Run a script in many processes at the same moment; returns their output."""
    children = [python("print(flush=True); input()\n" + script, *args) for _ in range(count)]
    try:
        for child in children:
            child.stdout.readline()
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=LIMIT)[0].strip() for child in children]
        assert [child.returncode for child in children] == [0] * count
    finally:
        for child in children:
            end(child)
    return outputs


class RecordsCases:
    """The cases; whoever inherits them has a fixture ``records``: empty ones of one kind."""

    @pytest.fixture
    def me(self):
        """Name of this process as a holder."""
        return new_holder()

    @pytest.fixture
    def other(self):
        """Name of another holder that is alive as well."""
        return new_holder()

    # -- jobs ----------------------------------------------------------------------------------

    def test_there_is_no_record_before_begin(self, records):
        """An unknown job has none."""
        assert records.get("a") is None
        assert list(records.unfinished()) == list(records.finished()) == []

    def test_begin_writes_the_intent_once(self, records, me, other):
        """The first caller's record stays; a second one sees it and gets no lease."""
        first = begin(records, me)
        second = begin(records, other, intent(spec_hash="v1.other"))
        assert (first.inserted, first.leased, first.record) == (True, True, intent())
        assert (second.inserted, second.leased, second.record) == (False, False, intent())
        assert records.get("a") == intent()

    def test_begin_again_by_the_same_holder(self, records, me):
        """Whoever holds the lease may begin again and is told that the record was there."""
        record = intent()
        begin(records, me, record)
        again = begin(records, me, record)
        assert (again.inserted, again.leased) == (False, True)

    def test_begin_after_release(self, records, me, other):
        """A released job can be taken over by another caller."""
        begin(records, me)
        records.release("a", holder=me)
        assert begin(records, other).leased

    def test_created_marks_the_record(self, records, me):
        """The mark carries the engine's id and the time."""
        begin(records, me)
        marked = records.created("a", engine_id="e1", at=NOW)
        assert marked == intent(engine_id="e1", created_at=NOW) == records.get("a")

    def test_created_without_a_record(self, records):
        """A mark needs a record."""
        with pytest.raises(JobNotFound) as caught:
            records.created("a", engine_id="e", at=NOW)
        assert caught.value.job_id == "a"

    def test_created_shows_a_kill(self, records, me):
        """Whoever marks the job learns that it was stopped meanwhile."""
        begin(records, me)
        records.kill(intent(), KILL)
        assert records.created("a", engine_id="e", at=NOW).kill == KILL

    def test_withdraw_deletes_a_bare_intent(self, records, me):
        """An intent that came to nothing goes, once."""
        begin(records, me)
        assert records.withdraw("a") is True
        assert records.get("a") is None
        assert records.withdraw("a") is False

    @pytest.mark.parametrize("step", ["created", "kill", "finish"])
    def test_withdraw_keeps_everything_else(self, records, me, step):
        """A job that may have run, was killed or has ended is not withdrawn."""
        begin(records, me)
        if step == "created":
            records.created("a", engine_id="e", at=NOW)
        elif step == "kill":
            records.kill(intent(), KILL)
        else:
            finish(records, intent())
        assert records.withdraw("a") is False
        assert records.get("a") is not None

    def test_the_first_kill_stays(self, records, me):
        """A second reason changes nothing."""
        begin(records, me)
        assert records.kill(intent(), KILL).kill == KILL
        assert records.kill(intent(), Kill(reason="deadline", at=LATER)).kill == KILL
        assert records.get("a") == intent(kill=KILL)

    def test_kill_makes_a_missing_record(self, records):
        """A job that the records lost is killed with a record made of its object."""
        made = intent(engine_id="e", created_at=NOW)
        assert records.kill(made, KILL, new=True) == evolve(made, kill=KILL) == records.get("a")

    def test_no_kill_after_the_end(self, records, me):
        """A job that has ended keeps its outcome and gets no kill."""
        begin(records, me)
        finish(records, intent())
        assert records.kill(intent(), KILL).kill is None

    def test_finish_once(self, records, me):
        """The first outcome stays whatever comes later."""
        begin(records, me)
        written, first = finish(records, intent())
        assert first is True
        assert written == intent(outcome=DONE, ended_at=NOW, expires_at=LATER) == records.get("a")
        again, second = finish(records, intent(), OTHER, at=LATER)
        assert (second, again) == (False, written)
        assert written.ended == DONE

    def test_finish_makes_a_missing_record(self, records):
        """The end of a job that the records lost is written down all the same."""
        made = intent(engine_id="e", created_at=NOW)
        written, first = finish(records, made)
        assert first
        assert written == evolve(made, outcome=DONE, ended_at=NOW, expires_at=LATER)

    def test_a_record_without_outcome_has_no_end(self):
        """Asking for the end of a running job is a mistake of the caller."""
        with pytest.raises(ValueError, match="no outcome"):
            _ = intent().ended

    def test_finished_and_unfinished(self, records, me):
        """Both lists are complete, and the ended ones come oldest first."""
        for job_id in "abcd":
            begin(records, me, intent(job_id))
        for seconds, job_id in enumerate("cab"):
            finish(records, intent(job_id), at=NOW + timedelta(seconds=seconds))
        assert [r.job_id for r in records.finished()] == ["c", "a", "b"]
        assert [r.job_id for r in records.unfinished()] == ["d"]

    def test_announced(self, records, me):
        """That observers were told is remembered; of an unknown job it is no error."""
        begin(records, me)
        finish(records, intent())
        records.announced("a")
        records.announced("unknown")
        assert records.get("a").announced is True
        assert records.get("unknown") is None

    def test_forget_frees_the_id(self, records, me, other):
        """Record and lease go; another caller may begin anew."""
        begin(records, me)
        records.forget("a")
        records.forget("a")
        assert records.get("a") is None
        anew = begin(records, other)
        assert (anew.inserted, anew.leased) == (True, True)

    # -- leases --------------------------------------------------------------------------------

    def test_one_holder_at_a_time(self, records, me, other):
        """A lease is taken, renewed by its holder, refused to others, and free when given back."""
        assert records.leased("k") is None
        assert records.lease("k", holder=me, seconds=60)
        assert records.lease("k", holder=me, seconds=60)
        assert not records.lease("k", holder=other, seconds=60)
        assert records.leased("k") == me
        records.release("k", holder=other)
        assert records.leased("k") == me
        records.release("k", holder=me)
        records.release("k", holder=me)
        assert records.leased("k") is None
        assert records.lease("k", holder=other, seconds=60)

    def test_a_lease_runs_out(self, records, me, other):
        """A lease that was not renewed in time is free."""
        records.lease("k", holder=me, seconds=SOON)
        time.sleep(2 * SOON)
        assert records.leased("k") is None
        assert records.lease("k", holder=other, seconds=60)
        assert records.leased("k") == other

    def test_renew_renews_what_is_mine(self, records, me, other):
        """All leases of the holder are renewed, and nobody else's."""
        for key, holder in (("a", me), ("b", me), ("c", other)):
            records.lease(key, holder=holder, seconds=60)
        records.renew(holder=me, seconds=SOON)
        time.sleep(2 * SOON)
        assert [records.leased(key) for key in "abc"] == [None, None, other]
        records.renew(holder=me, seconds=60)
        assert [records.leased(key) for key in "abc"] == [me, me, other]

    def test_release_all(self, records, me, other):
        """A spawner that is closed gives back all of its leases."""
        for key, holder in (("a", me), ("b", me), ("c", other)):
            records.lease(key, holder=holder, seconds=60)
        records.release_all(holder=me)
        assert [records.leased(key) for key in "abc"] == [None, None, other]

    def test_the_lease_of_a_killed_process_is_void(self, records, me):
        """A lease of an hour is free as soon as its holder was killed with -9, reaped or not."""
        script = "from spawnery.holders import *; print(new_holder(), flush=True); input()"
        child = python(script)
        try:
            holder = child.stdout.readline().strip()
            assert begin(records, holder, seconds=3600).leased
            assert not records.lease("a", holder=me, seconds=60)
            assert is_alive(holder)
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert not is_alive(holder), "a zombie holds nothing"
            child.wait(LIMIT)
            assert not is_alive(holder)
            assert records.leased("a") is None
            assert begin(records, me).leased
        finally:
            end(child)

    def test_threads_take_turns(self, records):
        """Sixteen threads finish one job: one of them wrote the outcome."""
        barrier = threading.Barrier(16)
        first = []

        def run():
            barrier.wait(LIMIT)
            first.append(finish(records, intent())[1])

        threads = [threading.Thread(target=run) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert sorted(first) == [False] * 15 + [True]
