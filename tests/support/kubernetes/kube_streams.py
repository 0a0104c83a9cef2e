"""An API server that lists and watches, and does it badly: answer by answer, as a test says."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Body = Callable[["Answer"], None]
PATIENCE = 30.0


def job(name: str, version: int, **labels: str) -> dict[str, Any]:
    """Make a Job as the API shows it."""
    marks = {"spawnery.dev/instance": "here", "spawnery.dev/job-id": name, **labels}
    meta = {"name": name, "namespace": "n", "uid": f"uid-{name}", "labels": marks}
    template = {"spec": {"containers": [{"name": "job", "image": "i"}]}}
    return {
        "metadata": {**meta, "resourceVersion": str(version)},
        "spec": {"template": template},
        "status": {},
    }


def event(kind: str, shown: Mapping[str, Any]) -> bytes:
    """Make one line of a watch."""
    return json.dumps({"type": kind, "object": shown}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """Make a line that only moves the version on."""
    return event("BOOKMARK", {"kind": "Job", "metadata": {"resourceVersion": str(version)}})


GONE = event("ERROR", {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410})


class Answer:
    """One answer that is being given."""

    def __init__(self, handler: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        self._handler = handler
        self._closing = closing

    def begin(self, status: int = HTTPStatus.OK) -> None:
        """Send the header."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", "application/json")
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()

    def say(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def end(self) -> None:
        """End the body as one does."""
        self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection in the middle."""
        self._handler.close_connection = True

    def hang(self) -> None:
        """Say nothing any more, until the server ends."""
        self._closing.wait(PATIENCE * 2)
        self.cut()


def lines(*parts: bytes) -> Body:
    """Say these and end."""

    def answer(to: Answer) -> None:
        to.begin()
        for part in parts:
            to.say(part)
        to.end()

    return answer


def hanging(*parts: bytes) -> Body:
    """Say these and then nothing."""

    def answer(to: Answer) -> None:
        to.begin()
        for part in parts:
            to.say(part)
        to.hang()

    return answer


def cut(*parts: bytes) -> Body:
    """Say these and break off."""

    def answer(to: Answer) -> None:
        to.begin()
        for part in parts:
            to.say(part)
        to.cut()

    return answer


def refusal(code: int, reason: str) -> Body:
    """Refuse, as the API does."""

    def answer(to: Answer) -> None:
        to.begin(code)
        shown = {"kind": "Status", "status": "Failure", "reason": reason, "code": code}
        to.say(json.dumps({**shown, "message": f"refused: {reason}"}).encode())
        to.end()

    return answer


def page(items: Iterable[Mapping[str, Any]], version: int, *, more: str = "") -> Body:
    """A list, or one page of it."""
    meta = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return lines(json.dumps({"kind": "List", "metadata": meta, "items": list(items)}).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    """Of the 64 connections of a crowd all but five would wait for a SYN that is sent again."""


class BadServer:
    """Gives the answers of a test, in turn, and remembers what was asked.

    Attributes:
        asked: The query of each request, in order.
    """

    def __init__(self, *answers: Body) -> None:
        self._answers: queue.SimpleQueue[Body] = queue.SimpleQueue()
        for answer in answers:
            self._answers.put(answer)
        self.asked: list[dict[str, str]] = []
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/readyz":
                    self.send_response(HTTPStatus.OK)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                outer.asked.append(dict(parse_qsl(urlsplit(self.path).query)))
                answer = Answer(self, outer._closing)
                try:
                    outer._next()(answer)
                except (BrokenPipeError, ConnectionResetError):
                    answer.cut()

            def log_message(self, *_given: Any) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, answer: Body) -> None:
        """Give one more answer."""
        self._answers.put(answer)

    def _next(self) -> Body:
        try:
            return self._answers.get_nowait()
        except queue.Empty:
            return hanging()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self) -> str:
        """The kubeconfig that leads to it, as text."""
        user = {"name": "u", "user": {"token": "t"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.address}}],
            "users": [user],
            "contexts": [context],
            "current-context": "c",
        }
        return json.dumps(config)

    def close(self) -> None:
        """End."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
