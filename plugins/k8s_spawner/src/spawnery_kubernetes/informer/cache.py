"""What this process has seen of Jobs and their pods: pods go before the end is read, facts stay."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from attrs import evolve, frozen
from spawnery.model import Outcome

from spawnery_kubernetes.objects.facts import EventFacts, JobFacts, PodFacts
from spawnery_kubernetes.objects.versions import is_newer

_KEPT: Final = 500
"""Jobs that are remembered after they went: more than go while evidence may lag."""

F = TypeVar("F", bound=JobFacts | PodFacts)


@frozen(kw_only=True)
class Entry:
    """One Job with what belongs to it.

    Attributes:
        job: The Job; None while only a pod of it was seen.
        pods: Its pods, those that are gone too, in the order in which they were seen.
        events: What the cluster told of a job that makes no progress.
        outcome: How it ended, once that was said.
        removed: Whether we have removed it on purpose.
    """

    job: JobFacts | None = None
    pods: tuple[PodFacts, ...] = ()
    events: tuple[EventFacts, ...] = ()
    outcome: Outcome | None = None
    removed: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it is in the cluster any more, or nothing of it runs."""
        gone = self.job is None or self.job.gone
        return gone and all(pod.gone or pod.terminated for pod in self.pods)


class Cache:
    """Entries by the uid of the Job, those that went forgotten in the order of their going."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}
        self._over: collections.OrderedDict[str, None] = collections.OrderedDict()

    def get(self, uid: str) -> Entry | None:
        """Return what is known of a Job."""
        with self._lock:
            return self._entries.get(uid)

    def last(self, name: str) -> tuple[str, Entry] | None:
        """Return the uid of the newest Job of this name, and what is known of it.

        That it is not in the cluster is to be concluded only from a look that began afterwards:
        another Job may get the name at any time.
        """
        with self._lock:
            uid = self._names.get(name)
            return None if uid is None else (uid, self._entries[uid])

    def saw_job(self, facts: JobFacts) -> None:
        """Take in a Job; what is older than what is known changes nothing."""
        self._note(facts.uid, lambda entry: evolve(entry, job=_later(entry.job, facts)))

    def saw_pod(self, facts: PodFacts) -> None:
        """Take in a pod; what is older than what is known changes nothing."""
        if facts.job_uid is not None:
            self._note(facts.job_uid, lambda entry: evolve(entry, pods=_with(entry.pods, facts)))

    def saw_events(self, uid: str, events: Iterable[EventFacts]) -> None:
        """Take in what the cluster tells of a Job and its pod; it replaces what it told before."""
        self._note(uid, lambda entry: evolve(entry, events=tuple(events)))

    def ended(self, uid: str, outcome: Outcome) -> Outcome:
        """Note how a job ended; the first word is the last."""
        found = self._note(uid, lambda entry: evolve(entry, outcome=entry.outcome or outcome))
        return found.outcome or outcome

    def absent_jobs(self, there: AbstractSet[str], version: str) -> set[str]:
        """Take in a whole list of Jobs: what is not in it is gone, unless it is younger.

        Args:
            there: The uids in the list.
            version: Resource version of the list.

        Returns:
            The uids of the Jobs that have gone.
        """
        absent = {
            job.uid: job
            for job in (entry.job for entry in self._all())
            if job is not None and not job.gone and job.uid not in there
        }
        absent = {uid: job for uid, job in absent.items() if not _newer(job, version)}
        for job in absent.values():
            self.saw_job(evolve(job, gone=True))
        return set(absent)

    def absent_pods(self, there: AbstractSet[str], version: str) -> set[str]:
        """Take in a whole list of pods, as ``absent_jobs`` does.

        Returns:
            The uids of the Jobs whose pods have gone.
        """
        pods = [pod for entry in self._all() for pod in entry.pods]
        absent = [pod for pod in pods if not pod.gone and pod.uid not in there]
        absent = [pod for pod in absent if not _newer(pod, version)]
        for pod in absent:
            self.saw_pod(evolve(pod, gone=True, unheard=True))
        return {pod.job_uid for pod in absent if pod.job_uid is not None}

    def _all(self) -> list[Entry]:
        with self._lock:
            return list(self._entries.values())

    def forget(self, name: str, uid: str | None = None) -> None:
        """Tell no more of a Job by its name: it was removed on purpose.

        Args:
            name: The Job.
            uid: Which one of this name, where one is known; all that are gone are forgotten too.
        """
        with self._lock:
            for known, entry in self._entries.items():
                job = entry.job
                if job is not None and job.name == name and (known == uid or job.gone):
                    self._entries[known] = evolve(entry, removed=True)

    def _note(self, uid: str, change: Callable[[Entry], Entry]) -> Entry:
        with self._lock:
            entry = self._entries[uid] = change(self._entries.get(uid, Entry()))
            if entry.job is not None and not entry.job.gone and self._is_newest(entry.job):
                self._names[entry.job.name] = uid
            if not entry.over:
                self._over.pop(uid, None)
            elif uid not in self._over:
                self._over[uid] = None
                self._shrink()
        return entry

    def _is_newest(self, job: JobFacts) -> bool:
        """Tell whether no later Job of this name is known; the lock is held.

        What is heard late of an earlier Job must not take the name from a later one.
        """
        known = self._entries.get(self._names.get(job.name, job.uid), Entry()).job
        return known is None or not is_newer(known.resource_version, job.resource_version)

    def _shrink(self) -> None:
        while len(self._over) > _KEPT:
            uid, _ = self._over.popitem(last=False)
            job = self._entries.pop(uid).job
            if job is not None and self._names.get(job.name) == uid:
                del self._names[job.name]


def _with(pods: tuple[PodFacts, ...], facts: PodFacts) -> tuple[PodFacts, ...]:
    known = {pod.uid: pod for pod in pods}
    before = known.get(facts.uid)
    now = known[facts.uid] = _later(before, facts)
    if before is not None and now is not before:
        ended = before.main is not None and before.main.terminated is not None
        untouched = before.disruption is None and not before.deleting and not before.gone
        first = before.ended_first or (ended and untouched)
        known[facts.uid] = evolve(now, ran=before.started, ended_first=now.ended_first or first)
    return tuple(known.values())


def _later(before: F | None, now: F) -> F:
    """Return the later one of two facts of the same object."""
    if before is None or now.gone:
        return now
    return before if before.gone or _newer(before, now.resource_version) else now


def _newer(facts: JobFacts | PodFacts, version: str) -> bool:
    return is_newer(facts.resource_version, version)
