"""The watch: the list first, then every change, one thread for all jobs."""

from __future__ import annotations

import threading

from spawnery.contract import WatchRequest
from spawnery.model import JobGone, JobSeen, JobState, Synced


def test_the_list_comes_first_then_changes_then_the_removal(engine):
    """A terminal JobSeen precedes the JobGone."""
    engine.sh("old", "exit 4")
    engine.ended("old")
    with engine.spawner.watch(WatchRequest()) as stream:
        first = next(stream)
        assert isinstance(first, JobSeen)
        assert first.status.outcome.exit_code == 4
        assert isinstance(next(stream), Synced)
        engine.sh("new", "sleep 0.2")
        states = []
        for event in stream:
            if isinstance(event, JobSeen) and event.status.job_id == "new":
                states.append(event.status.state)
                if event.status.state.terminal:
                    engine.remove("new")
            if isinstance(event, JobGone) and event.job_id == "new":
                break
        assert states[-1] is JobState.SUCCEEDED
        assert states == sorted(set(states), key=states.index)


def test_a_lost_job_is_seen_by_the_watch(engine):
    """It ends what is left and tells."""
    import json
    import os
    import signal

    engine.sh("job", "sleep 600")
    with engine.spawner.watch(WatchRequest()) as stream:
        facts = json.loads((engine.job("job") / "supervisor.json").read_bytes())
        os.kill(facts["pid"], signal.SIGKILL)
        for event in stream:
            if isinstance(event, JobSeen) and event.status.state.terminal:
                assert event.status.outcome.cause == "lost.supervisor"
                break


def test_a_blocked_watch_is_woken_by_close(engine):
    """And needs one thread, whatever the number of jobs."""
    for number in range(5):
        engine.sh(f"job-{number}", "sleep 600")
    before = threading.active_count()
    stream = engine.spawner.watch(WatchRequest())
    seen = [next(stream) for _ in range(6)]
    assert isinstance(seen[-1], Synced)
    assert threading.active_count() == before + 1
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(30)
    assert not reader.is_alive()


def test_a_folder_made_again_under_the_name_is_a_new_job(engine):
    """The inode tells it from the old one."""
    engine.sh("job", "exit 1")
    engine.ended("job")
    with engine.spawner.watch(WatchRequest()) as stream:
        assert next(stream).status.outcome.exit_code == 1
        engine.remove("job")
        engine.sh("job", "exit 2")
        for event in stream:
            outcome = event.status.outcome if isinstance(event, JobSeen) else None
            if outcome is not None and outcome.exit_code == 2:
                break
