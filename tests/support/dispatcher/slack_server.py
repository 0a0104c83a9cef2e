"""Slack on loopback: the part of its Web API that we use, and signed deliveries with retries.

It behaves as docs.slack.dev says: ``ok: false`` with an error code inside a 200, 429 with
Retry-After, messages found by thread and metadata, deliveries that are not acknowledged within
three seconds sent again with X-Slack-Retry-Num. Faults are armed per method.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-test-token-0123456789"
APP_TOKEN = "xapp-1-A1-test-token-0123456789"
TEAM, CHANNEL, USER, BOT = "T1", "C1", "U1", "U0BOT"
ACK_SECONDS = 3.0


@dataclass
class Message:
    """A message of a channel."""

    channel: str
    ts: str
    text: str
    thread_ts: str = ""
    user: str = BOT
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    edits: int = 0

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        found: dict[str, Any] = {"ts": self.ts, "text": self.text, "user": self.user}
        if self.thread_ts:
            found["thread_ts"] = self.thread_ts
        if self.metadata:
            found["metadata"] = self.metadata
        return found

    def words(self) -> str:
        """Return all that a person reads."""
        return self.text + "\n" + json.dumps(self.blocks, ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """What a delivery was answered with."""

    status: int
    body: str
    seconds: float


class SlackServer:
    """The server; use it as a context manager.

    Args:
        host: Where it listens; containers and pods do not reach the loopback interface.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.messages: list[Message] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, deque[str]] = {}
        self._lock = threading.RLock()
        self._stamps = itertools.count(1)
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.api_url = f"http://127.0.0.1:{self.port}/api/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # -- what a test sees --------------------------------------------------------------------

    def of_bot(self, *, event: str = "", job_id: str = "") -> list[Message]:
        """Return messages of ours, by the type of their metadata and their job."""
        with self._lock:
            found = [m for m in self.messages if m.user == BOT]
        if event:
            found = [m for m in found if (m.metadata or {}).get("event_type") == event]
        if job_id:
            found = [m for m in found if m.metadata["event_payload"]["job_id"] == job_id]
        return found

    def fail(self, method: str, *faults: str) -> None:
        """Arm faults for the next calls.

        ``429``, ``500``, ``gateway`` (503 and plain text, as what stands before Slack answers),
        ``garbage`` (200 and JSON that is none), ``lost`` (acts, no reply), or a code of Slack's.
        """
        self.faults.setdefault(method, deque()).extend(faults)

    def stamp(self) -> str:
        """Return a new message timestamp, which is unique in a channel."""
        return f"{int(time.time())}.{next(self._stamps):06d}"

    # -- what people do ----------------------------------------------------------------------

    def say(
        self, text: str, *, thread: str = "", channel: str = CHANNEL, user: str = USER
    ) -> dict[str, Any]:
        """Write a message as a person; returns the event for ``deliver``."""
        message = Message(channel, self.stamp(), text, thread_ts=thread, user=user)
        with self._lock:
            self.messages.append(message)
        event = {
            "type": "message",
            "channel": channel,
            "channel_type": "channel",
            "user": user,
            "text": text,
            "ts": message.ts,
            **({"thread_ts": thread} if thread else {}),
        }
        return self.envelope(event)

    @staticmethod
    def envelope(event: dict[str, Any]) -> dict[str, Any]:
        """Wrap an event as the Events API does."""
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A1",
            "event": event,
            "event_id": f"Ev{hashlib.sha256(json.dumps(event).encode()).hexdigest()[:10]}",
            "event_time": int(time.time()),
        }

    @staticmethod
    def press(message: Message, label: str, *, user: str = USER) -> dict[str, Any]:
        """Press a button of a message; returns the payload for ``deliver_form``."""
        elements = [e for b in message.blocks if b["type"] == "actions" for e in b["elements"]]
        element = next(e for e in elements if e["text"]["text"] == label)
        return {
            "type": "block_actions",
            "team": {"id": TEAM},
            "user": {"id": user, "team_id": TEAM},
            "channel": {"id": message.channel},
            "container": {"type": "message", "message_ts": message.ts},
            "api_app_id": "A1",
            "trigger_id": "1.2.abc",
            "actions": [
                {
                    "type": "button",
                    "block_id": "b",
                    "action_id": element["action_id"],
                    "value": element["value"],
                    "action_ts": "1.1",
                }
            ],
        }

    # -- deliveries --------------------------------------------------------------------------

    def deliver(self, port: int, body: dict[str, Any], *, retries: int = 3) -> Answer:
        """Deliver an event, again where it is not acknowledged, as Slack does."""
        data = json.dumps(body).encode()
        for number in range(retries + 1):
            headers = signed(data) | {"Content-Type": "application/json"}
            if number:
                headers |= {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": "http_error"}
            answer = post(port, "/slack/events", data, headers)
            if 200 <= answer.status < 300:
                break
            time.sleep(0.3)
        return answer

    def deliver_form(self, port: int, payload: dict[str, Any], **fields: str) -> Answer:
        """Deliver a button (``payload``) or a slash command (``fields``)."""
        given = {"payload": json.dumps(payload)} if payload else fields
        data = urlencode(given).encode()
        headers = signed(data) | {"Content-Type": "application/x-www-form-urlencoded"}
        return post(port, "/slack/events", data, headers)

    # -- the API -----------------------------------------------------------------------------

    def call(self, method: str, given: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Carry out a call; returns the answer and the fault that strikes it."""
        with self._lock:
            self.calls.append((method, given))
            armed = self.faults.get(method)
            fault = armed.popleft() if armed else ""
            if fault and fault != "lost":
                return {"ok": False, "error": fault}, fault
            act = getattr(self, method.replace(".", "_"), None)
            if act is None:
                return {"ok": False, "error": "unknown_method"}, ""
            return act(given), fault

    def refusal(self, _method: str, authorization: str) -> str:
        """Return the error that a token is answered with; empty for the right one."""
        return "" if authorization == f"Bearer {TOKEN}" else "invalid_auth"

    def auth_test(self, _given: dict[str, Any]) -> dict[str, Any]:
        ids = {"user_id": BOT, "team_id": TEAM, "bot_id": "B1"}
        return {"ok": True, "user": "spawnery", "team": "Tests", **ids}

    def chat_postMessage(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        message = Message(
            given["channel"],
            self.stamp(),
            given.get("text", ""),
            thread_ts=given.get("thread_ts", ""),
            blocks=_json(given.get("blocks"), []),
            metadata=_json(given.get("metadata"), None),
        )
        self.messages.append(message)
        return {"ok": True, "channel": message.channel, "ts": message.ts}

    chat_postEphemeral = chat_postMessage  # noqa: N815

    def chat_update(self, given: dict[str, Any]) -> dict[str, Any]:
        for message in self.messages:
            if (message.channel, message.ts) == (given["channel"], given["ts"]):
                message.text = given.get("text", "")
                message.blocks = _json(given.get("blocks"), [])
                message.metadata = _json(given.get("metadata"), message.metadata)
                message.edits += 1
                return {"ok": True, "channel": message.channel, "ts": message.ts}
        return {"ok": False, "error": "message_not_found"}

    def conversations_replies(self, given: dict[str, Any]) -> dict[str, Any]:
        there = [
            m.shown()
            for m in self.messages
            if m.channel == given["channel"] and given["ts"] in {m.ts, m.thread_ts}
        ]
        return {"ok": True, "messages": there, "has_more": False}

    def conversations_history(self, given: dict[str, Any]) -> dict[str, Any]:
        there = [m.shown() for m in self.messages if m.channel == given["channel"]]
        return {"ok": True, "messages": there[::-1], "has_more": False}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                method, _, query = self.path.rpartition("/")[2].partition("?")
                given = _given(self.headers.get("Content-Type", ""), data)
                given |= {name: values[0] for name, values in parse_qs(query).items()}
                refusal = server.refusal(method, self.headers.get("Authorization", ""))
                answer, fault = (
                    ({"ok": False, "error": refusal}, "") if refusal else server.call(method, given)
                )
                if fault == "lost":
                    self.close_connection = True
                    self.connection.close()
                    return
                status = {"429": 429, "500": 500, "gateway": 503}.get(fault, 200)
                told = {"gateway": "upstream connect error", "garbage": "<html>"}
                body = told.get(fault, json.dumps(answer)).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    if status == 429:
                        self.send_header("Retry-After", "1")
                    kind = "text/plain" if fault == "gateway" else "application/json"
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def _json(value: Any, default: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value else default
    return default if value is None else value


def _given(kind: str, data: bytes) -> dict[str, Any]:
    if kind.startswith("application/json"):
        return dict(json.loads(data or b"{}"))
    return {name: values[0] for name, values in parse_qs(data.decode()).items()}


def signed(data: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Return Slack's header fields for a body."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + data, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def post(port: int, path: str, data: bytes, headers: dict[str, str]) -> Answer:
    """POST to the dispatcher; a connection that is refused or times out is status 0."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ACK_SECONDS)
    try:
        connection.request("POST", path, body=data, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), time.monotonic() - began)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, type(error).__name__, time.monotonic() - began)
    finally:
        connection.close()
