"""The command ``spawnery-dispatcher``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import click
from spawnery.errors import SpawnerError

from spawnery_dispatcher import configfile

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="spawnery-dispatcher")
def main() -> None:
    """Start a job for each chat message or API request and post the result."""


def _config_option(command: Any) -> Any:
    return click.option(
        "--config", "path", metavar="PATH", help="Instead of DISPATCHER_CONFIG or dispatcher.toml."
    )(command)


@main.command()
@_config_option
@click.option("--verbose", is_flag=True, help="Show the dispatcher's own log.")
def chat(path: str | None, *, verbose: bool) -> None:
    """Try it in this terminal: local engine, embedded Redis, demo agent; nothing to set up."""
    from spawnery_dispatcher import chat as room  # noqa: PLC0415 - a command loads its own
    from spawnery_dispatcher.logs import configure, masker_of  # noqa: PLC0415

    def run() -> int:
        given = configfile.load(os.environ, path=path)
        config = given if given.projects else None
        logger = configure("info" if verbose else "critical", masker_of(given, os.environ))
        return asyncio.run(room.chat(config, os.environ, logger=logger))

    sys.exit(_in_words(run))


@main.command()
@_config_option
def serve(path: str | None) -> None:
    """Serve: Slack, the JSON API, health and metrics. SPAWNER_TYPE says where jobs run."""
    from spawnery_dispatcher import serve as server  # noqa: PLC0415 - a command loads its own
    from spawnery_dispatcher.logs import configure, masker_of  # noqa: PLC0415

    def run() -> int:
        config = configfile.load(os.environ, path=path)
        logger = configure(config.log_level, masker_of(config, os.environ))
        asyncio.run(server.serve(config, os.environ, logger=logger))
        return 0

    sys.exit(_in_words(run))


@main.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(path: str | None, *, as_json: bool) -> None:
    """Diagnose the setup and suggest fixes.

    The exit code is 1 when something does not work.
    """
    import json  # noqa: PLC0415 - a command loads its own

    from spawnery.jobfile.json import to_json  # noqa: PLC0415

    from spawnery_dispatcher.check import examine  # noqa: PLC0415

    def run() -> int:
        config = configfile.load(os.environ, path=path)
        items = asyncio.run(examine(config, os.environ))
        if as_json:
            click.echo(json.dumps(to_json(items)))
        else:
            for item in items:
                click.echo(f"{item.level:8} {item.name}: {item.detail}")
                if item.hint:
                    click.echo(f"{'':8} {item.hint}")
        return int(any(item.level == "failed" for item in items))

    sys.exit(_in_words(run))


@main.command()
@_config_option
@click.option(
    "--give-up",
    metavar="PLACE",
    help="Give up a place that is gone for good: its unfinished jobs become LOST.",
)
def places(path: str | None, *, give_up: str | None) -> None:
    """List the places where jobs live, or give one up.

    A place is a Docker engine, a namespace of a cluster, or a state directory of a machine. Jobs of
    a place to which no dispatcher is connected are left alone. A place that cannot come back
    (engine reinstalled, namespace deleted) is given up by its name.
    """
    from spawnery_dispatcher.work import place_commands  # noqa: PLC0415 - a command loads its own

    def run() -> int:
        config = configfile.load(os.environ, path=path)
        if give_up is not None:
            ended = asyncio.run(place_commands.give_up(config, os.environ, give_up))
            click.echo(f"place {give_up} is given up; jobs that are lost: {len(ended)}", err=True)
            for job_id in ended:
                click.echo(job_id)
            return 0
        for found in asyncio.run(place_commands.list_places(config, os.environ)):
            here = "here" if found.here else ""
            seen = found.seen_at.isoformat(timespec="seconds")
            cells = (found.key, here, str(found.unfinished), seen, found.place.title)
            click.echo("\t".join(cells))
        return 0

    sys.exit(_in_words(run))


@main.command()
@_config_option
def healthy(path: str | None) -> None:
    """Ask the dispatcher of this machine whether it is ready: exit code 0 (for health checks)."""
    import http.client  # noqa: PLC0415 - a command loads its own

    def run() -> int:
        server = configfile.load(os.environ, path=path).server
        host = "127.0.0.1" if server.host in {"0.0.0.0", "::"} else server.host  # noqa: S104
        connection = http.client.HTTPConnection(host, server.port, timeout=4)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
        except OSError as error:
            click.echo(f"nothing answers at {host}:{server.port}: {error.strerror}", err=True)
            return 1
        click.echo(response.read().decode())
        return int(response.status != http.HTTPStatus.OK)

    sys.exit(_in_words(run))


@main.command("api-key")
@click.argument("name")
def api_key(name: str) -> None:
    """Make a key of the API for the caller NAME, and what dispatcher.toml needs of it."""
    import hashlib  # noqa: PLC0415 - a command loads its own
    import secrets  # noqa: PLC0415

    key = secrets.token_urlsafe(32)
    click.echo(key)
    digest = hashlib.sha256(key.encode()).hexdigest()
    click.echo(f'[api_keys.{name}]\nsha256 = "{digest}"', err=True)


def _in_words(run: Any) -> int:
    """Run a command; what goes wrong is said without a traceback."""
    try:
        return int(run())
    except SpawnerError as error:
        click.echo(f"spawnery-dispatcher: {error.message}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        return 125
    except ModuleNotFoundError as error:
        click.echo(f"spawnery-dispatcher: {error.name} is not installed", err=True)
        click.echo("pip install 'spawnery-dispatcher[chat]'", err=True)
        return 125
    except KeyboardInterrupt:
        return 130
