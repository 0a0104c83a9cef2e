"""``spawnery plan``: what spawn would send to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options import job_flags as jobflags
from spawnery.cli.options.dialects import JobCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spawnery.lifecycle.plan import JobPlan


@click.command(
    "plan",
    cls=JobCommand,
    short_help="Show what spawn would send to the engine.",
    context_settings=jobflags.CONTEXT,
)
@jobflags.job_flags
@click.option("--validate", is_flag=True, help="Let the engine check it too, where it can.")
@common.on_command
@pass_app
def command(app: App, /, *, validate: bool, **flags: Any) -> int:
    """Show what spawn would send to the engine, secrets masked; nothing is created.

    The exit code is 1 when the engine's own validation found a problem.
    """
    from spawnery.cli import advice, exits, output
    from spawnery.cli.options.job_spec import DETACHED_RETENTION_SECONDS, spec_of
    from spawnery.cli.printing import encode

    spec = spec_of(app, flags, retention_seconds=DETACHED_RETENTION_SECONDS)
    with advice.added(app, spec), app.open(creates=True) as spawner:
        plan = spawner.plan(spec, validate=validate)
    if app.json:
        output.document(encode.plain(plan))
    else:
        _show(app, plan)
    return exits.FINDING if plan.plan.problems else exits.OK


def _show(app: App, plan: JobPlan) -> None:
    import yaml

    from spawnery.cli import output
    from spawnery.cli.printing import encode, tables

    tables.show(("", ""), [(name, value) for name, value in _rows(app, plan) if value])
    output.line("")
    shown = encode.plain(plan.plan.engine_object)
    # YAML escapes what could drive the terminal; long lines stay whole, to be pasted.
    output.line(
        yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=float("inf")).rstrip()
    )


def _rows(app: App, plan: JobPlan) -> Iterator[tuple[str, str]]:
    from spawnery.cli.printing import fields

    yield "spawner", plan.spawner
    yield "job id", plan.spec.job_id
    yield "object", plan.name
    yield "spec hash", plan.spec_hash
    if plan.network is not None:
        yield "network", f"{plan.network.name} (from: {plan.network.source})"
    for key, value in sorted(plan.env.items()):
        yield f"env {key}", str(value)
    yield "ignored", ", ".join(plan.ignored)
    yield "unused options", ", ".join(plan.unused_options)
    for note in plan.plan.notes:
        yield "note", fields.hint(app, note)
    for problem in plan.plan.problems:
        yield "problem", fields.message(app, problem)
