"""Whether a log begins at the beginning is judged by its length and its first line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from spawnery_kubernetes.objects.facts import ContainerFacts, PodFacts, Terminated
from spawnery_kubernetes.reading.log_loss import Beginning

START = datetime(2026, 11, 27, tzinfo=UTC)
RUNS = ContainerFacts(name="job", running_since=START)
ENDED = ContainerFacts(name="job", terminated=Terminated(code=0, started_at=START))


@pytest.mark.parametrize("main", [RUNS, ENDED], ids=["runs", "ended"])
@pytest.mark.parametrize(
    ("late", "lines", "told"),
    [(30.0, 40_000, True), (30.0, 100, False), (1.5, 40_000, False), (-0.5, 40_000, False)],
    ids=["long and late", "short", "at once", "within the second"],
)
def test_a_long_log_with_a_late_first_line_is_in_doubt(
    main: ContainerFacts, late: float, lines: int, told: bool
) -> None:
    """A short one, or one that begins with the program, is not."""
    beginning = Beginning()
    at = int((START + timedelta(seconds=late)).timestamp()) * 10**9
    for _ in range(2):
        beginning.read(at, [b"1234567\n"] * (lines // 2))
    pod = PodFacts(name="p", namespace="n", uid="u", labels={}, phase="Running", main=main)
    reason = beginning.doubt(pod)
    assert (reason is not None) is told
    assert reason is None or "30 s after the start" in reason
