"""Refuses jobs whose image is not on the operator's list."""

from __future__ import annotations

import fnmatch
from typing import Final

from spawnery import HookContext, JobSpec, hookimpl
from spawnery.errors import JobRefused

VARIABLE: Final = "POLICY_ALLOWED_IMAGES"
"""Patterns with commas between them, ``*`` and ``?`` match; unset allows no image at all."""


class AllowImages:
    """Reviews jobs; one without an image is none of its business."""

    @hookimpl
    def review_job(self, job: JobSpec, context: HookContext) -> JobSpec | None:
        """Let a job pass, or refuse it with words for a person."""
        if job.image is None:
            return None
        allowed = [p.strip() for p in context.environ.get(VARIABLE, "").split(",") if p.strip()]
        if any(fnmatch.fnmatchcase(job.image, pattern) for pattern in allowed):
            return None
        msg = f"image: {job.image} is not allowed here; allowed: {', '.join(allowed) or 'none'}"
        hint = f"use an allowed image, or ask the operators to add it to {VARIABLE}"
        raise JobRefused(msg, job_id=job.job_id, hint=hint)


EXTENSION: Final = AllowImages()
