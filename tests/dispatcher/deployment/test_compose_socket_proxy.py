"""Compose with a socket proxy: the dispatcher is not root and has no socket; jobs run as before."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing, contextmanager

import pytest
from compose_case import PLANTED, agents, attempt, docker, project, read_config
from dispatcher_case import until
from docker_case import DockerCase
from docker_host import endpoint_of
from docker_images import BUSYBOX, make_busybox
from service_images import AGENT, make_socket_proxy
from slack_server import SECRET, TOKEN

pytestmark = [pytest.mark.engine("docker"), pytest.mark.group("services")]

PROJECT = "spawnery-e2e-proxy"
FILES = ("docker-compose.yml", "docker-compose.socket-proxy.yml")
QUIET = "15s"
"""How long nothing may come over a connection: the proxy's own limit is ten minutes."""


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    """The project, up, as documented but for the proxy's image."""
    folder = tmp_path_factory.mktemp("compose")
    image = make_socket_proxy(timeout=QUIET)
    with project(PROJECT, folder, *FILES, SOCKET_PROXY_IMAGE=image) as made:
        yield made


def asked(compose, issue):
    """Say "fix #issue"; returns the job's message when the agent asks."""
    event = compose.slack.say(f"fix #{issue}", channel=f"C{issue}")
    assert compose.slack.deliver(compose.port, event).status == 200
    message = until(
        lambda: [m for m in compose.slack.of_bot(event="spawnery_job") if f"#{issue} " in m.text],
        why="the job's message",
    )[0]
    until(lambda: '"text": "main"' in message.words(), why="the question", instead=message.words)
    return message


def answered(compose, message):
    assert (
        compose.slack.deliver_form(compose.port, compose.slack.press(message, "main")).status == 200
    )
    until(lambda: "done" in message.text, why="the answer", instead=message.words)
    until(lambda: not agents(), why="the container is gone")


def shown(compose, service):
    return json.loads(docker("inspect", compose.run("ps", "-q", service).strip()))[0]


def test_fix_behind_the_proxy(compose):
    """The container is in the project's own network, reaches Redis, has its secrets, and goes."""
    message = asked(compose, 58)
    name = f"agentsmith-{message.metadata['event_payload']['job_id']}"
    assert agents() == [name]
    job = json.loads(docker("inspect", name))[0]
    assert list(job["NetworkSettings"]["Networks"]) == [f"{PROJECT}_default"]
    assert f"GITHUB_TOKEN={PLANTED}" in job["Config"]["Env"]
    assert "REDIS_URL=redis:6379" in job["Config"]["Env"]
    assert job["HostConfig"]["AutoRemove"] is True
    answered(compose, message)
    assert "https://example.com/pull/58" in message.words()
    logs = compose.run("logs", "dispatcher")
    for secret in (PLANTED, TOKEN, SECRET):
        assert secret not in logs


def test_no_root_and_no_socket(compose):
    """The dispatcher is an ordinary user without the engine's socket; Redis has it as little."""
    dispatcher = shown(compose, "dispatcher")
    assert dispatcher["Config"]["User"] == "65532:65532"
    assert compose.run("exec", "-T", "dispatcher", "id", "-u").strip() == "65532"
    for service in ("dispatcher", "redis"):
        mounts = [mount["Destination"] for mount in shown(compose, service)["Mounts"]]
        assert "/var/run/docker.sock" not in mounts
    assert [mount["RW"] for mount in shown(compose, "socket-proxy")["Mounts"]] == [False]


def test_check(compose):
    """`spawnery-dispatcher check` finds nothing that fails."""
    done = compose.attempt("exec", "-T", "dispatcher", "spawnery-dispatcher", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "own container" in done.stdout


def test_jobs_do_not_reach_the_proxy(compose):
    """Neither by its name nor by its address: it would make them root."""
    networks = shown(compose, "socket-proxy")["NetworkSettings"]["Networks"]
    assert list(networks) == [f"{PROJECT}_engine"]
    address = networks[f"{PROJECT}_engine"]["IPAddress"]
    reach = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"

    def reached(host, port):
        words = ("run", "--rm", "--network", f"{PROJECT}_default", "--entrypoint", "python3")
        return attempt(*words, AGENT, "-c", reach, host, str(port)).returncode == 0

    assert reached("redis", 6379)
    assert not reached("socket-proxy", 2375)
    assert not reached(address, 2375)


REFUSED = """
import http.client, json, sys
for method, path in json.loads(sys.argv[1]):
    connection = http.client.HTTPConnection("socket-proxy", 2375, timeout=20)
    connection.request(method, path, body="{}", headers={"Content-Type": "application/json"})
    print(method, path, connection.getresponse().status)
    connection.close()
"""


def test_what_the_spawner_does_not_need_is_refused(compose):
    """All other sections of the engine's API are closed; what is open shows that the way is."""
    closed = [
        ("POST", "/auth"),
        ("POST", "/build"),
        ("POST", "/v1.41/build"),
        ("POST", "/commit?container=x"),
        ("GET", "/configs"),
        ("GET", "/distribution/x/json"),
        ("POST", "/exec/x/start"),
        ("POST", "/grpc"),
        ("GET", "/info"),
        ("GET", "/networks"),
        ("POST", "/networks/create"),
        ("GET", "/nodes"),
        ("GET", "/plugins"),
        ("GET", "/secrets"),
        ("POST", "/secrets/create"),
        ("GET", "/services"),
        ("POST", "/session"),
        ("GET", "/swarm"),
        ("POST", "/swarm/init"),
        ("GET", "/system/df"),
        ("GET", "/tasks"),
        ("GET", "/volumes"),
        ("POST", "/volumes/create"),
        ("DELETE", "/volumes/x"),
        ("GET", "/"),
        ("GET", "/%2e%2e/volumes"),
    ]
    words = ("exec", "-T", "dispatcher", "python3", "-c", REFUSED)
    told = compose.run(*words, json.dumps(closed)).splitlines()
    assert told == [f"{method} {path} 403" for method, path in closed]
    opened = [("GET", "/_ping"), ("GET", "/v1.41/containers/json"), ("GET", "/version")]
    told = compose.run(*words, json.dumps(opened)).splitlines()
    assert told == [f"{method} {path} 200" for method, path in opened]


def test_a_job_is_quieter_than_the_proxy_allows(compose):
    """The proxy cuts what follows the job; its end is seen, and told once."""
    message = asked(compose, 68)
    until(
        lambda: {"wait", "attach"} <= set(cut(compose)), why="the proxy cuts what follows the job"
    )
    answered(compose, message)
    ended = compose.slack.of_bot(event="spawnery_ended")
    assert len([m for m in ended if "#68" in m.text]) == 1


def cut(compose):
    """Return what the proxy cut: HAProxy writes ``sD`` or ``cD`` where nothing came in time."""
    lines = compose.run("logs", "--no-log-prefix", "socket-proxy")
    return re.findall(r" [sc]D-- .*/containers/[0-9a-f]{64}/(wait|attach)\?", lines)


# -- what the file allows ------------------------------------------------------------------------

CHECK = ("check",)
PROBE = ("check", "--probe", "--image", BUSYBOX)
PULL = ("run", "--image", BUSYBOX, "--pull-policy", "always", "--", "true")
NEEDED = {
    "CONTAINERS": (PROBE, "POST /containers/create"),
    "POST": (PROBE, "POST /containers/create"),
    "IMAGES": (PULL, "POST /images/create"),
    "EVENTS": (CHECK, "GET /events"),
    "PING": (CHECK, "GET /_ping"),
    "VERSION": (CHECK, "GET /version"),
}
"""Section of the engine's API, what goes wrong without it, and what is said to be denied."""


@pytest.fixture(scope="module")
def image():
    return make_socket_proxy()


@pytest.fixture(scope="module")
def allowed():
    """The sections that the file allows."""
    return read_config(*FILES)["services"]["socket-proxy"]["environment"]


def test_no_http_proxy_stands_before_it(monkeypatch):
    """HTTP proxies that Compose hands on are not asked for the engine; others stay excepted."""
    monkeypatch.setenv("NO_PROXY", "corp.example")
    environ = read_config(*FILES)["services"]["dispatcher"]["environment"]
    assert "corp.example" in environ["NO_PROXY"].split(",")
    handed_on = {"HTTP_PROXY": "http://proxy:3128", "no_proxy": "corp.example"}
    assert endpoint_of({**environ, **handed_on}).proxy is None


@contextmanager
def proxy(image, sections):
    """Run the proxy alone; yields the engine's address behind it."""
    words = [word for name, value in sections.items() for word in ("-e", f"{name}={value}")]
    mount = "/var/run/docker.sock:/var/run/docker.sock:ro"
    name = docker("run", "-d", "--rm", *words, "-v", mount, image).strip()
    try:
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).strip()
        until(lambda: listens(address), why="the proxy listens")
        yield f"tcp://{address}:2375"
    finally:
        docker("rm", "-f", name)


def listens(address):
    with closing(socket.socket()) as tried:
        return tried.connect_ex((address, 2375)) == 0


def test_nothing_is_allowed_that_is_not_needed(allowed):
    """The tests below take away each section that the file allows, and there is no other."""
    assert allowed == dict.fromkeys(NEEDED, "1")


@pytest.mark.parametrize("section", ["", *NEEDED])
def test_each_section_is_needed(section, tmp_path, docker_socket, image, allowed):
    """Without it something does not work, and what is denied is said; with all of them it does."""
    address = f"unix://{docker_socket}"
    make_busybox(address)
    case = DockerCase(tmp_path, address)
    words, denied = NEEDED.get(section, (PROBE, ""))
    try:
        with proxy(image, allowed | ({section: "0"} if section else {})) as behind:
            done = case.cli(*words, DOCKER_HOST=behind)
    finally:
        case.close()
    told = done.stdout + done.stderr
    assert (done.returncode != 0) is bool(section), told
    assert not denied or f"a proxy before the engine must allow {denied}" in told, told
