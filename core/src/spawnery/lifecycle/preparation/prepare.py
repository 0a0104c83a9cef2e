"""From the submitted spec to the request that the spawner gets.

Review, capability check, environment, network; then names, labels and limits.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from spawnery.contract.declaration import (
    LABEL_DEADLINE,
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_PREFIX,
    LABEL_RECORD_ID,
    LABEL_RETENTION,
    LABEL_SPEC_HASH,
    LABEL_START_DEADLINE,
    SpawnerPlugin,
)
from spawnery.contract.requests import Cancellation, Deadline, HookContext, SpawnRequest
from spawnery.errors import InvalidSpec, PluginError, SpawnerError
from spawnery.lifecycle.preparation.capabilities import Granted, own_options, refuse_unsupported
from spawnery.model import validators
from spawnery.model.job import JobSpec, Network
from spawnery.model.names import object_name
from spawnery.model.secret import MASK, EnvValue, Masker, Secret, SecretRef, SecretSource
from spawnery.records.placement import Placement
from spawnery.settings.schema import Settings

if TYPE_CHECKING:
    import pluggy

    from spawnery.contract.records import Record
    from spawnery.toolkit.workers import Workers

T = TypeVar("T")


@frozen(kw_only=True)
class Prepared:
    """A job with nothing left to look up.

    Attributes:
        job: The spec after review.
        env, secrets: All variables, apart.
        network: The network, None where nobody names one.
        ignored: Fields that the spawner lacks and the operator lets pass.
    """

    job: JobSpec
    env: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, Secret | SecretRef] = field(repr=False)
    network: Network | None = None
    ignored: tuple[str, ...] = ()


class Hooks:
    """Calls the hooks that extensions share with the spawner, one plugin at a time.

    Each call has a time limit, and an error names the plugin that it comes from.

    Args:
        manager: pluggy's manager.
        spawner: Name of the spawner, whose hooks run in the caller's thread as ``spawn`` does.
        workers: Where the hooks of extensions run.
        timeout: Limit in seconds for one hook of one extension.
    """

    def __init__(
        self, manager: pluggy.PluginManager, *, spawner: str, workers: Workers, timeout: float
    ) -> None:
        self._spawner = spawner
        self._workers = workers
        self._timeout = timeout
        names = ("review_job", "build_env", "resolve_network")
        self._implementations = {name: _plain(manager, name) for name in names}

    def each(self, hook: str, job: JobSpec, context: HookContext) -> Any:
        """Yield (plugin, answer) in the order of ``SPAWNER_PLUGINS``, the spawner last.

        The caller may send back a changed job for the plugins that follow.
        """
        for plugin, call in self._implementations[hook]:
            answer = self._one(hook, plugin, call, job, context)
            if answer is not None:
                job = (yield plugin, answer) or job

    def _one(
        self, hook: str, plugin: str, call: Callable[..., Any], job: JobSpec, context: HookContext
    ) -> Any:
        try:
            if plugin == self._spawner:
                return call(job, context)
            return self._workers.call(lambda: call(job, context), timeout=self._timeout)
        except SpawnerError as error:
            error.job_id = error.job_id or job.job_id
            raise
        except TimeoutError as error:
            msg = f"the plugin {plugin} did not answer {hook}: {error}"
            hint = f"leave {plugin} out of SPAWNER_PLUGINS, or raise SPAWNERY_HOOK_TIMEOUT_SECONDS"
            raise PluginError(msg, cause="plugin.timeout", hint=hint, job_id=job.job_id) from None
        except Exception as error:  # noqa: BLE001 - nothing foreign crosses the boundary
            msg = f"the plugin {plugin} failed in {hook}: {type(error).__name__}: {error}"
            raise PluginError(msg, cause="plugin.bug", job_id=job.job_id) from None


def _plain(manager: pluggy.PluginManager, hook: str) -> list[tuple[str, Callable[..., Any]]]:
    """List a hook's implementations as functions of (job, context), first called first."""
    found = []
    for impl in reversed(getattr(manager.hook, hook).get_hookimpls()):
        if impl.wrapper or impl.hookwrapper:
            msg = f"the plugin {impl.plugin_name} wraps {hook}, which is not supported"
            raise PluginError(msg, hint="implement the hook itself")
        found.append((impl.plugin_name, _bind(impl.function, impl.argnames)))
    return found


def _bind(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    def call(job: JobSpec, context: HookContext) -> Any:
        given = {"job": job, "context": context}
        return function(**{name: given[name] for name in names})

    return call


def prepare(
    spec: JobSpec,
    *,
    hooks: Hooks,
    context: HookContext,
    forward: tuple[str, ...],
    network_setting: Network | None,
    ignore: frozenset[str],
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> Prepared:
    """Run a spec through review, capability check, environment and network.

    Args:
        spec: As submitted.
        hooks: The plugins' hooks.
        context: What they may know.
        forward: Globs of our own variables that every job gets as secrets.
        network_setting: The network that the operator set for all jobs.
        ignore: Capabilities whose lack the operator lets pass.
        lacking: Declared capabilities that the engine turned out not to have, with the reason.

    Raises:
        InvalidSpec, Unsupported, JobRefused, PluginError: Nothing was created.
    """
    job = _review(spec, hooks, context)
    ignored = refuse_unsupported(
        job, context.capabilities, spawner=context.spawner, ignore=ignore, lacking=lacking
    )
    values = _environment(job, hooks, context, forward)
    env, secrets = _split(values, job, context)
    network = _network(job, hooks, context, network_setting, ignored)
    return Prepared(job=job, env=env, secrets=secrets, network=network, ignored=ignored)


def _review(spec: JobSpec, hooks: Hooks, context: HookContext) -> JobSpec:
    job = spec
    reviews = hooks.each("review_job", job, context)
    try:
        plugin, answer = next(reviews)
        while True:
            job = _reviewed(job, plugin, answer)
            plugin, answer = reviews.send(job)
    except StopIteration:
        return job


def _reviewed(before: JobSpec, plugin: str, after: Any) -> JobSpec:
    if not isinstance(after, JobSpec):
        problem = f"returned a {type(after).__name__}, not a JobSpec"
    elif after.job_id != before.job_id:
        problem = "changed the job id"
    elif any(key.startswith(LABEL_PREFIX) for key in after.labels):
        problem = f"set a label under {LABEL_PREFIX}"
    else:
        return after
    msg = f"the plugin {plugin} {problem} in review_job"
    raise PluginError(msg, cause="plugin.bug", job_id=before.job_id)


def _environment(
    job: JobSpec, hooks: Hooks, context: HookContext, forward: tuple[str, ...]
) -> dict[str, EnvValue]:
    values: dict[str, EnvValue] = {"JOB_ID": job.job_id, **job.env, **job.secrets}
    for plugin, answer in hooks.each("build_env", job, context):
        if not isinstance(answer, Mapping):
            msg = f"the plugin {plugin} returned a {type(answer).__name__} from build_env"
            raise PluginError(msg, cause="plugin.bug", job_id=job.job_id)
        for key, value in answer.items():
            values.setdefault(_hook_key(plugin, key, job), _hook_value(plugin, key, value, job))
    for name, value in context.environ.items():
        wanted = value and any(fnmatch.fnmatchcase(name, pattern) for pattern in forward)
        if wanted and validators.may_be_env_key(name):
            values.setdefault(name, SecretRef.environment(name))
    return values


def _hook_key(plugin: str, key: object, job: JobSpec) -> str:
    try:
        return validators.env_key(key, field="env")
    except InvalidSpec as error:
        msg = f"the plugin {plugin} gives a variable that is not allowed: {error.message}"
        raise PluginError(msg, cause="plugin.bug", job_id=job.job_id) from None


def _hook_value(plugin: str, key: str, value: Any, job: JobSpec) -> EnvValue:
    if isinstance(value, SecretRef):
        return value
    try:
        return validators.text(f"env.{key}", value, empty=True)
    except InvalidSpec:
        msg = f"the plugin {plugin} gives the variable {key} a value that is not allowed"
        raise PluginError(msg, cause="plugin.bug", job_id=job.job_id) from None


def _split(
    values: Mapping[str, EnvValue], job: JobSpec, context: HookContext
) -> tuple[dict[str, str], dict[str, Secret | SecretRef]]:
    env: dict[str, str] = {}
    secrets: dict[str, Secret | SecretRef] = {}
    for key, value in values.items():
        if isinstance(value, str):
            env[key] = value
        elif value.source is SecretSource.ENGINE:
            secrets[key] = value
        else:
            found = value.resolve(key=key, environ=context.environ)
            if found is not None:
                validators.secret_text(f"secrets.{key}", found.reveal())
                secrets[key] = found
    validators.total_environment(env, secrets, job_id=job.job_id)
    return env, secrets


def _network(
    job: JobSpec,
    hooks: Hooks,
    context: HookContext,
    setting: Network | None,
    ignored: tuple[str, ...],
) -> Network | None:
    if job.network is not None and "network" not in ignored:
        return Network(name=job.network, source="job spec")
    if setting is not None:
        return setting
    for plugin, answer in hooks.each("resolve_network", job, context):
        if not isinstance(answer, Network):
            msg = f"the plugin {plugin} returned a {type(answer).__name__} from resolve_network"
            raise PluginError(msg, cause="plugin.bug", job_id=job.job_id)
        return answer
    return None


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


@frozen(kw_only=True)
class Completer:
    """Runs specs through the plugins' hooks and builds requests.

    Attributes:
        plugin: The spawner's declaration.
        settings: Core's and the spawner's.
        instance: The installation that owns the jobs.
        environ: Our own environment.
        hooks: The plugins' hooks.
        granted: What the spawner can do on its engine.
        placement: Asks for the place, the first contact with the engine.
        masker: Learns the secrets of each request.
        logger: Where fields that are ignored are warned of.
        limit: Returns the limit of one call to the engine.
    """

    plugin: SpawnerPlugin
    settings: Settings
    instance: str
    environ: Mapping[str, str]
    hooks: Hooks
    granted: Granted
    placement: Placement
    masker: Masker
    logger: logging.Logger
    limit: Callable[[], Deadline]

    def prepare(self, spec: JobSpec) -> Prepared:
        """Review, check capabilities, build the environment, find the network."""
        core = self.settings.core
        self.placement.contact()
        context = HookContext(
            spawner=self.plugin.name,
            instance=self.instance,
            capabilities=self.granted.capabilities,
            environ=self.environ,
            deadline=Deadline.after(core.hook_timeout_seconds),
        )
        name = getattr(self.settings.plugin, "network", None)
        return prepare(
            spec,
            hooks=self.hooks,
            context=context,
            forward=core.forward_secrets,
            network_setting=Network(name=name, source="setting network") if name else None,
            ignore=self.settings.ignore,
            lacking=self.granted.lacking,
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
        self.masker.add(values)
        if prepared.ignored:
            self.logger.warning(
                "job %s: %s ignored, as SPAWNERY_%s_IGNORE says",
                spec.job_id,
                ", ".join(prepared.ignored),
                self.plugin.name.upper().replace("-", "_"),
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
        job, core = prepared.job, self.settings.core
        labels = labels_of(job, instance=self.instance, spec_hash=spec_hash)
        if record_id is not None:
            labels[LABEL_RECORD_ID] = record_id
        return SpawnRequest(
            job=job,
            spec_hash=spec_hash,
            env=prepared.env,
            secrets=secrets,
            network=prepared.network,
            name=object_name(core.name_prefix, job.job_id),
            record_id=record_id,
            labels=labels,
            options=own_options(job, spawner=self.plugin.name, kind=self.plugin.options),
            retention_seconds=job.retention_seconds or 0,
            grace_seconds=core.stop_grace_seconds,
            tail_bytes=core.tail_bytes,
            follow=follow,
            deadline=self.limit(),
            created=mark,
            cancellation=cancellation,
        )


def _never(_engine_id: str) -> None:
    """Stand in for the mark of a plan, which makes nothing."""
