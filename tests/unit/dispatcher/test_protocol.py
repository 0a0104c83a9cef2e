"""Entries of agents of every dialect are read; answers serve readers of every dialect."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery_dispatcher.model.entries import Said, take_in
from spawnery_dispatcher.model.models import AgentEnd, Progress, Question
from spawnery_dispatcher.model.protocol import MAX_TEXT, Detail, Unreadable, answer, parse


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"type": "Progress", "jobId": "j", "step": "2", "total": "5", "text": "testing"},
            Progress(step=2, total=5, text="testing"),
        ),
        ({"type": "progress", "step": "", "total": "", "text": "x"}, Progress(text="x")),
        ({"type": "DETAIL", "text": "x"}, Detail("x")),
        (
            {"type": "Question", "questionId": "q", "text": "Which?"},
            Question(question_id="q", text="Which?"),
        ),
        (
            {
                "type": "question",
                "questionId": "q",
                "text": "Which?",
                "questionType": "choice",
                "context": "c",
                "choices": "main | develop",
                "defaultAnswer": "main",
                "timeoutSeconds": "60",
            },
            Question(
                question_id="q",
                text="Which?",
                context="c",
                choices=("main", "develop"),
                default="main",
                timeout_seconds=60,
            ),
        ),
        (
            {"type": "Done", "prUrl": "https://example.com/1", "summary": "s", "text": "t"},
            AgentEnd(done=True, text="s", url="https://example.com/1"),
        ),
        ({"type": "DONE", "prUrl": "", "summary": "", "text": "t"}, AgentEnd(done=True, text="t")),
        ({"type": "Done", "prUrl": "javascript:x"}, AgentEnd(done=True)),
        (
            {"type": "Error", "text": "bad", "step": "1", "total": "2", "stepName": "build"},
            AgentEnd(done=False, text="bad", step_name="build"),
        ),
    ],
)
def test_messages(fields, message):
    """Each type, in both dialects and any case."""
    assert parse(fields) == message


@pytest.mark.parametrize("fields", [{}, {"type": "dance"}, {"type": "Question", "text": "no id"}])
def test_what_says_nothing(fields):
    """An entry that cannot be understood says why, and breaks nothing."""
    assert isinstance(parse(fields), Unreadable)


@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=50)),
    st.sampled_from(["Progress", "Question", "Done", "Error", "Detail", "?"]),
)
def test_any_fields_are_read(fields, kind):
    """No entry of an agent breaks the reader."""
    parse({**fields, "type": kind})


def test_texts_are_bounded_and_clean():
    """Control characters and megabytes do not reach people."""
    found = parse({"type": "Detail", "text": "a\x1b[31m\u202eb" + "x" * 10_000})
    assert isinstance(found, Detail)
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text
    assert len(found.text) <= MAX_TEXT + 3


def test_an_answer_serves_both_dialects():
    """Older readers take content, newer ones answer; both match the question's id."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    fields = answer("q", "main", by="U1", at=at)
    assert fields["type"] == "answer"
    assert fields["questionId"] == "q"
    assert fields["content"] == fields["answer"] == "main"
    assert fields["answeredBy"] == "U1"
    assert datetime.fromisoformat(fields["answeredAt"]) == at


def entries(*fields):
    return tuple((f"{number}-0", item) for number, item in enumerate(fields, 1))


def test_nothing_is_taken_in_after_the_end():
    """After Done or Error the rest of the stream is only passed over."""
    said = Said(
        job_id="j",
        entries=entries(
            {"type": "Progress", "text": "one"},
            {"type": "?"},
            {"type": "Done", "text": "d"},
            {"type": "Error", "text": "late"},
            {"type": "Progress", "text": "later"},
        ),
    )
    taken = take_in(said, Progress())
    assert taken.progress.text == "one"
    assert taken.agent_end == AgentEnd(done=True, text="d")
    assert taken.read == "5-0"
    assert [position for position, _ in taken.dead] == ["2-0"]
    again = take_in(said, Progress(), ended=True)
    assert (again.agent_end, again.visible, again.dead) == (None, False, ())


def test_a_detail_belongs_to_its_step():
    """A new step forgets the details of the one before."""
    said = Said(
        job_id="j",
        entries=entries(
            {"type": "Progress", "text": "one"},
            {"type": "Detail", "text": "a"},
            {"type": "Progress", "text": "two"},
        ),
    )
    assert take_in(said, Progress()).progress == Progress(text="two")
