"""The way to the host: what comes when it works, and the words when it does not."""

from __future__ import annotations

import os
import threading

import pytest
from spawnery.contract import Cancellation, Deadline
from spawnery.errors import (
    Ambiguous,
    ConfigurationError,
    EngineDenied,
    EngineTimeout,
    EngineUnreachable,
)

from spawnery_shellhost.client import Client, script
from spawnery_shellhost.settings import PREFIX, ShellSettings

LIMIT = 30


def run(command: str, text: str, seconds: float = LIMIT) -> list[str]:
    """Run a script through a command."""
    client = Client(ShellSettings(command=command), os.environ)
    return client.run(text, Deadline.after(seconds))


def test_a_script_answers():
    """What a script prints comes back line by line."""
    assert run("sh -s", "echo one; echo two; echo end\n") == ["one", "two"]


def test_a_script_that_arrives_in_part_does_nothing(tmp_path):
    """Whatever part of a script a dying caller has sent: the host runs none of it."""
    whole = script("create", arguments=(str(tmp_path / "root"), "me", "name", "u", "h", "card"))
    for size in range(0, len(whole) - 2, 97):
        with pytest.raises(Ambiguous):
            run("sh -s", whole[:size])
    assert list(tmp_path.iterdir()) == []


def test_no_command_is_said_with_the_way_out():
    """Without a command there is no host, and the error says what to set."""
    with pytest.raises(ConfigurationError) as caught:
        run("", "echo end\n")
    assert f"export {PREFIX}COMMAND='ssh HOST sh -s'" in caught.value.hint


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ("/no/such/program", EngineUnreachable, "No such file"),
        ("false", EngineUnreachable, "ended with exit code 1"),
        ("sh -c 'echo no route to host >&2; exit 255'", EngineUnreachable, "no route to host"),
        ("sh -c 'echo Permission denied >&2; exit 255'", EngineDenied, "Permission denied"),
    ],
)
def test_a_host_that_does_not_answer_is_told_with_the_evidence(command, kind, words):
    """A command that ends before a shell answers: nothing can have happened, and why."""
    with pytest.raises(kind) as caught:
        run(command, "echo end\n")
    assert words in str(caught.value)


def test_silence_before_the_greeting_is_unreachable():
    """A command that never answers is given up at the limit; nothing was sent."""
    with pytest.raises(EngineUnreachable, match="nothing answered in time"):
        run("sleep 60", "echo end\n", seconds=0.5)


def test_silence_after_the_script_is_ambiguous():
    """Past the limit after the script was sent, nobody knows."""
    with pytest.raises(EngineTimeout):
        run("sh -s", "sleep 60\n", seconds=0.5)


def test_a_broken_connection_after_the_script_is_ambiguous():
    """A shell that dies in the middle may have acted."""
    with pytest.raises(Ambiguous):
        run("sh -s", "echo one; kill -KILL $$\n")


def test_the_command_gets_only_what_it_may_see(monkeypatch):
    """Our own variables stay here unless the setting names them."""
    monkeypatch.setenv("OUR_TOKEN", "secret")
    assert run("sh -s", 'echo "[$OUR_TOKEN]"; echo end\n') == ["[]"]


@pytest.mark.parametrize("command", ["sleep 600", "sh -s"])
def test_a_cancellation_ends_a_host_that_does_not_answer(command):
    """Whether it never greets or is slow with its answer."""
    cancellation = Cancellation()
    threading.Timer(0.2, cancellation.cancel).start()
    client = Client(ShellSettings(command=command), os.environ)
    deadline = Deadline.after(600)
    with pytest.raises(EngineUnreachable if command == "sleep 600" else Ambiguous):
        client.run("sleep 600\n", deadline, cancellation)
    assert deadline.remaining() > 600 - LIMIT
