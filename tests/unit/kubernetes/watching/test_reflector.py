"""List and watch against a server that does it badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kube_streams import (
    GONE,
    PATIENCE,
    BadServer,
    Body,
    bookmark,
    cut,
    event,
    hanging,
    job,
    lines,
    page,
    refusal,
)
from spawnery.errors import EngineDenied, EngineError
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.informer import reflector
from spawnery_kubernetes.informer.reflector import Change, Listing, Reflector, ours
from spawnery_kubernetes.objects.facts import JobFacts, facts_of_job
from spawnery_kubernetes.settings import KubernetesSettings

Told = tuple[str, ...]


@contextmanager
def _reflector(folder: Path, *answers: Body) -> Iterator[tuple[BadServer, Reflector[JobFacts]]]:
    server = BadServer(*answers)
    config = folder / "kubeconfig"
    config.write_text(server.kubeconfig())
    client = KubeClient(resolve_access(KubernetesSettings(kubeconfig=str(config)), {}))
    found = Reflector(client, "jobs", ours("here"), facts_of_job, timeout=PATIENCE)
    try:
        yield server, found
    finally:
        found.close()
        client.close()
        server.close()


def _told(news: Change[JobFacts] | Listing[JobFacts]) -> Told:
    if isinstance(news, Listing):
        return ("list", *(item.name for item in news.items), news.version)
    if news.item is None:
        return ("bookmark", news.version)
    return ("gone" if news.gone else "seen", news.item.name, news.version)


def _first(found: Reflector[JobFacts], count: int, version: str = "1") -> list[Told]:
    """Follow until so much was told."""
    told: list[Told] = []
    found.begin(version)
    for news in found.follow():
        told.append(_told(news))
        if len(told) == count:
            return told
    pytest.fail("it ended by itself")


def test_a_list_of_several_pages(tmp_path: Path) -> None:
    """A list is taken page by page, with our label, and watched from the version of the last."""
    pages = page([job("a", 3)], 7, more="x"), page([job("b", 5)], 8)
    with _reflector(tmp_path, *pages) as (server, found):
        listing = found.list()
    assert _told(listing) == ("list", "a", "b", "8")
    assert [ask.get("continue") for ask in server.asked] == [None, "x"]
    assert {ask["labelSelector"] for ask in server.asked} == {"spawnery.dev/instance=here"}
    assert all(int(ask["limit"]) > 0 for ask in server.asked)


def test_a_page_that_came_too_late(tmp_path: Path) -> None:
    """When the rest of a list has expired, the whole list is taken again: never a part of it."""
    old = page([job("a", 3), job("z", 3)], 7, more="x")
    with _reflector(tmp_path, old, refusal(410, "Expired"), page([job("b", 9)], 9)) as (
        server,
        found,
    ):
        listing = found.list()
    assert _told(listing) == ("list", "b", "9")
    assert len(server.asked) == 3


def test_changes_and_bookmarks(tmp_path: Path) -> None:
    """Each line is told with the version behind it; bookmarks are asked for."""
    answer = lines(
        event("ADDED", job("a", 2)),
        bookmark(5),
        event("MODIFIED", job("a", 6)),
        event("DELETED", job("a", 7)),
    )
    with _reflector(tmp_path, answer) as (server, found):
        told = _first(found, 4)
    assert told == [("seen", "a", "2"), ("bookmark", "5"), ("seen", "a", "6"), ("gone", "a", "7")]
    asked = server.asked[0]
    assert asked["watch"] == "1"
    assert asked["resourceVersion"] == "1"
    assert asked["allowWatchBookmarks"] == "true"
    assert int(asked["timeoutSeconds"]) > 0
    assert asked["labelSelector"] == "spawnery.dev/instance=here"


@pytest.mark.parametrize("end", [lines, cut])
def test_it_goes_on_after_an_end(tmp_path: Path, end: type[Body]) -> None:
    """A watch that ends, cleanly or not, goes on from the last version: nothing is listed again."""
    answers = end(event("ADDED", job("a", 2)), bookmark(5)), end(event("ADDED", job("b", 6)))
    with _reflector(tmp_path, *answers) as (server, found):
        told = _first(found, 3)
        assert told == [("seen", "a", "2"), ("bookmark", "5"), ("seen", "b", "6")]
    assert [ask.get("resourceVersion") for ask in server.asked[:2]] == ["1", "5"]


def test_a_line_that_was_cut(tmp_path: Path) -> None:
    """What is left of a line at a break is not taken for one; it comes again, whole."""
    line = event("ADDED", job("b", 6))
    answers = cut(event("ADDED", job("a", 2)), line[:40]), lines(line)
    with _reflector(tmp_path, *answers) as (server, found):
        assert _first(found, 2) == [("seen", "a", "2"), ("seen", "b", "6")]
    assert [ask.get("resourceVersion") for ask in server.asked[:2]] == ["1", "2"]


@pytest.mark.parametrize("too_old", [refusal(410, "Expired"), hanging(GONE), lines(GONE)])
def test_a_version_that_is_too_old(tmp_path: Path, too_old: Body) -> None:
    """410, as a status or as an event, leads to the whole list, and the watch goes on from it."""
    answers = too_old, page([job("a", 40)], 41), lines(event("ADDED", job("b", 42)))
    with _reflector(tmp_path, *answers) as (server, found):
        assert _first(found, 2) == [("list", "a", "41"), ("seen", "b", "42")]
    assert [ask.get("watch") for ask in server.asked[:3]] == ["1", None, "1"]
    assert server.asked[2]["resourceVersion"] == "41"


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>502</html>\n",
        b"{}\n",
        b'{"type": "ADDED", "object": {}}\n',
        b'{"type": "ADDED", "object": 3}\n',
        b'{"type": "NEW", "object": {"metadata": {"resourceVersion": "3"}}}\n',
        b"[]\n",
        b"\xff\xfe\n",
        event("ADDED", {"metadata": {"resourceVersion": "3"}}),
        event("ERROR", {"kind": "Status", "code": 500, "metadata": {}}),
    ],
)
def test_a_line_that_cannot_be_read(tmp_path: Path, garbage: bytes) -> None:
    """It may have told of a change: the whole list is taken, and the watch goes on."""
    answers = (
        hanging(event("ADDED", job("a", 2)), garbage),
        page([job("c", 9)], 9),
        lines(event("ADDED", job("d", 10))),
    )
    with _reflector(tmp_path, *answers) as (_, found):
        told = _first(found, 3)
    assert told == [("seen", "a", "2"), ("list", "c", "9"), ("seen", "d", "10")]


def test_blank_lines(tmp_path: Path) -> None:
    """Blank lines are nothing."""
    answer = lines(b"\n", event("ADDED", job("a", 2)), b"\n \n", event("ADDED", job("b", 3)))
    with _reflector(tmp_path, answer) as (server, found):
        assert _first(found, 2) == [("seen", "a", "2"), ("seen", "b", "3")]
        assert len(server.asked) == 1


def test_a_long_line_in_pieces(tmp_path: Path) -> None:
    """An object of a megabyte comes in many pieces and is read; of it only facts are kept."""
    line = event("ADDED", job("a", 2, filler="x" * 1_000_000))
    parts = [line[at : at + 50_000] for at in range(0, len(line), 50_000)]
    with _reflector(tmp_path, lines(*parts)) as (_, found):
        assert _first(found, 1) == [("seen", "a", "2")]


def test_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing comes any more is left, and the watch goes on."""
    monkeypatch.setattr(reflector, "_SILENT_SECONDS", 0.3)
    answers = hanging(event("ADDED", job("a", 2))), lines(event("ADDED", job("b", 3)))
    with _reflector(tmp_path, *answers) as (server, found):
        assert _first(found, 2) == [("seen", "a", "2"), ("seen", "b", "3")]
    assert [ask.get("resourceVersion") for ask in server.asked[:2]] == ["1", "2"]


def test_no_rights(tmp_path: Path) -> None:
    """Who may not watch is told so, and nothing is tried again for ever."""
    with (
        _reflector(tmp_path, refusal(403, "Forbidden")) as (_, found),
        pytest.raises(EngineDenied, match="watch the jobs"),
    ):
        _first(found, 1)


def test_no_list(tmp_path: Path) -> None:
    """A list that is refused is an error, never an empty or a partial one."""
    answers = page([job("a", 3)], 7, more="x"), refusal(400, "BadRequest")
    with _reflector(tmp_path, *answers) as (_, found), pytest.raises(EngineError, match="list the"):
        found.list()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": []}', b'{"items": [{}]}', b""])
def test_what_is_no_list(tmp_path: Path, body: bytes) -> None:
    """What is no list at all, a login page perhaps, is said to be none."""
    with (
        _reflector(tmp_path, lines(body or b" ")) as (_, found),
        pytest.raises(EngineError, match="no Kubernetes API"),
    ):
        found.list()


def test_close_wakes_the_reader(tmp_path: Path) -> None:
    """Whoever reads comes to an end when another thread closes."""
    with _reflector(tmp_path, hanging(event("ADDED", job("a", 2)))) as (_, found):
        told: list[Told] = []
        first = threading.Event()

        def read() -> None:
            found.begin("1")
            for news in found.follow():
                told.append(_told(news))
                first.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert first.wait(PATIENCE)
        found.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
        assert told == [("seen", "a", "2")]
