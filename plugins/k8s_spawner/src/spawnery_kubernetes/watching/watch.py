"""The hook ``watch``: two connections, Jobs and Pods with our label, joined to one stream."""

from __future__ import annotations

import functools

from spawnery.contract import JobStream, SpawnerRuntime, ThreadedStream, WatchRequest
from spawnery.errors import SpawnerError, StreamLost
from spawnery.model import WatchEvent

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.informer.events import Stuck
from spawnery_kubernetes.informer.reflector import Reflector, ours
from spawnery_kubernetes.jobs.endings import Judge
from spawnery_kubernetes.objects.facts import facts_of_job, facts_of_pod
from spawnery_kubernetes.objects.versions import Cursor
from spawnery_kubernetes.watching.merge import Feed


class Watching:
    """Opens the stream of changes.

    Args:
        client: The cluster.
        runtime: The host.
        cache, judge, stuck: The other parts.
    """

    def __init__(
        self,
        client: KubeClient,
        runtime: SpawnerRuntime,
        *,
        cache: Cache,
        judge: Judge,
        stuck: Stuck,
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._cache = cache
        self._judge = judge
        self._stuck = stuck

    def open(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open the stream.

        The whole list is taken in any case, so that nothing is missed. With a cursor only what has
        changed since is told of it, and the watch begins there: it tells what went meanwhile.

        Raises:
            StreamLost: The cluster does not answer; the cursor still holds.
            SpawnerError: It does not answer, or does not let us.
        """
        selector, timeout = ours(self._runtime.instance), self._runtime.io_timeout_seconds
        cursor = Cursor.parse(request.cursor)
        jobs = Reflector(self._client, "jobs", selector, facts_of_job, timeout=timeout)
        pods = Reflector(self._client, "pods", selector, facts_of_pod, timeout=timeout)
        try:
            # In this order: of a Job that has ended in the list the pods have ended too.
            listed = jobs.list(), pods.list()
            now = Cursor(listed[0].version, listed[1].version)
            if cursor is not None and cursor.beyond(now):
                cursor = None  # of a cluster that was set back, or of another one
            start = cursor or now
            jobs.begin(start.jobs)
            pods.begin(start.pods)
        except SpawnerError as error:
            jobs.close()
            if cursor is None or not error.retryable:
                raise
            raise StreamLost(error.message, cursor=request.cursor) from None
        feed = Feed(
            jobs,
            pods,
            self._runtime,
            cache=self._cache,
            judge=self._judge,
            stuck=self._stuck,
        )
        return ThreadedStream(
            functools.partial(feed.run, listed, cursor),
            interrupt=feed.close,
            start=self._runtime.start_thread,
            name="spawnery-kubernetes-watch",
        )
