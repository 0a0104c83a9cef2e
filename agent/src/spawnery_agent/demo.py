"""An agent to try the dispatcher with: it does nothing but talk.

It takes the arguments that the dispatcher gives every agent and leaves as the issue's number says:
an issue that ends in 1 fails, one that ends in 2 exits with 3, any other is fixed.
"""

from __future__ import annotations

import argparse
import sys
import time

from spawnery_agent import Agent

PAUSE = 0.5


def main() -> int:
    """Work on one issue; returns the exit code."""
    given = _arguments().parse_args()
    with Agent(given.job_id, given.redis_url) as agent:
        print(f"working on: {given.text}", flush=True)
        agent.progress("reading the issue", step=1, total=3)
        time.sleep(given.pause)
        branch = agent.ask(
            "Which branch shall I work on?",
            choices=["main", "develop"],
            default="main",
            timeout_seconds=given.patience,
            question_id="branch",
        )
        agent.progress(f"changing the code on {branch}", step=2, total=3)
        print(f"on branch {branch}", flush=True)
        time.sleep(given.pause)
        agent.progress("running the tests", step=3, total=3)
        return _end(agent, given.text)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--job-id", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--platform", default="")
    parser.add_argument("--channel-id", default="")
    parser.add_argument("--pipeline", default="")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between steps")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds for an answer")
    parser.add_argument("text", help="the command, for example: fix #58 in demo")
    return parser


def _end(agent: Agent, text: str) -> int:
    issue = text.partition("#")[2].split(" ")[0]
    if issue.endswith("1"):
        print("the tests failed", file=sys.stderr)
        agent.error("2 of 10 tests failed", step=3, total=3, step_name="running the tests")
        return 1
    if issue.endswith("2"):
        print("giving up without a word", file=sys.stderr)
        return 3
    agent.done(f"fixed #{issue}", url=f"https://example.com/pull/{issue}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
