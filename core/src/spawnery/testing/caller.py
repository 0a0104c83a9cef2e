"""A process that uses a spawner, for tests: ``python -m spawnery.testing.caller REQUEST``.

REQUEST is JSON: ``{"plugin": null or "module:attribute", "spec": {...}, "do": ["spawn", "wait"]}``.
Each verb's result is printed as one line of JSON; ``die`` ends the process by SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spawnery.errors import SpawnerError
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.model.job import JobSpec
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_LIMIT: Final = PATIENCE * 2


def spec_of(fields: Mapping[str, Any]) -> JobSpec:
    """Make a spec of plain fields."""
    from spawnery.jobfile.json import spec_from_json  # noqa: PLC0415 - late, so that P9 can look first

    return spec_from_json(fields)


def open_spawner(plugin: str | None) -> Spawner:
    """Open the spawner of our environment."""
    from spawnery.spawner import Spawner  # noqa: PLC0415 - late, so that P9 can look before it
    from spawnery.testing.bench import load_plugin  # noqa: PLC0415

    return Spawner.open(plugin=None if plugin is None else load_plugin(plugin))


def _results(request: Mapping[str, Any]) -> Iterator[Any]:
    with open_spawner(request["plugin"]) as spawner:
        yield from results(spawner, spec_of(request["spec"]), request["do"])


def results(spawner: Spawner, spec: JobSpec, verbs: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Do these verbs with a job; yields each with its result."""
    for verb in verbs:
        if verb == "die":
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            yield verb, _do(spawner, verb, spec)
        except SpawnerError as error:
            said = {"cause": error.cause, "message": error.message}
            yield verb, {"error": type(error).__name__, **said}


def _do(spawner: Spawner, verb: str, spec: JobSpec) -> Any:
    from spawnery.jobfile.json import to_json  # noqa: PLC0415 - late, so that P9 can look before it

    if verb == "spawn":
        return to_json(spawner.spawn(spec))
    if verb == "wait":
        return to_json(spawner.wait(spec.job_id, timeout=_LIMIT))
    if verb == "status":
        return to_json(spawner.status(spec.job_id))
    if verb == "stop":
        return to_json(spawner.stop(spec.job_id, grace_seconds=0))
    if verb == "remove":
        return spawner.remove(spec.job_id)
    if verb == "reap":
        return to_json([item for item in spawner.reap() if item.done])
    msg = f"unknown verb {verb}"
    raise ValueError(msg)


def start(
    bench: Bench, spec: Mapping[str, Any], *verbs: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process that does these verbs with a job; for the kit."""
    request = {"plugin": bench.plugin_path, "spec": dict(spec), "do": verbs}
    return subprocess.Popen(
        [*bench.python(), "-m", "spawnery.testing.caller", json.dumps(request)],
        env=bench.environ() | dict(variables or {}),
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, killed: bool = False) -> dict[str, Any]:
    """Wait for a process of ``start``; returns the result of each verb.

    Raises:
        AssertionError: It failed.
    """
    out, err = process.communicate(timeout=_LIMIT * 2)
    expected = -signal.SIGKILL if killed else 0
    assert process.returncode == expected, f"exit code {process.returncode}: {err}"
    return dict(map(json.loads, out.splitlines()))


def call(bench: Bench, spec: Mapping[str, Any], *verbs: str) -> dict[str, Any]:
    """Do these verbs with a job in a process of its own; returns the result of each."""
    return finish(start(bench, spec, *verbs), killed="die" in verbs)


def plain(spec: JobSpec) -> dict[str, Any]:
    """Return the fields of a spec that JSON can carry: all but literal secrets."""
    from spawnery.jobfile.json import to_json  # noqa: PLC0415 - imports what light users do not need

    found: dict[str, Any] = to_json(spec)
    return found


def main(arguments: Sequence[str]) -> None:
    """Run one request."""
    for verb, result in _results(json.loads(arguments[0])):
        sys.stdout.write(json.dumps([verb, result]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
