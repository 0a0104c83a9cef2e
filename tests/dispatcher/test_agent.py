"""Agents: the library over breaks and crashes, and one without it that speaks the older dialect."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest
from commands import checked
from dispatcher_case import Dispatcher, until
from redis_case import free_port
from spawnery_agent import Agent, AgentError, NotAnswered
from spawnery_dispatcher.model.models import AgentEnd, Progress, Question
from spawnery_dispatcher.model.protocol import Detail, answer, in_key, out_key, parse

pytestmark = pytest.mark.engine("redis")

KEY = "key-of-ci-0123456789"
OLDER = r"""
say() { redis-cli -h "${REDIS_URL%:*}" -p "${REDIS_URL##*:}" "$@"; }
say XADD "job:$JOB_ID:out" '*' type PROGRESS jobId "$JOB_ID" step 1 total 2 text 'looking around'
say XADD "job:$JOB_ID:out" '*' type QUESTION jobId "$JOB_ID" questionId q1 text 'Which colour?' \
    choices 'red|blue' defaultAnswer '' timeoutSeconds ''
until [ "$chosen" ]; do
    sleep 0.1
    chosen=$(say XRANGE "job:$JOB_ID:in" - + | grep -x -A 1 content | tail -n 1)
done
say XADD "job:$JOB_ID:out" '*' type DETAIL jobId "$JOB_ID" text "painting $chosen"
say XADD "job:$JOB_ID:out" '*' type "$1" jobId "$JOB_ID" prUrl https://example.com/pull/9 \
    summary "painted $chosen" text "painted $chosen" step '' total '' stepName ''
exit "$2"
"""


@pytest.fixture
def job_id(request):
    """A job of the test's own."""
    return f"t-{abs(hash(request.node.nodeid)) % 10**9}-{time.monotonic_ns()}"


@pytest.fixture
def agent(redis_server, job_id):
    """An agent on a server that may be crashed."""
    with Agent(job_id, redis_server.url.removeprefix("redis://").split("/")[0]) as made:
        yield made


def said(server, job_id):
    """Return what the agent said, as the dispatcher reads it."""
    return [parse(fields) for _, fields in server.client().xrange(out_key(job_id))]


def put_answer(server, job_id, question_id, text):
    """Answer as the dispatcher does."""
    from datetime import UTC, datetime

    fields = answer(question_id, text, by="U1", at=datetime.now(UTC))
    server.client().xadd(in_key(job_id), fields)


def later(work, seconds=0.5):
    """Do something meanwhile."""
    timer = threading.Timer(seconds, work)
    timer.start()
    return timer


# -- the library ---------------------------------------------------------------------------------


def test_everything_that_an_agent_says_is_understood(redis_server, agent, job_id):
    """The dispatcher reads each entry as it was meant; the stream is short and expires."""
    agent.progress("reading", step=1, total=3)
    agent.detail("a file")
    put_answer(redis_server, job_id, "q", "blue")
    assert (
        agent.ask(
            "Which?",
            choices=["red", "blue|green"],
            default="red",
            question_id="p",
            timeout_seconds=0.1,
        )
        == "red"
    )
    agent.done("did it", url="https://example.com/1")
    progress, detail, question, end = said(redis_server, job_id)
    assert progress == Progress(step=1, total=3, text="reading")
    assert detail == Detail("a file")
    assert isinstance(question, Question)
    assert question.choices == ("red", "blue/green")
    assert question.default == "red"
    assert end == AgentEnd(done=True, text="did it", url="https://example.com/1")
    assert 7000 < redis_server.client().ttl(out_key(job_id)) <= 7200


def test_an_error_names_its_step(redis_server, agent, job_id):
    """Text and the name of the step arrive."""
    agent.error("no disk", step=2, total=3, step_name="building")
    assert said(redis_server, job_id) == [
        AgentEnd(done=False, text="no disk", step_name="building")
    ]


def test_an_exception_is_an_error(redis_server, job_id):
    """Leaving the block by an exception says Error, once, and the exception goes on."""

    def work():
        with Agent(job_id, redis_server.url) as agent:
            agent.progress("dividing")
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    _, end = said(redis_server, job_id)
    assert end == AgentEnd(done=False, text="ZeroDivisionError: division by zero")


def test_an_exception_after_the_end_says_nothing_more(redis_server, job_id):
    """What was done stays done."""

    def work():
        with Agent(job_id, redis_server.url) as agent:
            agent.done("all of it")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert said(redis_server, job_id) == [AgentEnd(done=True, text="all of it")]


def test_leaving_quietly_says_nothing(redis_server, job_id):
    """Done is said by the agent alone."""
    with Agent(job_id, redis_server.url) as agent:
        agent.progress("x")
    assert len(said(redis_server, job_id)) == 1


@pytest.mark.parametrize("name", ["answer", "content"])
def test_an_answer_of_either_dialect(redis_server, agent, job_id, name):
    """Both names of the text are read; the first answer to a question counts."""
    for text in ("blue", "red"):
        fields = {"type": "ANSWER", "questionId": "q", name: text}
        redis_server.client().xadd(in_key(job_id), fields)
    redis_server.client().xadd(in_key(job_id), {"type": "hello", "questionId": "q"})
    assert agent.ask("Which?", question_id="q") == "blue"


def test_an_answer_to_another_question_is_not_taken(redis_server, agent, job_id):
    """It waits for its own question, and is there when that is asked."""
    put_answer(redis_server, job_id, "other", "red")
    timer = later(lambda: put_answer(redis_server, job_id, "q", "blue"))
    assert agent.ask("Which?", question_id="q") == "blue"
    timer.join()
    assert agent.ask("And?", question_id="other") == "red"
    assert len(said(redis_server, job_id)) == 1


def test_nobody_answers(agent):
    """With a default that is taken, without one it is an error that names the question."""
    assert agent.ask("Which?", default="main", timeout_seconds=0.2) == "main"
    with pytest.raises(NotAnswered, match="Which one"):
        agent.ask("Which one?", timeout_seconds=0.2)


def test_what_was_answered_before_a_crash_is_not_asked_again(redis_server, job_id):
    """A new process with the same question id has the answer at once and asks nothing."""
    put_answer(redis_server, job_id, "branch", "develop")
    for _ in range(2):
        with Agent(job_id, redis_server.url) as agent:
            assert agent.ask("Which branch?", question_id="branch") == "develop"
    assert said(redis_server, job_id) == []


def test_a_restart_of_redis_is_waited_for(redis_server, agent, job_id):
    """Entries before and after it are all there, in their order."""
    agent.progress("one")
    redis_server.stop()
    timer = later(redis_server.start, 1.0)
    agent.progress("two")
    timer.join()
    agent.done("three")
    assert [message.text for message in said(redis_server, job_id)] == ["one", "two", "three"]


def test_a_restart_of_redis_while_a_question_is_open(redis_server, agent, job_id):
    """The answer that comes afterwards is heard; the question was asked once."""

    def restart_and_answer():
        redis_server.restart()
        put_answer(redis_server, job_id, "q", "blue")

    timer = later(restart_and_answer)
    assert agent.ask("Which?", question_id="q") == "blue"
    timer.join()
    assert len(said(redis_server, job_id)) == 1


def test_patience_ends(job_id):
    """Where nobody listens the agent says so, without the address' password."""
    address = f"redis://:planted-secret@127.0.0.1:{free_port()}"
    agent = Agent(job_id, address, patience_seconds=0.5)
    with pytest.raises(AgentError, match="did not answer") as caught:
        agent.progress("x")
    assert "planted-secret" not in f"{caught.value!r}"


@pytest.mark.parametrize("environ", [{}, {"JOB_ID": "x"}, {"REDIS_URL": "x:1"}])
def test_what_is_missing_is_named(environ):
    """Both variables are named, whichever is not there."""
    with pytest.raises(AgentError, match="JOB_ID and REDIS_URL"):
        Agent.from_environment(environ)


def test_importing_it_is_light():
    """The library loads no client before it is used."""
    code = "import sys, spawnery_agent; print('redis' in sys.modules)"
    assert checked(sys.executable, "-c", code).strip() == "False"


# -- without the library -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(shared_redis, tmp_path_factory):
    """A dispatcher whose agents are a shell script that knows nothing of us."""
    import hashlib

    folder = tmp_path_factory.mktemp("older")
    script = folder / "agent.sh"
    script.write_text(OLDER)
    digest = hashlib.sha256(KEY.encode()).hexdigest()

    def project(*words: str) -> str:
        return f"command = {json.dumps(['bash', str(script), *words])}\nargs = []"

    extra = f"""
[limits]
per_channel = 10
[api_keys.ci]
sha256 = "{digest}"
[projects.fails]
{project("ERROR", "1")}
[projects.lies]
{project("DONE", "1")}
[projects.fast]
{project("error", "0")}
"""
    dispatcher = Dispatcher(folder, shared_redis.url, project=project("DONE", "0"), extra=extra)
    dispatcher.start()
    until(lambda: dispatcher.get("/readyz")[0] == 200, why="it is ready")
    yield dispatcher
    dispatcher.end()


@pytest.mark.parametrize(
    ("project", "state", "words"),
    [
        ("demo", "SUCCEEDED", "painted blue"),
        ("fails", "FAILED", "painted blue"),
        ("lies", "FAILED", "exit code 1"),
        ("fast", "FAILED", "painted blue"),
    ],
)
def test_an_agent_of_the_older_dialect(place, project, state, words):
    """Types in capitals, no ids of messages, the answer's `content`: asked, answered, ended."""
    headers = {"Authorization": f"Bearer {KEY}"}
    status, job = place.post("/api/v1/jobs", {"project": project, "issue": 9}, **headers)
    assert status == 202, job
    path = f"/api/v1/jobs/{job['job_id']}"

    def now():
        return json.loads(place.get(path, **headers)[1])

    question = until(lambda: now()["question"], why="the question")
    assert (question["text"], question["choices"]) == ("Which colour?", ["red", "blue"])
    assert now()["progress"] == "looking around"
    given = {"question_id": question["question_id"], "answer": "blue"}
    assert place.post(f"{path}/answer", given, **headers)[0] == 200
    ending = until(lambda: now()["ending"], why="the end")
    assert ending["state"] == state
    assert words in json.dumps(ending)
    assert now()["detail"] == "painting blue"
    if state == "SUCCEEDED":
        assert ending["url"] == "https://example.com/pull/9"
