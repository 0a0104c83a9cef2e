"""Slack, end to end: a signed message becomes a job on this machine, and its end an answer."""

from __future__ import annotations

import json
import time

import pytest
from dispatcher_case import Dispatcher, until
from slack_server import CHANNEL, SECRET, TEAM, USER, SlackServer, post, signed

pytestmark = pytest.mark.engine("redis")

JOB, ENDED = "spawnery_job", "spawnery_ended"


@pytest.fixture(scope="module")
def place(shared_redis, tmp_path_factory):
    """A dispatcher with Slack; tests use channels of their own."""
    folder = tmp_path_factory.mktemp("slack")
    extra = "[limits]\nper_channel = 1\nper_user = 50"
    with SlackServer() as server:
        dispatcher = Dispatcher(folder, shared_redis.url, slack_api=server.api_url, extra=extra)
        dispatcher.start()
        yield server, dispatcher
        dispatcher.end()


@pytest.fixture
def channel(request):
    """A channel of the test's own."""
    return f"C{abs(hash(request.node.name)) % 10**8}"


def job_message(server, channel):
    return until(
        lambda: next((m for m in server.of_bot(event=JOB) if m.channel == channel), None),
        why="the job's message",
    )


def answer_branch(server, dispatcher, channel, label="main"):
    message = job_message(server, channel)
    until(lambda: f'"text": "{label}"' in message.words(), why="the question's buttons")
    assert server.deliver_form(dispatcher.port, server.press(message, label)).status == 200
    return message


def test_fix_becomes_a_job_and_an_answer(place, channel):
    """Acknowledged at once, one message, a question answered by a button, the end told."""
    server, dispatcher = place
    event = server.say("fix #58 in demo", channel=channel)
    answer = server.deliver(dispatcher.port, event)
    assert answer.status == 200
    message = answer_branch(server, dispatcher, channel)
    job_id = message.metadata["event_payload"]["job_id"]
    assert job_id.startswith("demo-58-")
    assert message.thread_ts == event["event"]["ts"]
    until(lambda: "done" in message.text, why="the answer")
    assert "https://example.com/pull/58" in message.words()
    pings = until(lambda: server.of_bot(event=ENDED, job_id=job_id), why="the ping")
    assert f"<@{USER}>" in pings[0].text
    assert len(server.of_bot(event=JOB, job_id=job_id)) == 1


def test_a_redelivery_is_the_same_job(place, channel):
    """The same message as message and as app_mention, delivered many times, is one job."""
    server, dispatcher = place
    event = server.say("<@U0BOT> fix #70 in demo", channel=channel)
    mention = server.envelope({**event["event"], "type": "app_mention"})
    for body in (event, mention, event, mention):
        assert server.deliver(dispatcher.port, body).status == 200
        time.sleep(1.1)  # Slack signs by the second: the same second would be a replay
    message = answer_branch(server, dispatcher, channel)
    until(lambda: "done" in message.text, why="the answer")
    assert server.deliver(dispatcher.port, event).status == 200
    assert server.deliver(dispatcher.port, mention).status == 200
    ours = [m for m in server.of_bot(event=JOB) if m.channel == channel]
    assert len(ours) == 1


def test_a_failure_says_why(place, channel):
    """Cause, hint and the end of the log are in the message."""
    server, dispatcher = place
    server.deliver(dispatcher.port, server.say("#61", channel=channel))
    message = answer_branch(server, dispatcher, channel)
    until(lambda: "failed" in message.text, why="the end")
    for part in ("2 of 10 tests failed", "exit.nonzero", "the tests failed"):
        assert part in message.words()


def test_a_free_answer_in_the_thread(place, channel):
    """A text in the job's thread answers the agent's question."""
    server, dispatcher = place
    event = server.say("fix #72", channel=channel)
    server.deliver(dispatcher.port, event)
    message = job_message(server, channel)
    until(lambda: "Which branch" in message.words(), why="the question")
    reply = server.say("release/2.0", thread=event["event"]["ts"], channel=channel)
    server.deliver(dispatcher.port, reply)
    until(lambda: "giving up" in message.words(), why="the end")
    assert "on branch release/2.0" in message.words()


def test_a_second_job_of_an_issue_and_of_a_channel_is_refused(place, channel):
    """Both are told which job is in the way; another channel may go on."""
    server, dispatcher = place
    server.deliver(dispatcher.port, server.say("fix #73", channel=channel))
    message = job_message(server, channel)
    job_id = message.metadata["event_payload"]["job_id"]
    server.deliver(dispatcher.port, server.say("fix #74", channel=channel))
    until(
        lambda: any("not now" in m.text and job_id in m.text for m in server.of_bot()),
        why="the refusal of the channel",
    )
    server.deliver(dispatcher.port, server.say("fix #73", channel=channel + "X"))
    until(
        lambda: any("works on it already" in m.text and job_id in m.text for m in server.of_bot()),
        why="the refusal of the issue",
    )
    assert server.deliver_form(dispatcher.port, server.press(message, "Cancel")).status == 200
    until(lambda: "cancelled" in message.text, why="the cancellation")


def test_commands(place, channel):
    """status, logs, list, help and near misses are answered where they were asked."""
    server, dispatcher = place
    for text, words in (
        ("<@U0BOT> help", "cancel [JOB]"),
        ("<@U0BOT> statsu", "Did you mean: status"),
        ("status", "Nothing runs here"),
        ("status demo-1-nothing", "no job demo-1-nothing"),
        ("fix #5 in dmeo", "Did you mean demo?"),
        ("list", "Nothing runs here"),
    ):
        event = server.say(text, channel=channel)
        if text.startswith("<@"):
            event = server.envelope({**event["event"], "type": "app_mention"})
        server.deliver(dispatcher.port, event)
        until(
            lambda words=words: any(
                words in m.text and m.channel == channel for m in server.of_bot()
            ),
            why=f"an answer to {text}",
        )


def test_talk_is_not_for_us(place, channel):
    """Other people's talk, edits and bots are passed over."""
    server, dispatcher = place
    talk = server.say("good morning everybody", channel=channel)
    edited = server.say("fix #58", channel=channel)
    edited["event"]["subtype"] = "message_changed"
    robot = server.say("fix #58", channel=channel)
    robot["event"]["bot_id"] = "B2"
    for body in (talk, edited, robot):
        assert server.deliver(dispatcher.port, body).status == 200
    server.deliver(dispatcher.port, server.say("list", channel=channel))
    until(lambda: [m for m in server.of_bot() if m.channel == channel], why="an answer to list")
    assert [m.text for m in server.of_bot() if m.channel == channel] == ["Nothing runs here."]


def test_a_slash_command(place, channel):
    """A slash command is answered at once, and its trigger is its identity."""
    server, dispatcher = place
    fields = {
        "command": "/agent",
        "text": "fix #75",
        "channel_id": channel,
        "user_id": USER,
        "team_id": TEAM,
        "trigger_id": "9.8.trigger",
        "api_app_id": "A1",
        "response_url": "http://127.0.0.1:9/",
    }
    answer = server.deliver_form(dispatcher.port, {}, **fields)
    assert answer.status == 200
    assert "demo-75-" in answer.body
    time.sleep(1.1)
    again = server.deliver_form(dispatcher.port, {}, **fields)
    assert again.body == answer.body
    message = job_message(server, channel)
    assert server.deliver_form(dispatcher.port, server.press(message, "Cancel")).status == 200
    until(lambda: "cancelled" in message.text, why="the cancellation")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda h: {**h, "X-Slack-Signature": "v0=" + "0" * 64}, "forged"),
        (lambda h: {**h, "X-Slack-Signature": "v0=\u00e9".encode().decode("latin-1")}, "odd"),
        (lambda h: {**h, "X-Slack-Request-Timestamp": "abc"}, "no number"),
        (lambda h: {**h, "X-Slack-Request-Timestamp": "9" * 40}, "huge"),
        (lambda h: {}, "unsigned"),
    ],
)
def test_what_slack_did_not_sign_stays_out(place, change, why):
    """Forged, malformed and missing signatures are 401, not 500, and change nothing."""
    server, dispatcher = place
    event = {"type": "message", "text": "fix #1", "channel": "C0UNSIGNED"}
    data = json.dumps(server.envelope(event)).encode()
    answer = post(dispatcher.port, "/slack/events", data, change(signed(data)))
    assert answer.status == 401, why
    assert not [call for call in server.calls if "C0UNSIGNED" in str(call)]


def test_old_and_replayed_requests_stay_out(place, channel):
    """Five minutes are the window, and no request is taken twice."""
    server, dispatcher = place
    data = json.dumps(server.say("list", channel=channel)).encode()
    json_type = {"Content-Type": "application/json"}
    old = signed(data, at=time.time() - 301) | json_type
    assert post(dispatcher.port, "/slack/events", data, old).status == 401
    wrong = signed(data, secret=SECRET[::-1]) | json_type
    assert post(dispatcher.port, "/slack/events", data, wrong).status == 401
    headers = signed(data) | json_type
    assert post(dispatcher.port, "/slack/events", data, headers).status == 200
    assert post(dispatcher.port, "/slack/events", data, headers).status == 401


def test_a_huge_body_is_refused(place):
    """A megabyte is refused before it is looked at."""
    server, dispatcher = place
    data = json.dumps(server.envelope({"type": "message", "text": "x" * 1_000_000})).encode()
    headers = signed(data) | {"Content-Type": "application/json"}
    assert post(dispatcher.port, "/slack/events", data, headers).status in {0, 413}


def test_url_verification(place):
    """Slack's challenge is answered."""
    _, dispatcher = place
    data = json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"}).encode()
    headers = signed(data) | {"Content-Type": "application/json"}
    answer = post(dispatcher.port, "/slack/events", data, headers)
    assert answer.status == 200
    assert "abc" in answer.body


@pytest.mark.parametrize(
    "faults",
    [("429", "429"), ("500",), ("gateway", "garbage"), ("lost",), ("lost", "429", "lost")],
)
def test_slack_fails_and_the_answer_is_one(place, channel, faults):
    """Rate limits, errors and lost replies: one message for the job, one ping, the final words."""
    server, dispatcher = place
    number = 80 + len(faults) * 10 + {"429": 3, "500": 4, "lost": 5, "gateway": 7}[faults[0]]
    server.fail("chat.postMessage", *faults)
    server.fail("chat.update", *faults)
    server.deliver(dispatcher.port, server.say(f"fix #{number}", channel=channel))
    message = answer_branch(server, dispatcher, channel)
    job_id = message.metadata["event_payload"]["job_id"]
    until(lambda: "done" in message.text, why="the answer")
    server.fail("chat.postMessage", "lost")
    until(lambda: server.of_bot(event=ENDED, job_id=job_id), why="the ping")
    time.sleep(2)
    assert len(server.of_bot(event=JOB, job_id=job_id)) == 1
    assert len(server.of_bot(event=ENDED, job_id=job_id)) == 1
    server.faults.clear()


def test_no_secret_is_anywhere(place):
    """Planted values are in no message, no log and no metric."""
    server, dispatcher = place
    told = "\n".join(m.words() for m in server.messages)
    seen = told + dispatcher.log.read_text() + dispatcher.get("/metrics")[1]
    assert CHANNEL
    for value in (SECRET, dispatcher.environ["SLACK_BOT_TOKEN"], dispatcher.environ["DEMO_TOKEN"]):
        assert value not in seen
