"""Who is next: room is shared between people, and no limit is passed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.model.fairness import order, startable
from spawnery_dispatcher.model.models import Ask, Place, Platform

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def ask(number, user="u", project="p"):
    return Ask(
        job_id=f"j{number}",
        project=project,
        issue=number,
        text="",
        user=user,
        place=Place(platform=Platform.CHAT, channel="c"),
        asked_at=NOW + timedelta(seconds=number),
    )


def ids(asks):
    return [item.job_id for item in asks]


def test_a_flood_of_one_does_not_hold_back_others():
    """Whoever asked ten times before me is not ahead of me ten times."""
    waiting = [*(ask(n, "a") for n in range(5)), ask(5, "b")]
    assert ids(order(waiting, [])) == ["j0", "j5", "j1", "j2", "j3", "j4"]
    assert ids(order(waiting, [ask(9, "a")]))[0] == "j5"


def test_turns_are_taken_where_one_runs_at_a_time():
    """Whoever had a turn is behind who had none, also when nothing runs."""
    waiting = [ask(0, "a"), ask(1, "a"), ask(2, "b")]
    limits = Limits(jobs=1)
    assert ids(startable(waiting, [], limits, {"a": 100.0})) == ["j2"]
    assert ids(startable(waiting, [], limits, {"a": 100.0, "b": 200.0})) == ["j0"]
    assert ids(order(waiting, [ask(9, "a")], {"a": 100.0})) == ["j2", "j0", "j1"]
    assert ids(order(waiting, [], {"a": 100.0})) == ["j2", "j0", "j1"]


def test_a_limit_holds_back_only_whom_it_is_for():
    """A person at the limit does not block others behind."""
    waiting = [ask(0, "a"), ask(1, "a"), ask(2, "b")]
    limits = Limits(jobs=5, per_user=1, per_project=5)
    assert ids(startable(waiting, [ask(9, "a")], limits)) == ["j2"]


asks = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pq")), max_size=12).map(
    lambda pairs: [ask(n, user, project) for n, (user, project) in enumerate(pairs)]
)
limits_of_any_kind = st.builds(
    Limits,
    jobs=st.integers(1, 8),
    per_user=st.integers(1, 4),
    per_project=st.integers(1, 4),
)


@given(asks, asks, limits_of_any_kind)
def test_no_limit_is_passed_and_no_room_is_left(waiting, running, limits):
    """What starts fits all limits, and what does not start would not have fitted."""
    chosen = startable(waiting, running, limits)
    together = [*running, *chosen]
    users, projects = Counter(a.user for a in together), Counter(a.project for a in together)
    for item in chosen:
        assert users[item.user] <= limits.per_user
        assert projects[item.project] <= limits.per_project
    assert len(chosen) <= max(0, limits.jobs - len(running))
    left = [item for item in waiting if item not in chosen]
    for item in left:
        full = len(together) >= limits.jobs
        assert (
            full
            or users[item.user] >= limits.per_user
            or projects[item.project] >= limits.per_project
        )


@given(asks, asks)
def test_everybody_is_in_the_order_once(waiting, running):
    """The order holds all who wait; a person's own jobs keep theirs."""
    placed = order(waiting, running)
    assert sorted(ids(placed)) == sorted(ids(waiting))
    for user in "abc":
        own = [item.job_id for item in waiting if item.user == user]
        assert [item.job_id for item in placed if item.user == user] == own
