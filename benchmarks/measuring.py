"""Paired, interleaved measurements and how they are printed."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import psutil


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def calm(*, busy: float = 40.0, patience: float = 10.0) -> None:
    """Wait until the machine does little else, which would be measured, too.

    Args:
        busy: Percent of all processors that others may use.
        patience: Most seconds to wait; then it is measured as it is.
    """
    until = time.monotonic() + patience
    while psutil.cpu_percent(interval=1.0) > busy and time.monotonic() < until:
        pass


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int
) -> tuple[list[float], list[float]]:
    """Measure two things in turns, so that the machine's moods meet both.

    Args:
        ours: Returns one measured value.
        theirs: Returns one measured value.
        rounds: How often; the first round warms up and does not count.
    """
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    return [a for a, _ in pairs], [b for _, b in pairs]


def timed(*arguments: str, environ: dict[str, str] | None = None) -> float:
    """Return the wall time in seconds of one fresh process."""
    started = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True, env=environ)
    return time.perf_counter() - started


def python(code: str, environ: dict[str, str] | None = None) -> float:
    """Return the wall time in seconds of a fresh interpreter that runs ``code``."""
    return timed(sys.executable, "-c", code, environ=environ)


def row(what: str, value: str, limit: str, *, met: bool) -> str:
    """Return one line of the table; what has no limit is neither met nor missed."""
    verdict = ("met" if met else "**missed**") if limit else ""
    return f"| {what} | {value} | {limit} | {verdict} |"


def spread(values: Sequence[float], unit: str, scale: float) -> str:
    """Return a median with its quartiles."""
    low, middle, high = (value * scale for value in quartiles(values))
    return f"{middle:.1f} {unit} ({low:.1f} to {high:.1f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each pair."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]
