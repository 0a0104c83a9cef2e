"""Ages are of the boot's clock, whatever happens to the wall clock."""

from __future__ import annotations

import pytest
from spawnery.local.supervision import supervisor
from spawnery.local.system.clocks import Clocks, Moment

HOUR = 3600.0
THEN = Moment(wall=1000.0, seconds=50.0, boot="b").facts("accepted")


def later(seconds: float, *, step: float = 0.0, boot: str = "b") -> Moment:
    """Return the moment that many seconds later, after the wall clock was set by ``step``."""
    return Moment(wall=1000.0 + seconds + step, seconds=50.0 + seconds, boot=boot)


@pytest.mark.parametrize("step", [0.0, HOUR, -HOUR, 0.01])
def test_an_age_is_right_after_a_step_of_the_wall_clock(step):
    """What happened 20 seconds ago is told as 20 seconds before now."""
    now = later(20.0, step=step)
    assert now.wall - now.wall_time(THEN, "accepted") == pytest.approx(20.0, abs=0.06)
    assert now.until(THEN, "accepted", 30.0) == pytest.approx(now.seconds + 10.0)


def test_a_time_is_told_as_it_was_written_while_nobody_sets_the_clock():
    """Two looks tell the same time to the microsecond."""
    assert {later(n, step=n / 1e4).wall_time(THEN, "accepted") for n in range(100)} == {1000.0}


def test_a_sleeping_machine_grows_older():
    """The boot's clock goes on, so the deadline is over after an hour of sleep."""
    now = later(HOUR)
    assert now.until(THEN, "accepted", 30.0) < now.seconds


@pytest.mark.parametrize("facts", [{"accepted_at": 1000.0}, {**THEN, "boot": "before"}])
def test_what_an_earlier_boot_wrote_is_told_by_the_wall_clock(facts):
    """So is what a version before 0.2 wrote."""
    now = later(20.0)
    assert now.wall_time(facts, "accepted") == 1000.0
    assert now.until(facts, "accepted", 30.0) == pytest.approx(now.seconds + 10.0)


def test_a_clock_without_a_boot_id_is_the_wall_clock():
    """Where the system names no boot, seconds since the boot may be of another one."""
    now = later(20.0, step=HOUR, boot="")
    assert now.wall_time({**THEN, "boot": ""}, "accepted") == 1000.0


def test_the_clocks_of_this_machine():
    """Both go on, and the boot has a name."""
    first, second = Clocks().now(), Clocks().now()
    assert first.seconds <= second.seconds
    assert first.boot == second.boot


def test_a_supervisor_ends_a_job_whose_deadline_passed_in_its_sleep(tmp_path, monkeypatch):
    """The machine sleeps for an hour between two steps of the supervisor."""
    awake = Clocks().now().seconds
    order = {"tail_bytes": 0, "secrets": [], "log_bytes": 1 << 20, "grace_seconds": 5.0}
    job = supervisor.Supervisor(str(tmp_path), {**order, "deadline": awake + 60.0})
    job._keep_time(awake + 1.0)
    assert job._reason is None
    monkeypatch.setattr(supervisor.clocks, "since_boot", lambda: awake + HOUR)
    job._keep_time(supervisor.clocks.since_boot())
    assert job._reason == "deadline"
    assert job._kill_at == awake + HOUR + 5.0
