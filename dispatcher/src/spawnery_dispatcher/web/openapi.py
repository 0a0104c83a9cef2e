"""The description of the JSON API (OpenAPI 3.1), served at ``/api/v1/openapi.json``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from spawnery.model import JobState

from spawnery_dispatcher.model.models import Phase

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_JOB_ID: Final[dict[str, Any]] = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "maxLength": 52},
}
_SCHEMAS: Final[dict[str, Any]] = {
    "Problem": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _TEXT, "hint": _TEXT},
    },
    "NewJob": {
        "type": "object",
        "required": ["issue"],
        "additionalProperties": False,
        "properties": {
            "project": {**_TEXT, "maxLength": 40},
            "issue": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        },
    },
    "Answer": {
        "type": "object",
        "required": ["question_id", "answer"],
        "additionalProperties": False,
        "properties": {
            "question_id": {**_TEXT, "maxLength": 200},
            "answer": {**_TEXT, "maxLength": 4000},
        },
    },
    "Question": {
        "type": "object",
        "properties": {
            "question_id": _TEXT,
            "text": _TEXT,
            "context": _TEXT,
            "choices": {"type": "array", "items": _TEXT},
            "default": _TEXT,
        },
    },
    "Ending": {
        "type": "object",
        "properties": {
            "state": {"enum": [str(s) for s in JobState if s.terminal]},
            "cause": _TEXT,
            "message": _TEXT,
            "hint": {"type": ["string", "null"]},
            "url": _TEXT,
            "exit_code": {"type": ["integer", "null"]},
            "log_tail": {"type": ["string", "null"]},
            "ended_at": {"type": "string", "format": "date-time"},
        },
    },
    "Job": {
        "type": "object",
        "required": ["job_id", "project", "issue", "phase"],
        "properties": {
            "job_id": _TEXT,
            "project": _TEXT,
            "issue": {"type": "integer"},
            "text": _TEXT,
            "user": _TEXT,
            "phase": {"enum": [str(phase) for phase in Phase]},
            "asked_at": {"type": "string", "format": "date-time"},
            "step": {"type": "integer"},
            "total": {"type": "integer"},
            "progress": _TEXT,
            "detail": _TEXT,
            "notice": _TEXT,
            "question": {"anyOf": [{"$ref": "#/components/schemas/Question"}, {"type": "null"}]},
            "ending": {"anyOf": [{"$ref": "#/components/schemas/Ending"}, {"type": "null"}]},
        },
    },
}


def _ref(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _answers(ok: dict[str, Any], *codes: int) -> dict[str, Any]:
    words = {
        400: "The request is not understood",
        401: "No key, or one that is not known",
        403: "The key may not use this project",
        404: "There is no such job",
        409: "It is in the way of another job, or already answered or over",
        413: "The body is too large",
        503: "Redis or the engine does not answer",
    }
    problems = {
        str(code): {"description": words[code], "content": _ref("Problem")}
        for code in (401, *codes, 503)
    }
    return {**ok, **problems}


def _operation(summary: str, **more: Any) -> dict[str, Any]:
    return {"summary": summary, "security": [{"key": []}], **more}


def document() -> dict[str, Any]:
    """Return the whole description."""
    job = {"200": {"description": "The job", "content": _ref("Job")}}
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Job"}}
    jobs = {
        "200": {
            "description": "Jobs of this key that have not ended",
            "content": {"application/json": {"schema": listed}},
        }
    }
    made = {
        "200": {"description": "The key of idempotency was seen before", "content": _ref("Job")},
        "202": {"description": "Accepted", "content": _ref("Job")},
    }
    events = {"200": {"description": "Events", "content": {"text/event-stream": {}}}}
    text = {"200": {"description": "The end of the log", "content": {"text/plain": {}}}}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    one = [_JOB_ID]

    def body(name: str) -> dict[str, Any]:
        return {"required": True, "content": _ref(name)}

    return {
        "openapi": "3.1.0",
        "info": {"title": "Spawnery dispatcher", "version": version("spawnery-dispatcher")},
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "paths": {
            "/api/v1/jobs": {
                "get": _operation("Jobs that have not ended", responses=_answers(jobs)),
                "post": _operation(
                    "Ask for a job",
                    parameters=[key],
                    requestBody=body("NewJob"),
                    responses=_answers(made, 400, 403, 409, 413),
                ),
            },
            "/api/v1/jobs/{job_id}": {
                "get": _operation("A job", parameters=one, responses=_answers(job, 404)),
            },
            "/api/v1/jobs/{job_id}/cancel": {
                "post": _operation("Stop it", parameters=one, responses=_answers(job, 404, 409)),
            },
            "/api/v1/jobs/{job_id}/answer": {
                "post": _operation(
                    "Answer the agent's question",
                    parameters=one,
                    requestBody=body("Answer"),
                    responses=_answers(job, 400, 404, 409, 413),
                ),
            },
            "/api/v1/jobs/{job_id}/events": {
                "get": _operation(
                    "Follow it: an event 'job' at each change, the last with its ending",
                    parameters=one,
                    responses=_answers(events, 404),
                ),
            },
            "/api/v1/jobs/{job_id}/logs": {
                "get": _operation(
                    "The end of its log; with follow=1 as events 'log' until it ends, with stream,"
                    " text and, where a part before it is missing, lost_bytes (or null) and lost",
                    parameters=[
                        *one,
                        {"name": "follow", "in": "query", "schema": {"enum": ["0", "1"]}},
                    ],
                    responses=_answers(text, 404),
                ),
            },
        },
    }
