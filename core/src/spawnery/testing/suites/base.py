"""What all suites share: the spawner's fixture, and words for what they do again and again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import pytest

from spawnery.model.outcome import JobState, JobStatus, Outcome
from spawnery.testing.promises import PROPERTY, SPAWNER_PROPERTY, promise_of
from spawnery.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from spawnery.contract.requests import Deadline
    from spawnery.contract.streams import JobStream
    from spawnery.model.job import JobSpec
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench
    from spawnery.testing.faults import FaultPort

T = TypeVar("T")
WAKE: float = 5.0
"""Seconds within which a blocked reader must notice that its stream was closed (it takes one)."""


class Suite:
    """Base of all suites; the author's class supplies the fixture ``bench``."""

    __test__: ClassVar[bool] = False

    @pytest.fixture
    def spawner(self, bench: Bench) -> Iterator[Spawner]:
        """Open the spawner in this process."""
        with bench.open() as opened:
            yield opened

    @pytest.fixture(autouse=True)
    def _reported(
        self, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
    ) -> None:
        """Note promise and spawner for the report."""
        number = promise_of(request.function)
        if number is not None:
            record_property(PROPERTY, number)
            record_property(SPAWNER_PROPERTY, type(self).__name__)


def need(spawner: Spawner, *capabilities: str) -> None:
    """Skip a test of something that the spawner does not declare; P5 tests that it refuses it."""
    missing = sorted(set(capabilities) - spawner.capabilities)
    if missing:
        pytest.skip(f"refused: the spawner does not declare {', '.join(missing)}")


def need_shared(bench: Bench) -> None:
    """Skip a test with several processes where they cannot reach the same engine."""
    if not bench.shared:
        pytest.skip("the engine of this bench lives in the test's own process")


def need_faults(bench: Bench, *points: str) -> FaultPort:
    """Skip a test with faults where none can be injected."""
    port = bench.faults()
    if port is None or not set(points) <= set(bench.fault_points):
        pytest.skip("this bench has no fault port" + (f" for {', '.join(points)}" if port else ""))
    return port


def need_shared_faults(bench: Bench) -> FaultPort:
    """Skip a test with faults in other processes where these do not go through the port."""
    need_shared(bench)
    port = need_faults(bench)
    if not bench.faults_shared:
        pytest.skip("the fault port of this bench does not see requests of other processes")
    return port


def kept(spawner: Spawner) -> dict[str, Any]:
    """Return the fields of a job whose object outlives it for a while, where that is declared."""
    return {"retention_seconds": 900} if "field.retention_seconds" in spawner.capabilities else {}


def finished(spawner: Spawner, spec: JobSpec) -> Outcome:
    """Spawn a job and wait for its end."""
    spawner.spawn(spec)
    return spawner.wait(spec.job_id, timeout=PATIENCE)


def until_running(spawner: Spawner, job_id: str) -> JobStatus:
    """Wait until a job runs."""

    def running() -> JobStatus | None:
        """The job runs."""
        status = spawner.status(job_id)
        return status if status.state is JobState.RUNNING else None

    found = eventually(running)
    assert found is not None
    return found


def until_ready(spawner: Spawner, job_id: str) -> None:
    """Wait until the program of a job has printed ``ready``."""

    def ready() -> bool:
        """The job has printed ready."""
        return b"ready" in log_of(spawner, job_id)

    until_running(spawner, job_id)
    if "logs" in spawner.capabilities:
        eventually(ready)


def log_of(spawner: Spawner, job_id: str, **how: Any) -> bytes:
    """Read the log of a job, both streams together."""
    with spawner.logs(job_id, **how) as stream:
        return b"".join(chunk.data for chunk in read(stream))


_END: Final = object()


def read(stream: JobStream[T]) -> Iterator[T]:
    """Read a stream to its end, and fail when it has nothing more to say for too long.

    It is read in a thread of its own, so that one that never wakes its reader hangs no test.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_pour, args=(stream, items), daemon=True).start()
    while True:
        try:
            item = items.get(timeout=PATIENCE)
        except queue.Empty:
            text = f"the stream neither said anything nor ended within {PATIENCE:g} s"
            raise AssertionError(text) from None
        if item is _END:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def _pour(stream: JobStream[Any], items: queue.SimpleQueue[Any]) -> None:
    try:
        for item in stream:
            items.put(item)
    except BaseException as error:  # noqa: BLE001 - raised again by the one who reads
        items.put(error)
    items.put(_END)


def promptly(act: Callable[..., T], *given: Any, **named: Any) -> T:
    """Call what must not hang; fail when it has not returned in time."""
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call() -> None:
        try:
            done.put((act(*given, **named), None))
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            done.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        found, error = done.get(timeout=PATIENCE * 2)
    except queue.Empty:
        text = f"{getattr(act, '__name__', act)}() did not return within {PATIENCE * 2:g} s"
        raise AssertionError(text) from None
    if error is not None:
        raise error
    result: T = found
    return result


def nothing_left(bench: Bench, *, but: frozenset[str] = frozenset()) -> None:
    """Wait until the engine is as empty as it was."""

    def left() -> bool:
        """Nothing is left in the engine."""
        found = bench.objects() - but
        assert not found, f"left in the engine: {sorted(found)}"
        return True

    eventually(left)


class Timer:
    """Measures how long something took."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._begin


def limit(seconds: float = PATIENCE) -> Deadline:
    """Return a deadline for a request of the contract."""
    from spawnery.contract.requests import Deadline  # noqa: PLC0415 - kept out of the tests' way

    return Deadline.after(seconds)
