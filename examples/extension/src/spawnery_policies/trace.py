"""Gives each job a ``TRACEPARENT`` (https://www.w3.org/TR/trace-context/#traceparent-header)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from spawnery import HookContext, JobSpec, hookimpl

VARIABLE: Final = "TRACEPARENT"
_HEADER: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})\Z")


class Trace:
    """Continues our own trace where there is one; else the job begins one.

    The ids are made of the job's: a spawn that is repeated gives the same ones.
    """

    @hookimpl
    def build_env(self, job: JobSpec, context: HookContext) -> dict[str, str]:
        """Return the variable."""
        digest = hashlib.sha256(f"{context.instance}/{job.job_id}".encode()).hexdigest()
        ours = _HEADER.match(context.environ.get(VARIABLE, ""))
        trace, flags = (ours[1], ours[2]) if ours else (digest[:32], "01")
        return {VARIABLE: f"00-{trace}-{digest[32:48]}-{flags}"}


EXTENSION: Final = Trace()
