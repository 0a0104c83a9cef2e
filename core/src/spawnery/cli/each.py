"""One verb for several jobs: a failure of one does not keep the others from their turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spawnery.cli import exits, failure
from spawnery.errors import SpawnerError

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.spawner import Spawner


def for_each(app: App, job_ids: Sequence[str], act: Callable[[Spawner, str], None]) -> int:
    """Act on each job and return the exit code: that of the last failure, else 0."""
    code = exits.OK
    with app.open() as spawner:
        for job_id in dict.fromkeys(job_ids):
            try:
                act(spawner, job_id)
            except SpawnerError as error:
                failure.tell_error(app, error)
                code = exits.of_error(error)
    return code
