"""What tests of every engine do with jobs; the cases of the engines bind their own patience."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner

T = TypeVar("T")


def polled(probe: Callable[[], T], *, patience: float, pause: float) -> T:
    """Call something until it returns what is true, and return that."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(pause)
    message = f"not true within {patience} seconds: {probe}"
    raise AssertionError(message)


def finished_program(
    words: Sequence[str], *, folder: Path, environ: Mapping[str, str], patience: float
) -> subprocess.CompletedProcess[str]:
    """Run a program of a test to its end: in its folder, with its variables, without input."""
    return subprocess.run(
        list(words),
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience,
    )


def output_of(spawner: Spawner, spec: JobSpec, *, patience: float) -> str:
    """Run a job that succeeds; returns what it wrote."""
    job = spawner.spawn(spec, follow=True).job_id
    with spawner.logs(job, follow=True) as chunks:
        text = b"".join(chunk.data for chunk in chunks).decode()
    outcome = spawner.wait(job, patience)
    assert outcome.state is JobState.SUCCEEDED, (outcome, text)
    return text


def at_once(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Call all at the same moment, each in a thread; returns what they return or raise."""
    gate = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int, call: Callable[[], T]) -> None:
        gate.wait()
        try:
            results[index] = call()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
