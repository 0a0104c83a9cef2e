"""From the submitted spec to a complete job: review, capability check, environment, network."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from spawnery.contract.declaration import LABEL_PREFIX
from spawnery.contract.requests import HookContext
from spawnery.errors import InvalidSpec, PluginError, SpawnerError
from spawnery.lifecycle.preparation.capabilities import refuse_unsupported
from spawnery.model import validators as checks
from spawnery.model.job import JobSpec, Network
from spawnery.model.secret import EnvValue, Secret, SecretRef, SecretSource

if TYPE_CHECKING:
    import pluggy

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
        if wanted and checks.may_be_env_key(name):
            values.setdefault(name, SecretRef.environment(name))
    return values


def _hook_key(plugin: str, key: object, job: JobSpec) -> str:
    try:
        return checks.env_key(key, field="env")
    except InvalidSpec as error:
        msg = f"the plugin {plugin} gives a variable that is not allowed: {error.message}"
        raise PluginError(msg, cause="plugin.bug", job_id=job.job_id) from None


def _hook_value(plugin: str, key: str, value: Any, job: JobSpec) -> EnvValue:
    if isinstance(value, SecretRef):
        return value
    try:
        return checks.text(f"env.{key}", value, empty=True)
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
                checks.secret_text(f"secrets.{key}", found.reveal())
                secrets[key] = found
    checks.total_environment(env, secrets, job_id=job.job_id)
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
