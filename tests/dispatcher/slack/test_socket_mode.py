"""Slack's Socket Mode, end to end: envelopes become jobs, whatever happens to the connections."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading

import pytest
from dispatcher_case import Dispatcher, until
from slack_server import APP_TOKEN, SECRET, TEAM, TOKEN, USER
from slack_socket import SlackSocketServer
from slack_story import ENDED, JOB, counted_project, readiness
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("redis")

LIMITS = "[limits]\nper_channel = 1\nper_user = 50"


@pytest.fixture(scope="module")
def place(shared_redis, tmp_path_factory):
    """A dispatcher that hears all that there is to log; tests use channels of their own."""
    with SlackSocketServer() as server:
        dispatcher = Dispatcher(
            tmp_path_factory.mktemp("socket"),
            shared_redis.url,
            slack_api=server.api_url,
            intake="socket",
            extra=LIMITS,
            environ={"DISPATCHER_LOG_LEVEL": "debug"},
        )
        dispatcher.start()
        yield server, dispatcher
        dispatcher.end()


@pytest.fixture
def server():
    """A Slack of the test's own."""
    with SlackSocketServer() as server:
        yield server


@pytest.fixture
def start(tmp_path, redis_server, server):
    """Start dispatchers of one instance; returns them."""
    made = []

    def launch(name="one", *, ready=True, slack="", **given):
        environ = {"SPAWNERY_STATE_DIR": str(tmp_path / "state"), **given.pop("environ", {})}
        dispatcher = Dispatcher(
            tmp_path / name,
            redis_server.url,
            slack_api=server.api_url,
            intake="socket",
            environ=environ,
            **given,
        )
        config = tmp_path / name / "dispatcher.toml"
        config.write_text(config.read_text().replace("[slack]\n", f"[slack]\n{slack}\n"))
        made.append(dispatcher)
        dispatcher.start() if ready else dispatcher.launch()
        return dispatcher

    yield launch
    for dispatcher in made:
        if dispatcher.alive:
            dispatcher.end()


@pytest.fixture
def channel(request):
    """A channel of the test's own."""
    return f"C{abs(hash(request.node.name)) % 10**8}"


def jobs(server, channel):
    return [m for m in server.of_bot(event=JOB) if m.channel == channel]


def replies(server, channel):
    return [m.text for m in server.of_bot() if m.channel == channel]


def job_message(server, channel):
    return until(lambda: jobs(server, channel), why="the job's message")[0]


def mention(server, text, channel):
    """Write a message that mentions us; returns its two events."""
    message = server.say(f"<@U0BOT> {text}", channel=channel)
    return message, server.envelope({**message["event"], "type": "app_mention"})


def press(server, message, label, **given):
    return server.deliver_envelope(server.press(message, label, **given), kind="interactive")


def finish(server, channel):
    """Answer the agent's question; returns the job's message, the only one, with its end."""
    message = job_message(server, channel)
    until(lambda: '"text": "main"' in message.words(), why="the question", instead=message.words)
    assert press(server, message, "main")
    until(lambda: ": done" in message.text, why="the answer", instead=message.words)
    job_id = message.metadata["event_payload"]["job_id"]
    until(lambda: server.of_bot(event=ENDED, job_id=job_id), why="the ping")
    assert len(jobs(server, channel)) == 1
    assert len(server.of_bot(event=ENDED, job_id=job_id)) == 1
    return message


# -- what people say and do ----------------------------------------------------------------------


def test_a_mention_becomes_a_job_and_an_answer(place, channel):
    """One message in the thread, a question answered by a button, the end told."""
    server, _ = place
    _, event = mention(server, "fix #58", channel)
    assert server.deliver_envelope(event).attempt == 0
    message = finish(server, channel)
    assert message.thread_ts == event["event"]["ts"]
    assert "https://example.com/pull/58" in message.words()


def test_a_mention_is_one_job(place, channel):
    """It comes as a message and as a mention, and each of them again: also when it is over."""
    server, _ = place
    message, event = mention(server, "fix #70", channel)
    for body in (message, event, message, event):
        assert server.deliver_envelope(body)
    finish(server, channel)
    assert server.deliver_envelope(message)
    assert server.deliver_envelope(event)
    assert len(jobs(server, channel)) == 1


def test_an_acknowledgement_is_lost(place, channel):
    """Slack delivers it again: the same job, and this time it is acknowledged."""
    server, _ = place
    server.lost_acks = 1
    assert server.deliver_envelope(server.say("fix #79", channel=channel)).attempt == 1
    finish(server, channel)


def test_a_free_answer_in_the_thread(place, channel):
    """A text in the job's thread answers the agent's question."""
    server, _ = place
    event = server.say("fix #72", channel=channel)
    server.deliver_envelope(event)
    message = job_message(server, channel)
    until(lambda: "Which branch" in message.words(), why="the question")
    reply = server.say("release/2.0", thread=event["event"]["ts"], channel=channel)
    server.deliver_envelope(reply)
    until(lambda: "giving up" in message.words(), why="the end")
    assert "on branch release/2.0" in message.words()


def test_a_slash_command_and_a_cancellation(place, channel):
    """The command's words come with its acknowledgement; the job is cancelled by its button."""
    server, _ = place
    command = {
        "command": "/agent",
        "text": "fix #73",
        "channel_id": channel,
        "user_id": USER,
        "team_id": TEAM,
        "trigger_id": f"9.{channel}",
        "api_app_id": "A1",
        "response_url": "http://127.0.0.1:9/",
    }
    ack = server.deliver_envelope(command, kind="slash_commands")
    assert "demo-73-" in ack.payload["text"]
    message = job_message(server, channel)
    assert press(server, message, "Cancel")
    until(lambda: "cancelled" in message.text, why="the cancellation")


def test_what_is_not_for_us_is_acknowledged(place, channel):
    """Talk, and events that nobody listens to: Slack would deliver them again and again."""
    server, _ = place
    reaction = {"type": "reaction_added", "user": USER, "item": {"channel": channel}}
    for body in (server.say("good morning", channel=channel), server.envelope(reaction)):
        assert server.deliver_envelope(body).attempt == 0
    server.deliver_envelope(server.say("list", channel=channel))
    until(lambda: replies(server, channel), why="an answer to list")
    assert replies(server, channel) == ["Nothing runs here."]


# -- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
def test_slack_wants_another_connection(place, channel, reason):
    """The next one is there before the old one ends; both are heard, and nothing is lost."""
    server, dispatcher = place
    (old,) = until(lambda: server.links, why="a connection")
    message, event = mention(server, "fix #74", channel)
    server.warn(old, reason)
    until(lambda: len(server.links) == 2, why="another connection")
    assert server.deliver_envelope(message, over=old).attempt == 0
    assert server.deliver_envelope(event).attempt == 0
    server.close(old)
    until(lambda: old not in server.links, why="the old connection is closed")
    assert readiness(dispatcher)[0] == 200
    finish(server, channel)
    assert len(server.links) == 1


def test_a_connection_is_cut(place, channel):
    """What was not acknowledged is delivered over the next one: the same job."""
    server, dispatcher = place
    (old,) = until(lambda: server.links, why="a connection")
    server.lost_acks = 1
    event = server.say("fix #75", channel=channel)
    delivery = []
    talk = threading.Thread(target=lambda: delivery.append(server.deliver_envelope(event)))
    talk.start()
    until(lambda: not server.lost_acks, why="the acknowledgement is lost")
    server.cut(old)
    talk.join()
    assert delivery[0].attempt == 1
    assert old not in server.links
    finish(server, channel)
    assert readiness(dispatcher)[0] == 200


def test_a_connection_falls_silent(place, channel):
    """Nobody closes it and nothing comes: that is noticed, and another one is opened."""
    server, _ = place
    (old,) = until(lambda: server.links, why="a connection")
    server.fall_silent(old)
    until(lambda: server.links and old not in server.links, why="another connection")
    server.deliver_envelope(server.say("fix #76", channel=channel))
    finish(server, channel)


def test_pings_are_answered(place):
    """Slack closes connections that do not."""
    server, _ = place
    (link,) = until(lambda: server.links, why="a connection")
    until(lambda: server.ping(link), why="a pong")


def test_slack_does_not_close_what_it_warned_of(place):
    """We do, after a while: an app may have ten connections."""
    server, _ = place
    (old,) = until(lambda: server.links, why="a connection")
    server.warn(old, "refresh_requested")
    until(lambda: old not in server.links, why="the old connection is closed")
    assert len(server.links) == 1


def test_what_is_no_envelope(place, channel):
    """Whatever comes, the connection is heard on."""
    server, _ = place
    (link,) = until(lambda: server.links, why="a connection")
    payloads = ("", "text", [], ["text"], 5, None, {"type": "event_callback"}, {"actions": 5})
    envelopes = [
        {"envelope_id": f"odd-{number}", "type": "events_api", "payload": payload}
        for number, payload in enumerate(payloads)
    ]
    odd = ["[1]", "{", "", "\u0000", '{"type": "disconnect" ', '{"type": ["hello"]}']
    for text in (*odd, *map(json.dumps, envelopes)):
        server.send(link, text)
    server.deliver_envelope(server.say("list", channel=channel), over=link)
    until(lambda: replies(server, channel) == ["Nothing runs here."], why="an answer to list")
    assert server.links == [link]


def test_two_dispatchers(start, server, channel):
    """Slack gives each envelope to one of them; the two events of a mention are one job."""
    start("one")
    start("two")
    one, two = until(lambda: len(server.links) == 2 and server.links, why="two connections")
    message, event = mention(server, "fix #58", channel)
    assert server.deliver_envelope(message, over=one).attempt == 0
    assert server.deliver_envelope(event, over=two).attempt == 0
    finish(server, channel)


def test_it_stops_in_time(start, server, tmp_path, channel):
    """SIGTERM: nothing more is heard, the agent goes on, and the next dispatcher ends the job."""
    runs = tmp_path / "runs"
    project = counted_project(runs)
    dispatcher = start(project=project)
    server.deliver_envelope(server.say("fix #58", channel=channel))
    message = job_message(server, channel)
    until(lambda: '"text": "main"' in message.words(), why="the question")
    assert dispatcher.end() == 0
    until(lambda: not server.links, why="the connection is closed")
    (agent,) = runs.read_text().split()
    os.kill(int(agent), 0)
    start(project=project)
    finish(server, channel)
    assert runs.read_text().split() == [agent]


def test_it_is_killed_before_it_acknowledges(start, server, channel):
    """The envelope is written down and not acknowledged: the next dispatcher has the same job."""
    dispatcher = start()
    dispatcher.kill()
    until(lambda: not server.links, why="the connection is gone")
    dispatcher.launch(DISPATCHER_CRASH_AT="accepted")
    event = server.say("fix #58", channel=channel)
    delivery = []
    talk = threading.Thread(target=lambda: delivery.append(server.deliver_envelope(event)))
    talk.start()
    dispatcher.wait_dead()
    dispatcher.start()
    talk.join()
    assert delivery[0].attempt == 1
    finish(server, channel)


# -- what does not work --------------------------------------------------------------------------


def test_redis_does_not_answer(start, server, redis_server, channel):
    """What cannot be written down is not acknowledged; Slack's next delivery is taken."""
    start()
    redis_server.stop()
    event = server.say("fix #58", channel=channel)
    try:
        server_said = server.deliver_envelope(event)
    finally:
        redis_server.start()
    assert server_said is None
    assert until(lambda: server.deliver_envelope(event), why="it is taken")
    finish(server, channel)


@pytest.mark.engine("redis", "docker")
def test_the_engine_is_not_waited_for(start, server, docker_socket, channel):
    """An engine that never answers keeps no acknowledgement back."""
    with TransportProxy(f"unix://{docker_socket}") as proxy:
        project = 'image = "any"\nforward = []'
        start(project=project, spawner="docker", environ={"DOCKER_HOST": proxy.address})
        proxy.arm(Rule(Fault.STALL))
        assert server.deliver_envelope(server.say("fix #58", channel=channel)).attempt == 0
        job_message(server, channel)


def no_leak(dispatcher, server):
    """Hold that nothing that is secret was said, and no traceback."""
    shown = (
        dispatcher.log.read_text() + dispatcher.get("/readyz")[1] + dispatcher.get("/metrics")[1]
    )
    told = shown + "\n".join(m.words() for m in server.messages)
    planted = (APP_TOKEN, server.app_token, TOKEN, SECRET, dispatcher.environ["DEMO_TOKEN"])
    assert [secret for secret in (*planted, *server.tickets) if secret in told] == []
    assert "Traceback" not in shown


def pauses(server, since):
    asked = [at for at in server.asked if at >= since]
    return [later - earlier for earlier, later in itertools.pairwise(asked)]


@pytest.mark.parametrize(
    ("token", "code"),
    [("xapp-1-A1-another-token-9876543210", "invalid_auth"), (TOKEN, "not_allowed_token_type")],
)
def test_a_wrong_app_token(start, server, channel, token, code):
    """/readyz and the log say which variable is wrong, by Slack's code; it heals by itself."""
    dispatcher = start(ready=False, environ={"SLACK_APP_TOKEN": token})
    found = until(
        lambda: (f := readiness(dispatcher)[1]) and f.get("slack_problem") and f,
        why="the problem",
    )
    assert readiness(dispatcher)[0] == 503
    for word in ("slack.token", "SLACK_APP_TOKEN", code):
        assert word in found["slack_problem"]
    assert "does not answer since" in found["slack"]
    assert 'up{part="slack"} 0.0' in dispatcher.get("/metrics")[1]
    until(lambda: len(server.asked) > 2, why="it is tried again")
    assert min(pauses(server, 0)) > 0.2
    log = dispatcher.log.read_text()
    assert log.count("slack_away") == 1
    assert "slack.token" in log
    assert "connections:write" in log
    no_leak(dispatcher, server)
    assert token not in log
    if token != TOKEN:
        server.app_token = token
        until(lambda: readiness(dispatcher)[0] == 200, why="ready")
        server.deliver_envelope(server.say("fix #58", channel=channel))
        finish(server, channel)
        no_leak(dispatcher, server)


def test_socket_mode_is_switched_off(start, server, channel):
    """While it runs and when it starts: it is said, not hammered at, and over when it is on."""
    dispatcher = start()
    until(lambda: server.links, why="a connection")
    since = server.asked[-1]
    server.switch(on=False)
    found = until(
        lambda: (f := readiness(dispatcher)) and f[0] == 503 and "link_disabled" in str(f) and f[1],
        why="it is said",
    )
    assert found["slack_problem"].startswith("slack.disabled: ")
    assert "link_disabled" in found["slack_problem"]
    until(lambda: len(pauses(server, since)) > 2, why="it is tried again")
    assert min(pauses(server, since)[1:]) > 0.2
    assert "Enable Socket Mode" in dispatcher.log.read_text()
    server.switch(on=True)
    until(lambda: readiness(dispatcher)[0] == 200, why="ready")
    server.deliver_envelope(server.say("fix #58", channel=channel))
    finish(server, channel)
    no_leak(dispatcher, server)


@pytest.mark.parametrize("fault", ["500", "429", "gateway", "garbage", "lost", "internal_error"])
def test_slack_fails_for_a_while(start, server, channel, fault):
    """It is tried again, and works without a restart."""
    server.fail("apps.connections.open", fault, fault)
    dispatcher = start()
    assert len(server.asked) >= 3
    server.deliver_envelope(server.say("fix #58", channel=channel))
    finish(server, channel)
    no_leak(dispatcher, server)


def test_slack_is_not_there_at_all(start, server):
    """It says so, lives on, and stops in time."""
    dispatcher = start(ready=False, environ={"DISPATCHER_SLACK_API_URL": "http://127.0.0.1:9/api/"})
    found = until(
        lambda: (f := readiness(dispatcher)[1]) and f.get("slack_problem") and f,
        why="the problem",
    )
    assert found["slack_problem"].startswith("slack.unreachable: ")
    assert dispatcher.get("/healthz")[0] == 200
    assert dispatcher.end(signal.SIGTERM) == 0
    assert "Traceback" not in dispatcher.log.read_text()


# -- who is let in -------------------------------------------------------------------------------


def test_lists_of_people_and_channels(start, server):
    """Who is not on them starts, answers and cancels nothing, whatever the envelope is."""
    lists = f'users = ["{USER}"]\nchannels = ["CIN"]\nteams = ["{TEAM}"]'
    start(slack=lists)

    def say(text, **given):
        event = server.say(text, **given)
        assert server.deliver_envelope(event)
        return event

    say("fix #58", channel="COUT")
    say("fix #58", channel="CIN", user="UOTHER")
    elsewhere = server.say("fix #58", channel="CIN")
    assert server.deliver_envelope({**elsewhere, "team_id": "TOTHER"})
    command = {
        "command": "/agent",
        "text": "fix #58",
        "team_id": TEAM,
        "user_id": "UOTHER",
        "channel_id": "CIN",
        "trigger_id": "1.2.x",
        "api_app_id": "A1",
    }
    denied = server.deliver_envelope(command, kind="slash_commands")
    assert "not on the list" in denied.payload["text"]
    event = say("fix #59", channel="CIN")
    message = job_message(server, "CIN")
    until(lambda: '"text": "main"' in message.words(), why="the question")
    press(server, message, "main", user="UOTHER")
    press(server, message, "Cancel", user="UOTHER")
    say("main", channel="CIN", user="UOTHER", thread=event["event"]["ts"])
    until(lambda: len([t for t in replies(server, "CIN") if "not on the list" in t]) == 4, why="no")
    assert '"text": "main"' in message.words()
    assert re.match(r"demo-59-", message.metadata["event_payload"]["job_id"])
    finish(server, "CIN")
    assert jobs(server, "COUT") == []


def test_no_secret_is_anywhere(place):
    """Tokens and tickets are in no message, no log and no metric; there is no traceback."""
    server, dispatcher = place
    assert server.tickets
    no_leak(dispatcher, server)
