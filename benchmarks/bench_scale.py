"""What a second dispatcher over the same Redis and the same cluster brings.

Needs a cluster (``make engines``), where it makes a namespace of its own, and removes it. The Jobs
are suspended: what is measured is the way of a message to its Job, not the node.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from kube_raw import RawCluster
from measuring import ratios, row, spread

sys.path.extend(map(str, Path(__file__).resolve().parents[1].glob("tests/support/*")))
from dispatcher_case import UNLIMITED, Dispatcher, until
from docker_images import BUSYBOX
from engine_probe import probe
from kube_place import KubePlace, kube_place
from redis_case import RedisServer
from slack_server import SlackServer

JOBS, ROUNDS = 200, 4
PROJECT = f"""
image = "{BUSYBOX}"
command = ["true"]
args = []
forward = []
options = {{kubernetes = {{suspend = true}}}}
"""


def once(place: KubePlace, raw: RawCluster, dispatchers: int) -> tuple[float, list[float]]:
    """Send messages to dispatchers in turns.

    Returns:
        Jobs per second, from the first message to the last Job, and the jobs that each follows.
    """
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redis = RedisServer(folder / "redis")
        redis.start()
        stack.callback(redis.stop)
        slack = stack.enter_context(SlackServer())
        kubeconfig = place.kubeconfig(folder / "kubeconfig")
        found = [
            Dispatcher(
                folder / f"dispatcher-{number}",
                redis.url,
                slack_api=slack.api_url,
                spawner="kubernetes",
                project=PROJECT,
                extra=UNLIMITED,
                environ={"KUBECONFIG": kubeconfig, "DISPATCHER_SLACK_UPDATE_SECONDS": "1.5"},
            )
            for number in range(dispatchers)
        ]
        for dispatcher in found:
            dispatcher.start()
            stack.callback(dispatcher.end)
            slack.deliver(dispatcher.port, slack.say("help"))
        began = time.perf_counter()
        send(found, slack)
        until(lambda: raw.count() >= JOBS, why="all Jobs are there", seconds=300)
        took = time.perf_counter() - began
        time.sleep(2)
        if raw.count() != JOBS:
            sys.exit(f"{raw.count()} Jobs for {JOBS} messages")
        shares = [followed(dispatcher) for dispatcher in found]
    clear(place, raw)
    return JOBS / took, shares


def send(dispatchers: Sequence[Dispatcher], slack: SlackServer) -> None:
    """Send all messages, each to one dispatcher, as a load balancer does."""

    def one(number: int) -> None:
        event = slack.say(f"fix #{number} in demo", channel=f"C{number}")
        slack.deliver(dispatchers[number % len(dispatchers)].port, event)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(1, JOBS + 1)))


def followed(dispatcher: Dispatcher) -> float:
    """Return how many jobs a dispatcher follows, as its metrics say."""
    found = re.search(r"^\S+jobs_followed (\S+)$", dispatcher.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def clear(place: KubePlace, raw: RawCluster) -> None:
    """Remove all Jobs, and wait until they are gone."""
    while raw.count():
        place.api.call("DELETE", place.api.path("jobs"), {"propagationPolicy": "Background"})
        time.sleep(0.5)


def main() -> None:
    """Print the table."""
    print(f"\n## Two dispatchers, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}\n")
    print("| what | median (quartiles) | limit | |\n|---|---|---|---|")
    where = probe("kubernetes")
    if where.address is None:
        sys.exit(f"no cluster: {where.reason}")
    alone, both, least = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, kube_place(where.address, Path(folder)) as place:
        raw = RawCluster(place.server, place.authority, place.token, place.namespace, connections=1)
        for number in range(ROUNDS + 1):
            one, two = once(place, raw, 1), once(place, raw, 2)
            if number:  # the first one warms up
                alone.append(one[0])
                both.append(two[0])
                least.append(min(two[1]) / JOBS)
        raw.close()
    for what, value in (
        (f"{JOBS} messages, Jobs per second: one dispatcher", spread(alone, "/s", 1)),
        ("... two over one Redis", spread(both, "/s", 1)),
        ("... ratio", spread(ratios(both, alone), "x", 1)),
        ("... part of the jobs that the one with fewer follows", spread(least, "%", 100)),
        ("... Jobs made twice, or not at all", "0"),
    ):
        print(row(what, value, "", met=True))


if __name__ == "__main__":
    main()
