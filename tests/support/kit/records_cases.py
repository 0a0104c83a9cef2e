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
from spawnery.contract import JobRecords, Kill, Place, Record, Step
from spawnery.errors import JobNotFound
from spawnery.model import KillReason
from spawnery.records.leases import is_alive, new_holder

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


ONE = Place(endpoint="unix:///run/one.sock", id="engine-1", title="one")
TWO = Place(endpoint="tcp://two:2375", id="engine-2", title="two")
ONE_BY_TCP = Place(endpoint="tcp://one:2375", id="engine-1", title="one by tcp")
GONE = Outcome(state=JobState.LOST, cause="lost.place", message="its place was given up")


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

    def test_a_step_is_kept_until_the_object_exists(self, records, me):
        """It is read as it was written; afterwards, and without a record, it changes nothing."""
        full = Step(holder=me, since=NOW, message="m", cause="c", current=1, total=2)
        records.step("a", full)
        assert records.get("a") is None
        begin(records, me)
        records.step("a", full)
        assert records.get("a").step == full
        assert [record.step for record in records.unfinished()] == [full]
        plain = Step(holder=me, since=LATER, message="n")
        records.step("a", plain)
        assert records.get("a").step == plain
        records.created("a", engine_id="e", at=NOW)
        records.step("a", full)
        assert records.get("a").step == plain

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
        script = "from spawnery.records.leases import *; print(new_holder(), flush=True); input()"
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

    # -- identity ------------------------------------------------------------------------------

    def test_the_record_id_is_kept(self, records, me):
        """What the object carries comes back from every method."""
        begin(records, me, intent(record_id="r1"))
        assert records.get("a").record_id == "r1"
        assert records.created("a", engine_id="e", at=NOW).record_id == "r1"
        assert records.unfinished()[0].record_id == "r1"

    def test_created_takes_over_what_the_object_carries(self, records, me):
        """An object that was there before its record gives the record its id."""
        begin(records, me, intent(record_id="r1"))
        assert records.created("a", engine_id="e", at=NOW, record_id="r0").record_id == "r0"
        assert records.get("a").record_id == "r0"

    def test_evidence_of_an_earlier_job_changes_nothing(self, records, me):
        """A kill and an end of a job that was removed do not touch its successor."""
        first = begin(records, me, intent(record_id="r1")).record
        records.forget("a")
        second = begin(records, me, intent(record_id="r2")).record
        assert records.kill(first, KILL) == first
        assert finish(records, first) == (first, False)
        assert records.kill(first, KILL, new=True) == first
        assert records.get("a") == second

    def test_evidence_of_what_has_no_record_makes_none(self, records, me):
        """A kill and an end of a job that was removed leave it removed."""
        first = begin(records, me, intent(record_id="r1")).record
        records.forget("a")
        assert records.kill(first, KILL) == first
        assert finish(records, first, new=False) == (first, False)
        assert records.get("a") is None
        assert list(records.finished()) == list(records.unfinished()) == []

    # -- places --------------------------------------------------------------------------------

    def test_a_place_is_known_again(self, records):
        """The same place has the same key, whatever it is called; another one has another."""
        one = records.enter(ONE)
        two = records.enter(TWO)
        assert one != two
        assert records.enter(evolve(ONE, title="other words")) == one
        shown = {place.key: place for place in records.places()}
        assert {one, two} == set(shown)
        assert (shown[one].here, shown[two].here) == (True, False)
        assert shown[one].place == evolve(ONE, title="other words")
        assert shown[one].seen_at >= shown[two].seen_at

    def test_one_id_in_two_places_is_two_jobs(self, records, me, other):
        """Records and leases of one place are not seen in another one, and stay as they are."""
        records.enter(ONE)
        here = begin(records, me, intent(record_id="r1")).record
        key = records.enter(TWO)
        assert records.get("a") is None
        assert records.leased("a") is None
        assert list(records.unfinished()) == []
        there = begin(records, other, intent(record_id="r2", spec_hash="v1.y"))
        assert (there.inserted, there.leased, there.record.place) == (True, True, key)
        finish(records, there.record)
        records.release("a", holder=other)
        records.forget("a")
        records.enter(ONE)
        assert records.get("a") == here
        assert records.leased("a") == me

    def test_a_removal_in_one_place_keeps_the_other_ones_job(self, records, me, other):
        """Nothing that is done to a job reaches the job of the same id in another place."""
        for place, holder in ((ONE, me), (TWO, other)):
            records.enter(place)
            begin(records, holder)
        records.kill(records.get("a"), KILL)
        assert records.withdraw("a") is False
        finish(records, records.get("a"))
        records.announced("a")
        records.forget("a")
        records.enter(ONE)
        found = records.get("a")
        assert (found.kill, found.outcome, found.announced) == (None, None, False)
        assert records.leased("a") == me
        assert records.withdraw("a") is True

    def test_elsewhere_names_the_other_places(self, records, me):
        """An id that is recorded in another place only is found there, and not here."""
        one = records.enter(ONE)
        begin(records, me)
        assert list(records.elsewhere("a")) == []
        records.enter(TWO)
        assert [place.key for place in records.elsewhere("a")] == [one]
        assert records.elsewhere("a")[0].place.title == "one"
        assert list(records.elsewhere("unknown")) == []

    def test_places_count_what_has_not_ended(self, records, me):
        """Each place is shown with the number of its jobs that have no outcome."""
        one = records.enter(ONE)
        for job_id in "abc":
            begin(records, me, intent(job_id))
        finish(records, intent("a"))
        two = records.enter(TWO)
        begin(records, me, intent("a"))
        assert {p.key: p.unfinished for p in records.places()} == {one: 2, two: 1}

    def test_two_endpoints_of_one_engine_are_one_place(self, records, me, other):
        """A job that was made through one endpoint is seen, changed and ended through the other."""
        records.enter(ONE)
        begin(records, me)
        records.enter(ONE_BY_TCP)
        again = begin(records, other)
        assert (again.inserted, again.leased) == (False, False)
        assert records.leased("a") == me
        assert [record.job_id for record in records.unfinished()] == ["a"]
        assert list(records.elsewhere("a")) == []
        assert records.kill(again.record, KILL).kill == KILL
        assert finish(records, again.record)[1]
        assert [record.job_id for record in records.finished()] == ["a"]
        assert all(place.here for place in records.places())
        records.forget("a")
        records.enter(ONE)
        assert records.get("a") is None
        assert records.leased("a") is None

    def test_cloned_machines_have_one_id(self, records, me):
        """Absence behind one endpoint proves nothing of another's jobs until one was seen there."""
        records.enter(ONE)
        record = begin(records, me).record
        assert records.absence_counts(record)
        records.enter(ONE_BY_TCP)
        assert not records.absence_counts(record)
        assert records.absence_counts(begin(records, me, intent("b")).record)
        records.seen_here(record)
        assert records.absence_counts(record)
        records.enter(ONE)
        assert records.absence_counts(records.get("b"))

    def test_an_id_is_learned(self, records, me):
        """A place that was known by its endpoint is the same one when it says its id."""
        key = records.enter(evolve(ONE, id=None))
        record = begin(records, me).record
        assert records.enter(ONE) == key
        assert records.get("a") == record
        assert records.absence_counts(record)
        records.enter(ONE_BY_TCP)
        assert records.get("a") == record

    def test_two_records_of_one_object_become_one(self, records, me):
        """An object that was recorded at two endpoints, one of which hid the id, has one end."""
        hidden = evolve(ONE_BY_TCP, id=None)
        records.enter(hidden)
        begin(records, me, intent("a"))
        record = records.created("a", engine_id="object-a", at=NOW)
        begin(records, me, intent("b"))
        records.created("b", engine_id="object-b", at=NOW)
        records.enter(ONE)
        assert finish(records, record, new=True)[1]
        begin(records, me, evolve(intent("b"), record_id="of another object"))
        records.enter(ONE_BY_TCP)
        assert records.get("a").outcome is not None
        assert [place.unfinished for place in records.places() if place.here] == [1, 1]
        assert records.absence_counts(records.get("a"))
        records.forget("a")
        assert records.get("a") is None
        assert records.get("b").engine_id == "object-b"

    def test_an_id_that_cannot_be_read_any_more(self, records, me):
        """An endpoint that stops to say its id stays the place that it was."""
        key = records.enter(ONE)
        begin(records, me)
        assert records.enter(evolve(ONE, id=None)) == key
        assert records.get("a") is not None
        assert records.enter(ONE) == key

    def test_another_engine_at_a_known_endpoint(self, records, me):
        """An engine that was installed anew is another place; the jobs of the old one stay."""
        old = records.enter(ONE)
        begin(records, me)
        new = records.enter(evolve(ONE, id="engine-9"))
        assert new != old
        assert records.get("a") is None
        assert [place.key for place in records.elsewhere("a")] == [old]

    def test_giving_up_a_place(self, records, me):
        """Its jobs that have no outcome get this one, once; nothing else is touched."""
        one = records.enter(ONE)
        for job_id in "abc":
            begin(records, me, intent(job_id))
        finish(records, intent("c"))
        records.enter(TWO)
        mine = begin(records, me, intent("a")).record
        ended = records.give_up(one, GONE, at=NOW, expires_at=LATER)
        assert sorted(record.job_id for record in ended) == ["a", "b"]
        assert {record.outcome for record in ended} == {GONE}
        assert list(records.give_up(one, GONE, at=NOW, expires_at=LATER)) == []
        assert records.get("a") == mine
        records.enter(ONE)
        assert records.get("a").outcome == GONE
        assert records.get("c").outcome == DONE
        assert [record.expires_at for record in records.finished()] == [LATER] * 3

    def test_only_another_place_is_given_up(self, records, me):
        """The present place, by each of its endpoints, and one that is not known are refused."""
        by_socket = records.enter(ONE)
        begin(records, me)
        by_tcp = records.enter(ONE_BY_TCP)
        for key in (by_socket, by_tcp, "unknown"):
            with pytest.raises(LookupError):
                records.give_up(key, GONE, at=NOW, expires_at=LATER)
        assert records.get("a").outcome is None

    # -- what versions before 0.2 left ---------------------------------------------------------

    def test_a_record_without_a_place_holds_everywhere(self, records, me, other):
        """Its id is taken, its lease held and its kill seen in every place; absence ends it not."""
        begin(records, me)
        records.kill(intent(), KILL)
        for place in (ONE, TWO):
            records.enter(place)
            again = begin(records, other)
            assert (again.inserted, again.leased) == (False, False)
            assert (again.record.kill, again.record.place) == (KILL, None)
            assert not records.absence_counts(again.record)
            assert [record.job_id for record in records.unfinished()] == ["a"]
        assert {place.unfinished for place in records.places()} == {0}

    def test_its_object_gives_it_a_place(self, records, me):
        """Once its object was seen it is a job of that place, and of no other."""
        begin(records, me)
        key = records.enter(TWO)
        assert records.seen_here(records.get("a")).place == key
        assert records.get("a").place == key
        assert records.absence_counts(records.get("a"))
        assert [place.unfinished for place in records.places()] == [1]
        records.enter(ONE)
        assert records.get("a") is None
        assert [place.key for place in records.elsewhere("a")] == [key]
        assert begin(records, me).inserted
        records.enter(TWO)
        assert [record.place for record in records.unfinished()] == [key]
        assert records.kill(records.get("a"), KILL).kill == KILL
        records.forget("a")
        assert records.get("a") is None
        records.enter(ONE)
        assert records.get("a").kill is None

    def test_an_end_without_a_place_is_a_tombstone_everywhere(self, records, me):
        """The outcome of a job whose place is not known holds in every place, until forgotten."""
        begin(records, me)
        finish(records, intent())
        for place in (ONE, TWO):
            records.enter(place)
            assert records.get("a").outcome == DONE
            assert begin(records, me).inserted is False
        records.forget("a")
        records.enter(ONE)
        assert begin(records, me).inserted is True
