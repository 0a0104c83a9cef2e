"""The facade: every verb, typed, for callers in any number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from spawnery.contract.log_text import LogStream
from spawnery.contract.requests import (
    Cancellation,
    CheckItem,
    SpawnRequest,
)
from spawnery.contract.streams import JobStream, PushStream
from spawnery.errors import ConfigurationError, LogsUnavailable, SpawnerError, StateError
from spawnery.lifecycle.calls import Ending
from spawnery.lifecycle.jobs import Jobs
from spawnery.lifecycle.kill_listener import KillListener
from spawnery.lifecycle.logs import FollowedLog
from spawnery.lifecycle.preparation import arguments
from spawnery.lifecycle.preparation.prepare import Completer
from spawnery.lifecycle.spawn import OneAtATime, Spawning, expected
from spawnery.lifecycle.tracker import Tracker
from spawnery.lifecycle.upkeep import Upkeep
from spawnery.model.job import JobSpec
from spawnery.model.names import check_job_id, object_name
from spawnery.model.outcome import EventKind, JobHandle, JobStatus, Outcome
from spawnery.model.spec_hash import spec_hash
from spawnery.toolkit.workers import Workers

if TYPE_CHECKING:
    from spawnery.contract.declaration import SpawnerPlugin
    from spawnery.contract.records import JobRecords, KnownPlace
    from spawnery.lifecycle.plan import JobPlan
    from spawnery.lifecycle.reaper import Decision
    from spawnery.loading.assembly import Parts

_UPKEEP_AT_ONCE: Final = 32
"""Jobs that are looked after at once."""


class Spawner:
    """Runs jobs on one engine.

    Make one with ``Spawner.from_environment()`` or ``Spawner.open()``, use it as a context manager
    (leaving it lets go of threads and files; jobs go on), from as many threads as you like.

    Attributes:
        name: The spawner's name, for example ``docker``.
        instance: The installation that owns the jobs.
        settings: All settings and where each came from.
        plugin: The spawner's declaration.

    Every verb raises ``SpawnerError`` subclasses only: ``EngineUnreachable``, ``EngineDenied`` and
    ``StateError`` wherever the engine or the records are needed, and those that it names.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.name = parts.plugin.name
        self.instance = parts.instance
        self.settings = parts.settings
        self.plugin = parts.plugin
        self._engine = parts.engine
        self._ledger = parts.ledger
        self._core = parts.settings.core
        self._one_at_a_time = OneAtATime()
        self._tracker = Tracker(
            engine=parts.engine,
            ledger=parts.ledger,
            settle_seconds=self._core.settle_seconds,
            logger=parts.runtime.logger,
            start_thread=parts.runtime.start_thread,
        )
        self._ending = Ending(engine=parts.engine, grace_seconds=self._core.stop_grace_seconds)
        self._upkeep = Upkeep(
            self._tracker,
            ending=self._ending,
            workers=Workers(_UPKEEP_AT_ONCE, name="spawnery-upkeep"),
            settings=self._core,
            granted=parts.granted,
            logger=parts.runtime.logger,
        )
        self._spawning = Spawning(
            engine=parts.engine,
            ending=self._ending,
            ledger=parts.ledger,
            settle=self._tracker.settle,
            patience=self._core.io_timeout_seconds,
            abandon=self._tracker.abandon,
            emit=parts.runtime.emit,
        )
        self._completer = Completer(
            plugin=parts.plugin,
            settings=parts.settings,
            instance=parts.instance,
            environ=parts.environ,
            hooks=parts.hooks,
            granted=parts.granted,
            placement=parts.ledger.placement,
            masker=parts.masker,
            logger=parts.runtime.logger,
            limit=parts.engine.limit,
        )
        self._jobs = Jobs(
            self._tracker, ending=self._ending, settings=self._core, follow=self._follow_jobs
        )
        self._kills = KillListener(
            self._tracker, parts.steps, start_thread=parts.runtime.start_thread
        )
        self._promised: dict[str, bool] = {}
        self._closed = False

    @property
    def capabilities(self) -> frozenset[str]:
        """What the spawner can do: its declaration, minus what its engine lacks (asked once)."""
        self._ledger.placement.contact()
        return self._parts.granted.capabilities

    # -- opening and closing -----------------------------------------------------------------

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        config_file: str | os.PathLike[str] | None = None,
        flags: Mapping[str, str] | None = None,
    ) -> Spawner:
        """Open the spawner that ``SPAWNER_TYPE`` names.

        Args:
            environ: Instead of our own environment.
            config_file: Instead of the spawnery.toml that would be found.
            flags: Settings that win over all others, by dotted name.

        Raises:
            ConfigurationError: ``SPAWNER_TYPE`` or another setting is missing or wrong.
            PluginError: That spawner cannot be loaded; its subclass says why.
        """
        return cls.open(environ=environ, config_file=config_file, flags=flags)

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        flags: Mapping[str, str] | None = None,
        records: JobRecords | None = None,
        extensions: Sequence[object] = (),
        plugin: SpawnerPlugin | None = None,
    ) -> Spawner:
        """Open a spawner by name.

        Args:
            name: Wins over ``SPAWNER_TYPE``.
            environ: Instead of our own environment.
            config_file: Instead of the spawnery.toml that would be found.
            flags: Settings that win over all others, by dotted name.
            records: Where to keep records; SQLite in the state directory when None.
            extensions: Objects with hooks, behind those of ``SPAWNER_PLUGINS``.
            plugin: A declaration to use as it is, instead of one found by name.

        Raises:
            ConfigurationError, PluginError: See ``from_environment``.
        """
        from spawnery.loading.assembly import open_parts  # noqa: PLC0415 - loads what only this needs

        parts = open_parts(
            name,
            environ=os.environ if environ is None else environ,
            config_file=config_file,
            flags=flags or {},
            records=records,
            extensions=extensions,
            plugin=plugin,
        )
        return cls(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of threads, files and the engine; jobs go on. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._kills.close()
        self._tracker.close()
        self._upkeep.flush()
        self._parts.observers.close()
        try:
            self._ledger.let_go()
        except StateError as error:
            self._parts.runtime.logger.warning("leases have to run out: %s", error.message)
        self._upkeep.close()
        self._engine.close()
        try:
            self._parts.spawner.close()
        except Exception as error:  # noqa: BLE001 - the caller is done with it
            self._parts.runtime.logger.warning("closing %s failed: %r", self.name, error)
        self._ledger.placement.unplaced.close()

    @property
    def records(self) -> JobRecords:
        """What is remembered of jobs."""
        return self._ledger.records

    def _follow_jobs(self) -> None:
        if self._tracker.start():
            self._parts.runtime.start_thread("spawnery-upkeep", self._upkeep.run)
            self._ledger.tell_again()

    # -- verbs -------------------------------------------------------------------------------

    def spawn(self, spec: JobSpec, *, follow: bool = False) -> JobHandle:
        """Run a job, or find it where it already runs or ran.

        Args:
            spec: The job.
            follow: The caller is going to read the whole log with ``logs(follow=True)``: it is
                kept until then, also when the engine would forget it.

        Returns:
            Its handle; ``created`` tells whether this call made it.

        Raises:
            InvalidSpec, Unsupported, JobRefused: Nothing was created.
            SpecConflict, NameConflict: The id or the name is taken.
            SpawnFailed: The engine will not run it; ``cause`` tells why. Nothing stays.
            Ambiguous: The engine did not answer; spawn it again to find out.
        """
        retention = arguments.spec(spec).retention_seconds or 0
        digest = spec_hash(spec)
        intent = self._ledger.intent(spec.job_id, spec_hash=digest, retention_seconds=retention)
        evidence = retention == 0 or follow
        if evidence:
            self._follow_jobs()
        cancellation = Cancellation()
        self._tracker.expect(expected(intent.name, intent, spec), cancellation)
        self._kills.listen()
        if follow:
            self._tracker.hold(spec.job_id)
            self._promised[spec.job_id] = True
        there = False

        def build(mark: Callable[[str], None]) -> SpawnRequest:
            return self._completer.request(
                spec, intent=intent, follow=follow, mark=mark, cancellation=cancellation
            )

        try:
            with self._one_at_a_time(spec.job_id):
                handle = self._spawning.spawn(intent, build)
            there = True
        finally:
            self._tracker.spawned(spec.job_id, cancellation, there=there and evidence)
            if follow and not there and self._promised.pop(spec.job_id, None) is not None:
                self._tracker.let_go(spec.job_id)
            if not (there and evidence):
                self.records.release(spec.job_id, holder=self._ledger.holder)
        if handle.created:
            self._parts.observers.tell(EventKind.SPAWNED, spec.job_id, handle.name)
        return handle

    def status(self, job_id: str) -> JobStatus:
        """Look at a job.

        Raises:
            JobNotFound: Neither the engine nor the records know it.
        """
        return self._jobs.status(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> Outcome:
        """Wait until a job has ended.

        Args:
            job_id: The job.
            timeout: Seconds; None waits as long as it takes.

        Raises:
            WaitTimeout: The time is over; the job goes on.
            JobNotFound: Neither the engine nor the records know it.
        """
        return self._jobs.wait(job_id, arguments.seconds("timeout", timeout))

    def on_end(self, job_id: str, call: Callable[[Outcome | SpawnerError], None]) -> bool:
        """Let ``call`` be called once, in another thread, when a job has ended.

        Returns:
            False when it has ended already: ``call`` is not called, see ``status``.
        """
        return self._jobs.on_end(job_id, call)

    def forget_end(self, job_id: str, call: Callable[[Outcome | SpawnerError], None]) -> None:
        """Undo ``on_end``."""
        self._tracker.remove_waiter(job_id, call)

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        cursor: str | None = None,
        since: datetime | None = None,
        tail_bytes: int = 0,
    ) -> LogStream:
        """Read the log of a job; a broken connection is mended from the last cursor.

        A job that another process is still creating (its image may be being pulled) is waited for
        with ``follow``, and has an empty log without. The stream yields its bytes; ``text()`` and
        ``lines()`` of it decode them.

        Args:
            job_id: The job.
            follow: Stay until the job ends.
            cursor: Go on behind the chunk that had this cursor.
            since: Leave out what is older.
            tail_bytes: Begin so many bytes before the end; 0: from the start.

        Raises:
            LogsUnavailable: The engine does not have the log (any more).
            StreamLost: While it is read: the connection cannot be mended.
            JobNotFound: Neither the engine nor the records know the job.
        """
        check_job_id(job_id)
        arguments.place_in_log(cursor, since, tail_bytes)
        promised = follow and self._promised.pop(job_id, None) is not None
        if not promised:
            self._tracker.hold(job_id)
        try:
            return FollowedLog(
                self._engine,
                job_id=job_id,
                name=object_name(self._core.name_prefix, job_id),
                follow=follow,
                cursor=cursor,
                since=since,
                tail_bytes=tail_bytes,
                patience=self._core.io_timeout_seconds * 2,
                coming=lambda: self._jobs.is_coming(job_id),
                must_have_come=lambda: self._jobs.must_have_come(job_id),
                ended=lambda: self._tracker.let_go(job_id),
            )
        except LogsUnavailable:
            self._tracker.let_go(job_id)
            self._jobs.must_be_known(job_id)
            raise
        except BaseException:
            self._tracker.let_go(job_id)
            raise

    def stop(self, job_id: str, *, grace_seconds: float | None = None) -> Outcome:
        """End a job: SIGTERM, then SIGKILL after the grace; its outcome is CANCELLED.

        Args:
            job_id: The job.
            grace_seconds: 0 kills at once; the setting ``stop_grace_seconds`` when None.

        Returns:
            The outcome; of a job that had ended before, the one that it had.

        Raises:
            JobNotFound: Neither the engine nor the records know it.
            WaitTimeout: The engine has not ended it yet.
        """
        return self._jobs.stop(job_id, arguments.seconds("grace_seconds", grace_seconds))

    def remove(self, job_id: str, *, force: bool = False) -> None:
        """Remove a job's object and its record: the id is free again.

        Args:
            job_id: The job.
            force: Stop it first when it runs.

        Raises:
            JobRunning: It runs, and ``force`` is not set.
            JobNotFound: Neither the engine nor the records know it.
        """
        self._jobs.remove(job_id, force=force)

    def list(self) -> Sequence[JobStatus]:
        """Look at all jobs of the instance: in the engine, and ended ones that are remembered."""
        return self._jobs.list()

    def watch(self) -> JobStream[JobStatus]:
        """Follow all jobs of the instance: each as it stands now, then every change."""
        stream: PushStream[JobStatus]
        stream = PushStream(closing=lambda: self._tracker.unlisten(stream.push))
        self._tracker.listen(stream.push)
        self._follow_jobs()
        return stream

    def reap(self, *, dry_run: bool = False) -> Sequence[Decision]:
        """Tidy up after crashes: deadlines, retention, orphans, lost jobs, old records.

        Args:
            dry_run: Only say what would be done and why.
        """
        from spawnery.lifecycle.reaper import Reaper  # noqa: PLC0415 - seldom used

        reaper = Reaper(self._engine, self._ledger, ending=self._ending, settings=self._core)
        return reaper.reap(dry_run=dry_run)

    def engine_now(self) -> datetime:
        """Return the present by the engine's clock, to which all times of statuses belong.

        Where that clock was not measured it is our own.
        """
        self._ledger.placement.contact()
        return self._ledger.engine_clock.best_guess()

    def places(self) -> Sequence[KnownPlace]:
        """Return the places where jobs of the instance live or have lived."""
        return self.records.places()

    def give_up_place(self, key: str) -> Sequence[str]:
        """Give up a place that is gone for good: its unfinished jobs become LOST.

        Args:
            key: Of ``places``.

        Returns:
            The ids of those jobs.

        Raises:
            ConfigurationError: There is no such place, or the spawner is in it now.
        """
        try:
            return [record.job_id for record in self._ledger.give_up_place(key)]
        except LookupError:
            msg = f"there is no place {key} that could be given up"
            hint = "spawnery places lists them; the one where the spawner is now cannot be given up"
            raise ConfigurationError(msg, hint=hint) from None

    def plan(self, spec: JobSpec, *, validate: bool = False) -> JobPlan:
        """Show what ``spawn`` would send to the engine, with secrets masked.

        Args:
            spec: The job.
            validate: Let the engine check it too, where it can (nothing is created).

        Raises:
            InvalidSpec, Unsupported, JobRefused: As ``spawn``.
        """
        from spawnery.lifecycle.plan import plan_job  # noqa: PLC0415 - seldom used

        digest = spec_hash(arguments.spec(spec))
        prepared = self._completer.prepare(spec)
        request = self._completer.masked(prepared, spec_hash=digest)
        return plan_job(self._engine, request, prepared, validate=validate)

    def check(
        self, *, probe: bool = False, probe_spec: JobSpec | None = None
    ) -> Sequence[CheckItem]:
        """Look at everything as a doctor does: what works, what does not, what to do.

        Args:
            probe: Run a job as well.
            probe_spec: That job; one that does nothing when None.
        """
        from spawnery.lifecycle.check import check_all  # noqa: PLC0415 - seldom used

        if probe_spec is not None:
            arguments.spec(probe_spec)
        if probe and probe_spec is None:
            probe_spec = JobSpec(command=["true"])
        return check_all(
            self,
            instance=self.instance,
            engine=self._engine,
            ledger=self._ledger,
            granted=self._parts.granted,
            probe=probe_spec if probe else None,
        )
