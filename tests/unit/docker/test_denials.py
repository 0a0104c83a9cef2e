"""Which words of a failed job's log say that it was denied what its image's user may do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from spawnery_docker.status import LABEL_REPLACED_USER, End, outcome_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def cause(tail: str, user: str = "root") -> tuple[str, str]:
    """Judge a failed job of the restricted profile."""
    end = End(code=1, started_at=AT, finished_at=AT)
    outcome = outcome_of(end, {LABEL_REPLACED_USER: user}, tail=tail)
    return outcome.cause, outcome.message


@pytest.mark.parametrize(
    "line",
    [
        "sh: /root/run.sh: Permission denied",
        "touch: cannot touch \u2018/etc/new\u2019: Permission denied",
        "touch: /etc/new: Permission denied",
        "touch: cannot touch '/etc/new': Permission denied",
        "sh: can't create /etc/new: Permission denied",
        "mkdir: can't create directory '/data': Read-only file system",
        "PermissionError: [Errno 13] Permission denied: '/var/lib/x'",
        'open() "/var/log/nginx/error.log" failed (13: Permission denied)',
        "E: List directory /var/lib/apt/lists/partial is missing.\nrm: /x: Operation not permitted",
    ],
)
def test_the_kernels_errors_are_evidence(line: str) -> None:
    """An error of the kernel on a path says that the profile is in the way."""
    assert cause(f"before\n{line}\n")[0] == "security.root_image"
    assert "own user, app," in cause(line, user="app")[1]


@pytest.mark.parametrize(
    "line",
    [
        "git@example.org: Permission denied (publickey).",
        "fatal: unable to access 'https://example.org/x/': 403 permission denied",
        "psql: ERROR: permission denied for table users",
        "are you root?",
    ],
)
def test_the_programs_own_words_are_none(line: str) -> None:
    """What a program says of other permissions is no reason to weaken security."""
    assert cause(line)[0] == "exit.nonzero"
