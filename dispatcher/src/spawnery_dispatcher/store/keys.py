"""Names of the dispatcher's keys in Redis; the agent's streams are named in ``model.protocol``."""

from __future__ import annotations

from attrs import frozen


@frozen
class Keys:
    """The keys of one instance.

    Attributes:
        instance: Its name.
    """

    instance: str

    def _name(self, *parts: object) -> str:
        return ":".join(("spawnery", self.instance, *map(str, parts)))

    @property
    def generation(self) -> str:
        """Hash that says since when this Redis has our memory; gone when it was lost."""
        return self._name("generation")

    @property
    def live(self) -> str:
        """Set of the ids of jobs that have not ended."""
        return self._name("live")

    @property
    def queue(self) -> str:
        """Sorted set of waiting jobs by the time of their asking."""
        return self._name("queue")

    @property
    def served(self) -> str:
        """Sorted set of people by when the last of their jobs left the queue."""
        return self._name("served")

    @property
    def dirty(self) -> str:
        """Sorted set of jobs whose messages are not up to date, by when they are due."""
        return self._name("dirty")

    @property
    def scheduler(self) -> str:
        """Which dispatcher decides at the moment who is next."""
        return self._name("scheduler")

    @property
    def wake(self) -> str:
        """Stream that wakes dispatchers: something is to be done."""
        return self._name("wake")

    @property
    def dead(self) -> str:
        """Stream of entries that could not be understood."""
        return self._name("dead")

    def job(self, job_id: str) -> str:
        """Hash of a job."""
        return self._name("job", job_id)

    def owner(self, job_id: str) -> str:
        """Which dispatcher follows a job, while it lives."""
        return self._name("owner", job_id)

    def posting(self, job_id: str) -> str:
        """Which dispatcher is posting the first message of a job."""
        return self._name("posting", job_id)

    def active(self, project: str, issue: int) -> str:
        """Id of the job that works on an issue."""
        return self._name("active", project, issue)

    def channel(self, platform: str, channel: str) -> str:
        """Set of the live jobs of a channel."""
        return self._name("channel", platform, channel)

    def seen(self, kind: str, token: str) -> str:
        """That a signature, a trigger or a message was seen."""
        return self._name("seen", kind, token)

    def record(self, job_id: str, scope: str = "") -> str:
        """Hash of core's record of a job.

        ``scope`` is of a place that has keys of its own (``places``). Without one these are the
        keys that all versions before 0.2 read and write; so for ``records`` and ``lease``.
        """
        return self._name(*_within(scope), "record", job_id)

    def records(self, scope: str = "") -> str:
        """Set of the ids of jobs that core has a record of."""
        return self._name(*_within(scope), "records")

    def lease(self, key: str, scope: str = "") -> str:
        """Who holds a lease of core's."""
        return self._name(*_within(scope), "lease", key)

    def held(self, holder: str) -> str:
        """Set of the keys of the leases that a holder took."""
        return self._name("held", holder)

    @property
    def places(self) -> str:
        """Hash of the places where jobs live."""
        return self._name("places")

    @property
    def joined_places(self) -> str:
        """Set of pairs of places that lead to one engine."""
        return self._name("joined-places")


def _within(scope: str) -> tuple[str, ...]:
    return ("at", scope) if scope else ()
