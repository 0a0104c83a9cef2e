"""What a job gets that asks for nothing; for spawners, so that it is the same on every engine.

Apart from ``job``: quantities are looked at when this is made, which callers need not pay for.
"""

from __future__ import annotations

from typing import Final

from spawnery.model.job import Resources

RESOURCES: Final = Resources(
    memory_request="512Mi", memory_limit="1Gi", cpu_request="250m", cpu_limit="1000m"
)
