"""What an engine dropped of a log is worked out: never where nothing was, always where much was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery_docker.output.account import Account, Limits, limits_of
from spawnery_docker.output.demux import STDOUT

START = datetime(2026, 11, 27, tzinfo=UTC)
NANO = 1_000_000_000
LIMITS = Limits("json-file", size=1000, files=4)


def message(after, data=b"line\n"):
    return (STDOUT, int((START.timestamp() + after) * NANO), data)


def as_the_daemon_writes(text):
    """json-file: jsonlog/jsonlogbytes.go."""
    escaped = json.dumps(text, ensure_ascii=False)
    for short in ("\\t", "\\b", "\\f"):
        escaped = escaped.replace(short, "\\u0000")
    for plain in "<>&":
        escaped = escaped.replace(plain, "\\u0000")
    escaped = escaped.replace("\N{REPLACEMENT CHARACTER}", "\\ufffd")
    return (
        f'{{"log":{escaped},"stream":"stdout","time":"2026-11-27T09:37:42.184696479Z"}}\n'.encode()
    )


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\u2028\u2029")
    | st.sampled_from('<&\t"\\')
)


@given(st.lists(TEXT.map(lambda text: text + "\n")))
def test_what_a_log_takes_on_disk(lines):
    """Within a byte a line (trailing zeros of its time), whatever is written."""
    stored = LIMITS.stored([(STDOUT, 0, line.encode()) for line in lines])
    wanted = sum(len(as_the_daemon_writes(line)) for line in lines)
    assert abs(stored - wanted) <= len(lines)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"Type": "json-file", "Config": {"max-size": "100", "max-file": "2"}}, (100, 2)),
        ({"Type": "local", "Config": {"max-size": "100", "max-file": "4"}}, (100, 4)),
        ({"Type": "json-file", "Config": {}}, None),
        ({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}, None),
        ({"Type": "journald", "Config": None}, None),
    ],
)
def test_limits_are_those_of_the_container(config, found):
    """Also of one of an earlier version; what is in other words is not guessed."""
    limits = limits_of({"HostConfig": {"LogConfig": config}})
    assert (limits and (limits.size, limits.files)) == found


def test_a_log_that_never_filled_its_files_is_whole():
    """And one that did may miss its beginning."""
    line = LIMITS.stored([message(0)])
    for count, told in ((2999 // line, False), (2999 // line + 1, True)):
        account = Account(LIMITS, lambda: START, None)
        account.read([message(0)] * count, from_start=True)
        lost, reason = account.missing()
        assert (lost, reason is not None) == (0, told)


def followed(times, lag):
    """Follow a message at each time, each so long after it was written."""
    at = 0.0
    account = Account(LIMITS, lambda: START + timedelta(seconds=at + lag), None)
    for at in times:
        account.follow([message(at)], from_start=False)
        account.gave(5)
    return account


@pytest.mark.parametrize(
    ("times", "lag", "doubtful"),
    [
        ([n / 1e5 for n in range(1000)], 0.0, False),
        ([n / 1e5 for n in range(1000)], 30.0, False),
        ([n * 2.0 for n in range(1000)], 0.5, False),
        ([n / 1e5 for n in range(500)] + [10 + n / 1e5 for n in range(500)], 0.0, False),
        ([n / 1e5 for n in range(500)] + [10 + n / 1e5 for n in range(500)], 30.0, True),
        ([0.0, 10.0], 30.0, False),
    ],
    ids=["quick", "slow reader", "slow job", "pause", "hole", "first file"],
)
def test_a_follower_that_was_behind_is_in_doubt(times, lag, doubtful):
    """Only where a hole in the times was already written when what is before it came."""
    assert followed(times, lag).doubtful is doubtful


@pytest.mark.parametrize(("opened", "told"), [(-1.0, False), (1.0, True)])
def test_a_follower_that_came_late_may_miss_the_beginning(opened, told):
    """What was written before it came fills all files, or came afterwards."""
    account = Account(LIMITS, lambda: START + timedelta(seconds=opened), None)
    line = LIMITS.stored([message(0)])
    account.follow([message(0)] * (2999 // line), from_start=True)
    assert account.missing() == (0, None)
    account.follow([message(0)], from_start=True)
    lost, reason = account.missing()
    assert (lost, reason is not None) == (0, told)


def test_what_a_follower_missed_is_counted_where_all_is_kept():
    """What is there and was not given is missing."""
    account = followed([n / 1e5 for n in range(50)] + [10.0], 30.0)
    assert account.doubtful
    account.check_all()
    account.read([message(n / 1000) for n in range(20)], from_start=True)
    account.gave(0)
    assert account.missing() == (0, None)
    account.read([message(n / 1000) for n in range(20, 60)], from_start=True)
    lost, reason = account.missing()
    assert (lost, reason is not None) == (5 * 60 - 5 * 51, True)
