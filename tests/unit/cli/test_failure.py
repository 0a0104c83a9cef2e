"""How errors are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from spawnery.cli import failure
from spawnery.cli.app import App
from spawnery.errors import EngineUnreachable, InvalidSpec

if TYPE_CHECKING:
    import pytest


def test_an_error_is_a_line_and_its_hints(capfd: pytest.CaptureFixture[str]) -> None:
    """Each line of a hint says that it is one."""
    error = EngineUnreachable("nothing answers", hint="start it:\n  systemctl start docker")
    failure.tell_error(App({}), error)
    said = capfd.readouterr()
    assert said.err == "error: nothing answers\nhint: start it:\nhint:   systemctl start docker\n"
    assert said.out == ""


def test_an_error_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    """One object on stderr, with what a program needs."""
    app = App({})
    app.json = True
    failure.tell_error(app, InvalidSpec("no", field="image", hint="do", job_id="j"))
    assert json.loads(capfd.readouterr().err) == {
        "error": {
            "cause": "spec.invalid",
            "message": "no",
            "hint": "do",
            "job_id": "j",
            "field": "image",
            "retryable": False,
        }
    }


def test_a_bug_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback, unless it is asked for."""
    app = App({})
    failure.tell_bug(app, KeyError("x\ny"))
    said = capfd.readouterr().err
    assert said.startswith("error: a bug in spawnery or a plugin: KeyError: ")
    assert "Traceback" not in said
    app.verbose = True
    failure.tell_bug(app, KeyError("x"))
    assert "KeyError: 'x'" in capfd.readouterr().err
