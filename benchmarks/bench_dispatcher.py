"""What the dispatcher takes: to acknowledge, to spawn, and to follow 1,000 jobs that talk.

It serves in a process of its own, on the fake engine (a local job costs a process), with a Redis
and a Slack on the loopback interface that this process runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from measuring import row
from spawnery_dispatcher.model.protocol import out_key
from spawnery_dispatcher.store.keys import Keys

sys.path.extend(map(str, Path(__file__).resolve().parents[1].glob("tests/support/*")))

from dispatcher_case import UNLIMITED, Dispatcher, until
from redis_case import RedisServer
from slack_server import SlackServer

EVENTS_A_SECOND, EVENTS, ONE_BY_ONE = 50, 500, 50
JOBS, TALK_SECONDS, SLICES = 1000, 30, 20
MEMORY, HALF = 200, 0.5
OK, ACCEPTED = 200, 202
KEY = "key-of-bench-0123456789"
API_KEY = f"""
[api_keys.bench]
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
"""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Dispatcher, RedisServer, SlackServer]]:
    """Run a dispatcher, its Redis and its Slack."""
    redis = RedisServer(folder / "redis")
    redis.start()
    with SlackServer() as slack:
        dispatcher = Dispatcher(
            folder / "dispatcher",
            redis.url,
            slack_api=slack.api_url,
            spawner="fake",
            project='command = ["sleep:3600"]\nargs = []\nimage = "agent"',
            extra=UNLIMITED + API_KEY,
            environ={"DISPATCHER_SLACK_UPDATE_SECONDS": "1.5"},
        )
        dispatcher.start()
        until(lambda: dispatcher.get("/readyz")[0] == 200, why="it is ready")
        try:
            yield dispatcher, redis, slack
        finally:
            dispatcher.end()
            redis.stop()


# -- Slack ---------------------------------------------------------------------------------------


def event_figures(dispatcher: Dispatcher, redis: RedisServer, slack: SlackServer) -> Iterator[str]:
    """Send events at a steady pace, then one by one; yields what answers and spawns took."""
    sent: dict[int, float] = {}

    def send(number: int) -> float:
        event = slack.say(f"fix #{number} in demo", channel=f"C{number}")
        sent[number] = time.time()
        answer = slack.deliver(dispatcher.port, event, retries=0)
        return answer.seconds if answer.status == OK else float("inf")

    slack.deliver(dispatcher.port, slack.say("help"))
    with ThreadPoolExecutor(32) as threads:
        began, waiting = time.monotonic(), []
        for number in range(1, EVENTS + 1):
            time.sleep(max(0.0, began + number / EVENTS_A_SECOND - time.monotonic()))
            waiting.append(threads.submit(send, number))
        took = [future.result() for future in waiting]
    pace = f"at {EVENTS_A_SECOND} events/s"
    yield figure(f"Slack event to acknowledgement, p99, {pace}", took, 0.99, "ms", 50)
    until(lambda: len(intended(redis)) >= EVENTS, why="all are spawned")
    busy = [at - sent[number] for number, at in intended(redis).items()]
    yield figure(f"Slack event to `spawn`, median, {pace}", busy, 0.5, "ms", 100)
    for number in range(EVENTS + 1, EVENTS + ONE_BY_ONE + 1):
        send(number)
        time.sleep(0.2)
    until(lambda: len(intended(redis)) >= EVENTS + ONE_BY_ONE, why="all are spawned")
    calm = [at - sent[number] for number, at in intended(redis).items() if number > EVENTS]
    yield figure("Slack event to `spawn`, median, one by one", calm, 0.5, "ms", 100)


def intended(redis: RedisServer) -> dict[int, float]:
    """Return when the engine was asked for the job of each issue, as core's records say."""
    client, keys = redis.client(), Keys("case")
    found = {}
    for job_id in client.smembers(keys.records):
        at = client.hget(keys.record(job_id), "intended_at")
        found[int(job_id.split("-")[1])] = datetime.fromisoformat(at).timestamp()
    return found


# -- agents --------------------------------------------------------------------------------------


def talk_figures(dispatcher: Dispatcher, redis: RedisServer) -> Iterator[str]:
    """Let every one of many jobs say something each second; yields lag, loss and memory."""
    job_ids = make_jobs(dispatcher)
    stop, lags = threading.Event(), list[float]()
    looking = threading.Thread(target=look, args=(redis, job_ids[::20], lags, stop))
    looking.start()
    before, cpu = heard(dispatcher), processor(dispatcher.pid)
    began = time.monotonic()
    late = talk(redis, job_ids)
    seconds = time.monotonic() - began
    used = processor(dispatcher.pid) - cpu
    sent = JOBS * TALK_SECONDS
    with suppress(AssertionError):
        until(lambda: heard(dispatcher) - before >= sent, why="all is heard", seconds=30)
    time.sleep(1)
    stop.set()
    looking.join()
    client, keys = redis.client(), Keys("case")
    last = [json.loads(client.hget(keys.job(job_id), "progress"))["step"] for job_id in job_ids]
    lost = sent - (heard(dispatcher) - before) + sum(step != TALK_SECONDS for step in last)
    yield row(f"messages lost of {sent}, {JOBS} live jobs", f"{lost:g}", "0", met=lost == 0)
    yield figure("... from the agent's entry to the job's, p99", lags, 0.99, "ms", 1000)
    peak = memory(dispatcher.pid)
    yield row("... most memory of the dispatcher", f"{peak:.0f} MB", "200 MB", met=peak < MEMORY)
    yield f"| ... its processor | {used / seconds:.0%} of one core | | |"
    yield f"| ... how late the agents' entries were at most | {late * 1e3:.0f} ms | | |"


def make_jobs(dispatcher: Dispatcher) -> list[str]:
    """Ask for all jobs and wait until they run; returns their ids."""
    headers = {"Authorization": f"Bearer {KEY}"}

    def make(number: int) -> str:
        status, job = dispatcher.post("/api/v1/jobs", {"issue": number}, **headers)
        if status != ACCEPTED:
            raise RuntimeError(job)
        return str(job["job_id"])

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(make, range(1, JOBS + 1)))
    gauge = f"spawnery_dispatcher_jobs_followed {JOBS}"
    until(lambda: gauge in dispatcher.get("/metrics")[1], why="all are followed")
    time.sleep(5)
    return found


def talk(redis: RedisServer, job_ids: list[str]) -> float:
    """Write the agents' entries, spread over each second; returns how late one was at most."""
    client, began, late = redis.client(), time.monotonic(), 0.0
    for second in range(TALK_SECONDS):
        for part in range(SLICES):
            due = began + second + part / SLICES
            time.sleep(max(0.0, due - time.monotonic()))
            late = max(late, time.monotonic() - due)
            pipe = client.pipeline(transaction=False)
            for job_id in job_ids[part::SLICES]:
                entry = {"type": "Progress", "step": second + 1, "text": repr(time.time())}
                pipe.xadd(out_key(job_id), entry, maxlen=1000, approximate=True)
            pipe.execute()
    return late


def look(redis: RedisServer, job_ids: list[str], lags: list[float], stop: threading.Event) -> None:
    """Note for some jobs how old their progress is when it is first seen, at 50 looks a second."""
    client, keys, seen = redis.client(), Keys("case"), set[str]()
    while not stop.wait(0.02):
        pipe = client.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.hget(keys.job(job_id), "progress")
        for found in pipe.execute():
            text = json.loads(found)["text"] if found else ""
            if text and text not in seen:
                seen.add(text)
                lags.append(time.time() - float(text))


def heard(dispatcher: Dispatcher) -> float:
    """Return how many entries of agents were read, as the metrics say."""
    found = re.search(
        r"^\S+agent_messages_total (\S+)$", dispatcher.get("/metrics")[1], re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def memory(pid: int) -> float:
    """Return the most memory that a process ever had, in MB (proc_pid_status(5))."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1000 if found else float("inf")


def processor(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figure(what: str, seconds: list[float], part: float, unit: str, limit: float) -> str:
    """Return the line of a figure: the part below which it has to stay, and the median."""
    value = sorted(seconds)[min(len(seconds) - 1, int(part * len(seconds)))] * 1e3
    middle = statistics.median(seconds) * 1e3
    shown = f"{value:.1f} {unit}" + ("" if part == HALF else f" (median {middle:.1f})")
    return row(what, shown, f"{limit:g} {unit}", met=value < limit)


def main() -> None:
    """Print the table."""
    print(f"\n## Dispatcher, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}\n")
    print("| what | value | limit | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        with serving(Path(name) / "events") as (dispatcher, redis, slack):
            for line in event_figures(dispatcher, redis, slack):
                print(line, flush=True)
        with serving(Path(name) / "agents") as (dispatcher, redis, _):
            for line in talk_figures(dispatcher, redis):
                print(line, flush=True)


if __name__ == "__main__":
    main()
