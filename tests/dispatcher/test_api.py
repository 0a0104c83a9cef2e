"""The JSON API of a dispatcher that serves: who may do what, and what is said to whom."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from dispatcher_case import Dispatcher, until
from jsonschema import Draft202012Validator
from spawnery_dispatcher.model.protocol import in_key
from spawnery_dispatcher.web import api

pytestmark = pytest.mark.engine("redis")

SECRET = "planted-secret-0123456789"
KEYS = {"ci": "key-of-ci-0123456789", "bob": "key-of-bob-0123456789", "few": "key-of-few-012345678"}
WRONG_TYPES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"issue": "58"}',
    b'{"issue": 5.5}',
    b'{"issue": true}',
    b'{"issue": 0}',
    b'{"issue": -1}',
    b'{"issue": 1e400}',
    b'{"issue": NaN}',
    b'{"issue": 1000000000}',
    b'{"issue": 58, "project": 3}',
    b'{"issue": 58, "project": null}',
    b'{"issue": 58, "proyect": "demo"}',
    b'{"project": "demo"}',
]


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture(scope="module")
def place(shared_redis, tmp_path_factory) -> Iterator[Dispatcher]:
    """A dispatcher without Slack, with three callers."""
    extra = f"""
[limits]
per_channel = 100
per_user = 100
jobs = 100
per_project = 100
[api_keys.ci]
sha256 = "{hashed(KEYS["ci"])}"
[api_keys.bob]
sha256 = "{hashed(KEYS["bob"])}"
[api_keys.few]
sha256 = "{hashed(KEYS["few"])}"
projects = ["other"]
[projects.other]
command = ["sh", "-c", "echo hello; env; exec sleep 60"]
args = []
[projects.absent]
command = ["/nowhere/agent"]
"""
    dispatcher = Dispatcher(tmp_path_factory.mktemp("api"), shared_redis.url, extra=extra)
    dispatcher.start()
    until(lambda: dispatcher.get("/readyz")[0] == 200, why="it is ready")
    yield dispatcher
    for name in KEYS:
        for job in json.loads(ask(dispatcher, "GET", "/api/v1/jobs", who=name).body):
            ask(dispatcher, "POST", f"/api/v1/jobs/{job['job_id']}/cancel", who=name)
        until(lambda name=name: not listed(dispatcher, name), why="all jobs end")
    dispatcher.end()


class Answer:
    """What the API answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    dispatcher: Dispatcher,
    method: str,
    path: str,
    body: Any = None,
    *,
    who: str = "ci",
    **headers: str,
) -> Answer:
    """Send a request with the key of a caller; bytes as they are, all else as JSON."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", dispatcher.port, timeout=90)
    key = {"Authorization": f"Bearer {KEYS[who]}"} if who else {}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body=data, headers=key | names)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def listed(dispatcher: Dispatcher, who: str = "ci") -> list[Any]:
    return ask(dispatcher, "GET", "/api/v1/jobs", who=who).json


def new_job(dispatcher: Dispatcher, issue: int, project: str = "demo", **more: Any) -> Any:
    answer = ask(dispatcher, "POST", "/api/v1/jobs", {"project": project, "issue": issue}, **more)
    assert answer.status == 202, answer.body
    return answer.json


def show(dispatcher: Dispatcher, job: Any, who: str = "ci") -> Any:
    return ask(dispatcher, "GET", f"/api/v1/jobs/{job['job_id']}", who=who).json


def question_of(dispatcher: Dispatcher, job: Any) -> Any:
    return until(lambda: show(dispatcher, job)["question"], why="the agent asks")


def reply(
    dispatcher: Dispatcher, job: Any, text: str, question: str = "branch", **more: Any
) -> Any:
    path = f"/api/v1/jobs/{job['job_id']}/answer"
    return ask(dispatcher, "POST", path, {"question_id": question, "answer": text}, **more)


def ended(dispatcher: Dispatcher, job: Any) -> Any:
    return until(lambda: show(dispatcher, job)["ending"], why="the job ends")


def events(body: str) -> list[tuple[str, Any]]:
    """Return the server-sent events of a body: (name, data)."""
    blocks = [block for block in body.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(found["event"], json.loads(found["data"])) for found in fields]


def described(place: Dispatcher) -> Any:
    return ask(place, "GET", "/api/v1/openapi.json", who="").json


def check_shape(place: Dispatcher, value: Any, name: str) -> None:
    document = described(place)
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema).validate(value)


# -- the description -----------------------------------------------------------------------------


def test_the_description_is_of_what_is_served(place):
    """Each path and method of the document is served, and each that is served stands in it."""
    document = described(place)
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    told = {(path, method.upper()) for path, found in document["paths"].items() for method in found}
    routes = {
        (route.path, method)
        for route in api.Api.routes(_Bare())
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert told == routes - {("/api/v1/openapi.json", "GET")}
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


class _Bare(api.Api):
    """Routes alone."""

    def __init__(self) -> None:
        """Have nothing."""


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_in_json(place, method):
    """A method that is not there is 405, an unknown path 404."""
    answer = ask(place, method, "/api/v1/jobs")
    assert answer.status == 405
    check_shape(place, answer.json, "Problem")
    assert ask(place, method, "/api/v1/nothing").status == 404


# -- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {KEYS['ci']}",
        KEYS["ci"],
        f"Bearer {hashed(KEYS['ci'])}",
        "Bearer \xff\xfe",
        f"Bearer {KEYS['ci']}x",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/jobs/x", "/api/v1/jobs/x/logs"])
def test_without_a_valid_key_nothing_is_told(place, header, path):
    """No key, a wrong one, another scheme, the hash of the right one: 401 with what to do."""
    headers = {} if header is None else {"Authorization": header}
    answer = ask(place, "GET", path, who="", **headers)
    assert answer.status == 401
    assert "api-key" in answer.json["hint"]
    check_shape(place, answer.json, "Problem")


def test_nothing_is_done_without_a_key(place):
    """A request for a job without a key makes none."""
    assert ask(place, "POST", "/api/v1/jobs", {"issue": 999}, who="").status == 401
    assert 999 not in {job["issue"] for name in KEYS for job in listed(place, name)}


def test_every_key_is_compared_in_constant_time(monkeypatch):
    """All hashes are compared by hmac.compare_digest, also behind one that fits."""
    compared = []
    real = api.hmac.compare_digest

    def compare(known, given):
        compared.append(known)
        return real(known, given)

    monkeypatch.setattr(api.hmac, "compare_digest", compare)
    found = _Bare()
    found._keys = {name: type("K", (), {"sha256": hashed(key)}) for name, key in KEYS.items()}
    request = type("R", (), {"headers": {"authorization": f"Bearer {KEYS['ci']}"}})
    assert found._caller(request) == "ci"
    assert compared == [hashed(key) for key in KEYS.values()]


def test_a_key_for_some_projects(place):
    """Another project than the key's is 403, also as the default; its own is taken."""
    for body in ({"issue": 1, "project": "demo"}, {"issue": 1}, {"issue": 1, "project": "DEMO"}):
        answer = ask(place, "POST", "/api/v1/jobs", body, who="few")
        assert answer.status == 403
        check_shape(place, answer.json, "Problem")
    assert new_job(place, 1, "other", who="few")["project"] == "other"


# -- jobs ----------------------------------------------------------------------------------------


def test_a_whole_life(place):
    """Accepted, asked, answered, done; each answer has the shape that is described."""
    job = new_job(place, 58)
    check_shape(place, job, "Job")
    assert job["phase"] == "queued"
    assert job["job_id"].startswith("demo-58-")
    question = question_of(place, job)
    check_shape(place, show(place, job), "Job")
    assert question["choices"] == ["main", "develop"]
    assert job["job_id"] in {found["job_id"] for found in listed(place)}
    for found in listed(place):
        check_shape(place, found, "Job")
    answered = reply(place, job, "develop")
    assert answered.status == 200
    check_shape(place, answered.json, "Job")
    ending = ended(place, job)
    assert (ending["state"], ending["url"]) == ("SUCCEEDED", "https://example.com/pull/58")
    check_shape(place, show(place, job), "Job")
    assert job["job_id"] not in {found["job_id"] for found in listed(place)}
    log = ask(place, "GET", f"/api/v1/jobs/{job['job_id']}/logs")
    assert log.status in {200, 409}
    late = reply(place, job, "main")
    assert late.status == 409
    assert "is over" in late.json["error"]
    assert ask(place, "POST", f"/api/v1/jobs/{job['job_id']}/cancel").status == 409


def test_an_answer_counts_once(place, shared_redis):
    """The second answer and one to an unknown question are 409, and the agent gets one."""
    job = new_job(place, 60)
    question_of(place, job)
    assert reply(place, job, "main", question="other").status == 409
    assert reply(place, job, "main").status == 200
    assert reply(place, job, "develop").status == 409
    assert shared_redis.client().xlen(in_key(job["job_id"])) == 1
    ended(place, job)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {},
        {"question_id": "branch"},
        {"question_id": "branch", "answer": ""},
        {"question_id": "branch", "answer": 5},
        {"question_id": ["branch"], "answer": "x"},
        {"question_id": "branch", "answer": "x", "more": 1},
    ],
)
def test_bad_answers(place, shared_redis, body):
    """What is no answer is 400 and reaches no agent."""
    job = new_job(place, 4000 + abs(hash(str(body))) % 90_000, "other")
    answer = ask(place, "POST", f"/api/v1/jobs/{job['job_id']}/answer", body)
    assert answer.status == 400
    check_shape(place, answer.json, "Problem")
    assert not shared_redis.client().exists(in_key(job["job_id"]))


def test_hostile_texts_reach_the_agent_as_text(place, shared_redis):
    """Emoji and right-to-left stay; control characters are gone; nothing else changes."""
    job = new_job(place, 64)
    question_of(place, job)
    text = "\N{ROCKET} \u05e9\u05dc\u05d5\u05dd $(id) `id` \u202eevil\u202c \x1b[31mred\x00"
    assert reply(place, job, text).status == 200
    ((_, fields),) = shared_redis.client().xrange(in_key(job["job_id"]))
    assert "\N{ROCKET} \u05e9\u05dc\u05d5\u05dd $(id) `id`" in fields["answer"]
    assert not set("\x1b\x00\u202e") & set(fields["answer"])
    assert fields["answer"] == fields["content"]
    assert ended(place, job)["state"] == "SUCCEEDED"


def test_the_same_idempotency_key_is_the_same_job(place):
    """Again with the key: the same job, 200, also when it is over; another caller's is another."""
    key = secrets.token_hex(8)
    first = ask(place, "POST", "/api/v1/jobs", {"issue": 66}, Idempotency_Key=key)
    again = ask(place, "POST", "/api/v1/jobs", {"issue": 66}, Idempotency_Key=key)
    assert (first.status, again.status) == (202, 200)
    assert first.json["job_id"] == again.json["job_id"]
    question_of(place, first.json)
    reply(place, first.json, "main")
    ended(place, first.json)
    late = ask(place, "POST", "/api/v1/jobs", {"issue": 66}, Idempotency_Key=key)
    assert (late.status, late.json["job_id"]) == (200, first.json["job_id"])
    theirs = ask(place, "POST", "/api/v1/jobs", {"issue": 66}, who="bob", Idempotency_Key=key)
    assert theirs.status == 202
    assert theirs.json["job_id"] != first.json["job_id"]


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_idempotency_keys_that_are_none(place, key):
    """An empty one and one that is too long are refused."""
    answer = ask(place, "POST", "/api/v1/jobs", {"issue": 67}, Idempotency_Key=key)
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json["error"]


def test_an_issue_that_is_worked_on(place):
    """A second job of an issue is 409 and names the first."""
    job = new_job(place, 7001, "other")
    answer = ask(place, "POST", "/api/v1/jobs", {"issue": 7001, "project": "other"}, who="bob")
    assert answer.status == 409
    assert job["job_id"] in answer.json["error"]


@pytest.mark.parametrize("what", ["", "/events", "/logs", "/logs?follow=1"])
def test_jobs_of_others_are_not_there(place, what):
    """Another caller's job, and one that never was, are the same 404."""
    job = new_job(place, 7100 + len(what), "other")
    for job_id in (job["job_id"], "demo-1-unknown", "%00", "x" * 300, "%E2%80%AE"):
        answer = ask(place, "GET", f"/api/v1/jobs/{job_id}{what}", who="bob")
        assert answer.status == 404
        check_shape(place, answer.json, "Problem")


def test_jobs_of_others_are_not_touched(place):
    """Another caller can neither cancel nor answer."""
    job = new_job(place, 7200, "other")
    assert ask(place, "POST", f"/api/v1/jobs/{job['job_id']}/cancel", who="bob").status == 404
    assert reply(place, job, "x", who="bob").status == 404
    assert show(place, job)["ending"] is None
    assert job["job_id"] not in {found["job_id"] for found in listed(place, "bob")}


@pytest.mark.parametrize("body", WRONG_TYPES, ids=lambda body: body[:24].decode(errors="replace"))
def test_bad_bodies(place, body):
    """What is no request for a job is 400 with the reason, and makes none."""
    before = len(listed(place, "bob"))
    answer = ask(place, "POST", "/api/v1/jobs", body, who="bob")
    assert answer.status == 400
    check_shape(place, answer.json, "Problem")
    assert len(listed(place, "bob")) == before


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/slack/events"])
def test_a_large_body(place, path):
    """A megabyte is refused, whether its size is told or not; Slack's door is shut here."""
    body = json.dumps({"issue": 1, "project": "x" * 1_000_000}).encode()
    told = ask(place, "POST", path, body)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=90)
    headers = {"Authorization": f"Bearer {KEYS['ci']}"}
    chunks = iter([body[:100_000]] * 10)
    connection.request("POST", "/api/v1/jobs", chunks, headers, encode_chunked=True)
    untold = connection.getresponse()
    assert (told.status, untold.status) == (413, 413)
    assert "256" in told.json["error"] or "262144" in told.json["error"]
    connection.close()


@pytest.mark.parametrize(
    "project", ["dem", "\N{ROCKET}", "\u202egnp", "a\x00b", "../etc", "x" * 5000]
)
def test_unknown_projects(place, project):
    """A project that is not there is 400, with those that are; no long text comes back."""
    answer = ask(place, "POST", "/api/v1/jobs", {"issue": 1, "project": project})
    assert answer.status == 400
    assert "demo" in answer.body
    assert len(answer.body) < 1000
    assert not set("\x00\u202e") & set(answer.json["error"])


# -- ends ----------------------------------------------------------------------------------------


def test_cancel(place):
    """A running job is stopped, and says who did it."""
    job = new_job(place, 7300, "other")
    until(lambda: show(place, job)["phase"] == "running", why="it runs")
    answer = ask(place, "POST", f"/api/v1/jobs/{job['job_id']}/cancel")
    assert answer.status == 200
    check_shape(place, answer.json, "Job")
    assert ended(place, job)["state"] == "CANCELLED"


def test_a_program_that_is_not_there(place):
    """A job that cannot start fails with the engine's cause."""
    job = new_job(place, 7301, "absent")
    ending = ended(place, job)
    assert ending["state"] == "FAILED"
    assert ending["cause"] == "start.command_not_found"
    assert "/nowhere/agent" in ending["message"] + str(ending["hint"])


def test_events_to_the_end(place):
    """The stream has the job at each change, and ends with its ending."""
    job = new_job(place, 68)
    question_of(place, job)
    reply(place, job, "main")
    body = ask(place, "GET", f"/api/v1/jobs/{job['job_id']}/events")
    assert body.headers["Content-Type"].startswith("text/event-stream")
    told = events(body.body)
    assert {name for name, _ in told} == {"job"}
    assert all(found["ending"] is None for _, found in told[:-1])
    assert told[-1][1]["ending"]["state"] == "SUCCEEDED"
    for _, found in told:
        check_shape(place, found, "Job")


def test_logs_while_it_runs(place):
    """The log so far as text; followed as events, to its end."""
    job = new_job(place, 70)
    question_of(place, job)
    path = f"/api/v1/jobs/{job['job_id']}/logs"
    text = until(lambda: (a := ask(place, "GET", path)).status == 200 and a, why="a log")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert "working on: fix #70 in demo" in text.body
    reply(place, job, "develop")
    told = events(ask(place, "GET", f"{path}?follow=1").body)
    assert [name for name, _ in told][-1] == "end"
    log = "".join(found["text"] for name, found in told if name == "log")
    assert "working on: fix #70 in demo" in log
    assert "on branch develop" in log


def test_logs_of_a_job_that_is_gone(place):
    """The followed log of a job that the engine forgot says so and ends."""
    job = new_job(place, 7400, "absent")
    ended(place, job)
    told = events(ask(place, "GET", f"/api/v1/jobs/{job['job_id']}/logs?follow=1").body)
    assert told[-1] == ("end", {})


def test_the_trace_is_handed_on(place):
    """A traceparent reaches the job; one that is none does not."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    job = new_job(place, 7500, "other", traceparent=trace)
    bad = new_job(place, 7501, "other", traceparent="$(id)")
    for one in (job, bad):
        path = f"/api/v1/jobs/{one['job_id']}/logs"
        one["log"] = until(
            lambda path=path: "TRACEPARENT" in (t := ask(place, "GET", path).body) and t,
            why="its log",
        )
    found = re.search(r"TRACEPARENT=(\S+)", job["log"])[1]
    assert found.split("-")[1] == trace.split("-")[1]
    assert "$(id)" not in bad["log"]


# -- health, metrics, secrets --------------------------------------------------------------------


def test_health(place):
    """Both say yes without a key, and nothing that is secret."""
    assert place.get("/healthz") == (200, "ok\n")
    status, body = place.get("/readyz")
    assert status == 200
    assert json.loads(body)["redis"] == json.loads(body)["engine"] == "answers"


def test_metrics(place):
    """Phases by engine and cause, ends by state and cause, and what is up."""
    job = new_job(place, 71)
    question_of(place, job)
    reply(place, job, "main")
    assert ended(place, job)["state"] == "FAILED"

    def shown(line: str) -> bool:
        return line in place.get("/metrics")[1]

    for line in (
        'spawnery_dispatcher_phase_seconds_count{cause="",engine="local",phase="queue"}',
        'spawnery_dispatcher_phase_seconds_count{cause="",engine="local",phase="start"}',
        'spawnery_dispatcher_phase_seconds_count{cause="exit.nonzero",engine="local",phase="run"}',
        'spawnery_dispatcher_jobs_ended_total{cause="exit.nonzero",engine="local",state="FAILED"}',
        'spawnery_dispatcher_jobs_accepted_total{project="demo"}',
        'spawnery_dispatcher_up{part="redis"} 1.0',
        'spawnery_dispatcher_up{part="engine"} 1.0',
    ):
        until(lambda line=line: shown(line), why=line, seconds=30)


def test_no_secret_is_anywhere(place, shared_redis):
    """What is forwarded to agents, and the keys, are in no log, answer, metric or Redis value."""
    job = new_job(place, 74)
    question_of(place, job)
    reply(place, job, "main")
    ended(place, job)
    planted = [SECRET, *KEYS.values()]
    redis = shared_redis.client()
    texts = [place.log.read_text(), place.get("/metrics")[1], json.dumps(show(place, job))]
    for key in redis.scan_iter():
        texts.append(repr(redis.dump(key)) if redis.type(key) != "string" else redis.get(key))
        if redis.type(key) == "hash":
            texts.append(json.dumps(redis.hgetall(key)))
        if redis.type(key) == "stream":
            texts.append(json.dumps(redis.xrange(key)))
    assert len(texts) > 10
    assert [text for text in texts for secret in planted if secret in text] == []
