"""Names that our objects carry, beside the labels that all spawners share."""

from __future__ import annotations

from typing import Final

CONTAINER: Final = "job"
"""The container of the job; others of its pod are not ours (sidecars)."""

LABEL_OF_JOB: Final = "batch.kubernetes.io/job-name"
LABEL_OF_UID: Final = "batch.kubernetes.io/controller-uid"
"""What the Job controller writes on each pod: the name and the uid of its Job."""

STOPPED: Final = "spawnery.dev/stopped"
"""Annotation of a Job that we are about to kill: the reason and the time, a space between."""
SECRET: Final = "spawnery.dev/secret"  # noqa: S105 - a name
"""Annotation of a Job: the Secret of its own that holds the values that we gave it."""
SECRET_ENV: Final = "spawnery.dev/secret-env"  # noqa: S105 - a name
"""Annotation of a Job: names of its secret variables, commas between them."""
DEFAULT_USER: Final = "spawnery.dev/default-user"
"""Annotation of a Job: the user that the profile gave it, where nobody asked for one."""
