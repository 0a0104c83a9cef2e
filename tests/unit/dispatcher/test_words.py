"""What people read: the same words on every platform; nothing of a job becomes markup on Slack."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobState
from spawnery_dispatcher.model.models import (
    Ask,
    Ending,
    Entry,
    Phase,
    Place,
    Platform,
    Progress,
    Question,
    Refused,
)
from spawnery_dispatcher.slack.blocks import answer_value, blocks, read_value
from spawnery_dispatcher.talk import replies

ENTRY = Entry(
    ask=Ask(
        job_id="demo-58-abc",
        project="demo",
        issue=58,
        text="fix #58 in demo",
        user="U1",
        place=Place(platform=Platform.SLACK, channel="C1", thread="1.2"),
        asked_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
)
FAILED = Ending(
    state=JobState.FAILED,
    cause="oom",
    message="memory ran out",
    hint="resources.memory_limit=2Gi",
    log_tail="the end ``` <!channel>",
    ended_at=datetime(2030, 1, 1, tzinfo=UTC),
)


def test_the_id_is_in_the_first_words():
    """An acknowledgement names the job."""
    shown = replies.view(ENTRY)
    assert "demo-58-abc" in shown.title
    assert shown.cancellable
    assert replies.view(evolve(ENTRY, position=3)).lines == ("Queued, number 3 in line.",)


def test_progress_and_question():
    """A step of several shows as a bar, a question with its choices as buttons."""
    running = evolve(
        ENTRY,
        phase=Phase.RUNNING,
        progress=Progress(step=2, total=4, text="testing", detail="unit tests"),
        question=Question(question_id="q1", text="Which?", choices=("main", "develop")),
    )
    shown = replies.view(running)
    assert "step 2 of 4: testing" in shown.lines[0]
    assert shown.lines[1] == "unit tests"
    made = blocks("demo-58-abc", shown)
    buttons = [e for b in made if b["type"] == "actions" for e in b["elements"]]
    assert [b["text"]["text"] for b in buttons] == ["main", "develop", "Cancel"]
    assert read_value(buttons[1]["value"]) == ("demo-58-abc", "q1", "develop")
    answered = replies.view(evolve(running, answered="q1"))
    assert answered.question is None


def test_a_failure_says_cause_hint_and_tail():
    """Whoever asked can act on it."""
    shown = replies.view(evolve(ENTRY, phase=Phase.ENDED, ending=FAILED))
    text = shown.text()
    for part in ("failed", "memory ran out", "oom", "resources.memory_limit=2Gi", "the end"):
        assert part in text
    made = json.dumps(blocks("demo-58-abc", shown), ensure_ascii=False)
    assert "<!channel>" not in made
    assert made.count("```") == 2


def test_refusals_name_what_is_in_the_way():
    """A second job is refused in words that name the running one."""
    for reason in ("issue", "channel"):
        text = replies.refused("fix #58", Refused(reason=reason, running="demo-58-old"))
        assert "demo-58-old" in text
    assert "queue" in replies.refused("fix #58", Refused(reason="queue"))


@given(
    st.text(max_size=400),
    st.text(max_size=5000),
    st.lists(st.text(min_size=1, max_size=90), max_size=30),
)
def test_any_text_of_an_agent_fits_slack(text, tail, choices):
    """Limits of blocks hold, and nothing of an agent becomes a mention or a link."""
    entry = evolve(
        ENTRY,
        phase=Phase.RUNNING,
        progress=Progress(text=text, detail=text),
        question=Question(question_id="q", text=text, context=text, choices=tuple(choices)),
    )
    ended = evolve(ENTRY, phase=Phase.ENDED, ending=evolve(FAILED, message=text, log_tail=tail))
    for state in (entry, ended):
        made = blocks("j", replies.view(state))
        assert len(made) <= 50
        for block in made:
            if block["type"] == "section":
                assert 0 < len(block["text"]["text"]) <= 3000
                assert "<" not in block["text"]["text"]
            if block["type"] == "actions":
                assert len(block["elements"]) <= 25
                assert all(len(e["value"]) <= 2000 for e in block["elements"])


def test_button_values_round_trip():
    """A choice may hold anything but what separates."""
    assert read_value(answer_value("j", "q", "a\nb")) == ("j", "q", "a\nb")
    assert read_value("j") == ("j", "", "")


def test_a_notice_says_what_to_do_next():
    """On a line of its own, where it is known; it is still told what kind of notice it is."""
    notice = replies.not_taken_yet("the engine is too new", "update the spawner")
    shown = replies.view(evolve(ENTRY, phase=Phase.SPAWNING, notice=notice))
    assert shown.lines[1].splitlines()[1:] == ["Next: update the spawner"]
    assert replies.not_taken_yet("no answer", None).endswith("no answer")
    waits = replies.waits_to_start("no room", "unschedulable", "add a node")
    assert replies.is_waiting(waits)
    assert waits.splitlines() == ["It waits to start: no room [unschedulable]", "Next: add a node"]
