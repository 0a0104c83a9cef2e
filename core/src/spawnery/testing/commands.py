"""The programs that the kit runs as jobs."""

from __future__ import annotations

import shlex

Words = tuple[str, ...]


def _sh(script: str) -> Words:
    return ("/bin/sh", "-c", script)


class Commands:
    """Programs for an engine whose jobs have a POSIX shell and its usual tools.

    An engine without one overrides each method. Programs that wait for a signal print ``ready``
    once they are prepared for it.
    """

    def exits(self, code: int) -> Words:
        """Exit with a code."""
        return _sh(f"exit {code}")

    def sleeps(self, seconds: float) -> Words:
        """Print ``ready``, run so long, exit 0; SIGTERM ends it."""
        return _sh(f"echo ready; exec sleep {seconds}")

    def prints(self, out: str, err: str = "", code: int = 0) -> Words:
        """Write to both streams, exit with a code."""
        quoted = (shlex.quote(out), shlex.quote(err))
        return _sh(f"printf %s {quoted[0]}; printf %s {quoted[1]} >&2; exit {code}")

    def prints_slowly(self, lines: int, pause: float) -> Words:
        """Write ``line 1`` to ``line N`` with pauses, exit 0."""
        script = f"i=1; while [ $i -le {lines} ]; do echo line $i; sleep {pause}; i=$((i+1)); done"
        return _sh(script)

    def floods(self, size: int) -> Words:
        """Write so many bytes ``x`` to stdout, exit 0."""
        return _sh(f"head -c {size} /dev/zero | tr '\\0' x")

    def ignores_term(self) -> Words:
        """Print ``ready`` and run for ten minutes, SIGTERM or not."""
        return _sh(
            "trap '' TERM; echo ready; i=0; while [ $i -lt 600 ]; do sleep 1; i=$((i+1)); done"
        )

    def traps_term(self, code: int = 0) -> Words:
        """Print ``ready`` and run for ten minutes; exit with a code at SIGTERM."""
        return _sh(
            f"trap 'exit {code}' TERM; echo ready;"
            " i=0; while [ $i -lt 6000 ]; do sleep 0.1; i=$((i+1)); done"
        )

    def prints_env(self, code: int = 0) -> Words:
        """Write the environment, one ``KEY=value`` per line, exit with a code."""
        return _sh(f"env; exit {code}")

    def prints_workdir(self) -> Words:
        """Write the working directory."""
        return _sh("pwd")

    def prints_args(self) -> Words:
        """Write each of ``args`` (which follow) on a line of its own."""
        return ("/bin/sh", "-c", 'printf "%s\\n" "$@"', "sh")

    def args(self, *words: str) -> Words:
        """Return the ``args`` that make ``prints_args`` print these words."""
        return words

    def leaves_child(self) -> Words:
        """Start a child in a session of its own, print ``ready`` and run for ten minutes."""
        return _sh("setsid sleep 600 & echo ready; exec sleep 600")

    def signals_itself(self, number: int) -> Words:
        """Die of a signal."""
        return _sh(f"kill -{number} $$")

    def runs_out_of_memory(self) -> Words:
        """Use memory without end."""
        return _sh("tail /dev/zero")

    def is_not_there(self) -> Words:
        """Be a program that does not exist."""
        return ("/no/such/program-of-spawnery",)
