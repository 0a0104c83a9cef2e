"""Completes a spec to the request that a spawner gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spawnery.contract.declaration import (
    LABEL_DEADLINE,
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_RECORD_ID,
    LABEL_RETENTION,
    LABEL_SPEC_HASH,
    LABEL_START_DEADLINE,
)
from spawnery.contract.requests import Cancellation, Deadline, HookContext, SpawnRequest
from spawnery.lifecycle.preparation.capabilities import own_options
from spawnery.lifecycle.preparation.prepare import Prepared, prepare
from spawnery.model.job import JobSpec, Network
from spawnery.model.names import object_name
from spawnery.model.secret import MASK, Secret

if TYPE_CHECKING:
    from spawnery.loading.assembly import Parts
    from spawnery.records.port import Record


def labels_of(job: JobSpec, *, instance: str, spec_hash: str) -> dict[str, str]:
    """Return all labels of a job's object: its own and ours."""
    numbers = {
        LABEL_DEADLINE: job.deadline_seconds,
        LABEL_START_DEADLINE: job.start_deadline_seconds,
        LABEL_RETENTION: job.retention_seconds or 0,
    }
    ours = {LABEL_INSTANCE: instance, LABEL_JOB_ID: job.job_id, LABEL_SPEC_HASH: spec_hash}
    ours |= {key: f"{value:.3f}" for key, value in numbers.items() if value is not None}
    return {**job.labels, **ours}


class Completer:
    """Runs specs through the plugins' hooks and builds requests.

    Args:
        parts: All that the facade works with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._core = parts.settings.core
        self._name = parts.plugin.name

    def prepare(self, spec: JobSpec) -> Prepared:
        """Review, check capabilities, build the environment, find the network."""
        core, parts = self._core, self._parts
        parts.ledger.placement.contact()
        context = HookContext(
            spawner=self._name,
            instance=parts.instance,
            capabilities=parts.granted.capabilities,
            environ=parts.environ,
            deadline=Deadline.after(core.hook_timeout_seconds),
        )
        name = getattr(parts.settings.plugin, "network", None)
        return prepare(
            spec,
            hooks=parts.hooks,
            context=context,
            forward=core.forward_secrets,
            network_setting=Network(name=name, source="setting network") if name else None,
            ignore=parts.settings.ignore,
            lacking=parts.granted.lacking,
        )

    def request(
        self,
        spec: JobSpec,
        *,
        intent: Record,
        follow: bool,
        mark: Callable[[str], None],
        cancellation: Cancellation,
    ) -> SpawnRequest:
        """Build the request of a spawn; from now on its secrets are masked."""
        prepared = self.prepare(spec)
        values = [value for value in prepared.secrets.values() if isinstance(value, Secret)]
        self._parts.masker.add(values)
        if prepared.ignored:
            self._parts.runtime.logger.warning(
                "job %s: %s ignored, as SPAWNERY_%s_IGNORE says",
                spec.job_id,
                ", ".join(prepared.ignored),
                self._name.upper().replace("-", "_"),
            )
        return self._complete(
            prepared,
            prepared.secrets,
            intent.spec_hash,
            follow=follow,
            mark=mark,
            record_id=intent.record_id,
            cancellation=cancellation,
        )

    def masked(self, prepared: Prepared, *, spec_hash: str) -> SpawnRequest:
        """Build a request to be shown: no secret is in it."""
        secrets = {
            key: Secret(MASK) if isinstance(value, Secret) else value
            for key, value in prepared.secrets.items()
        }
        return self._complete(
            prepared,
            secrets,
            spec_hash,
            follow=False,
            mark=_never,
            record_id=None,
            cancellation=Cancellation(),
        )

    def _complete(
        self,
        prepared: Prepared,
        secrets: Mapping[str, Any],
        spec_hash: str,
        *,
        follow: bool,
        mark: Callable[[str], None],
        record_id: str | None,
        cancellation: Cancellation,
    ) -> SpawnRequest:
        job, parts = prepared.job, self._parts
        labels = labels_of(job, instance=parts.instance, spec_hash=spec_hash)
        if record_id is not None:
            labels[LABEL_RECORD_ID] = record_id
        return SpawnRequest(
            job=job,
            spec_hash=spec_hash,
            env=prepared.env,
            secrets=secrets,
            network=prepared.network,
            name=object_name(self._core.name_prefix, job.job_id),
            record_id=record_id,
            labels=labels,
            options=own_options(job, spawner=self._name, kind=parts.plugin.options),
            retention_seconds=job.retention_seconds or 0,
            grace_seconds=self._core.stop_grace_seconds,
            tail_bytes=self._core.tail_bytes,
            follow=follow,
            deadline=parts.engine.limit(),
            created=mark,
            cancellation=cancellation,
        )


def _never(_engine_id: str) -> None:
    """Stand in for the mark of a plan, which makes nothing."""
