"""Jobs of the version before this one, upgraded while they run: the same on every engine."""

from __future__ import annotations

import json

from old_version import old_version
from spawnery.model import JobState
from spawnery.records.sqlite import SqliteRecords

PATIENCE = 120


class UpgradeCases:
    """Needs the fixture ``case`` (``DockerCase`` or ``KubeCase``) and the flags of its image."""

    image: tuple[str, ...]

    def spawn_by_old(self, case, folder, job_id, *flags, script="sleep 600"):
        """Let the version before spawn a job, detached; returns the variables that name it."""
        old = old_version(folder / "old")
        words = ["spawn", "--job-id", job_id, *self.image, *flags, "--", "sh", "-c", script]
        done = case.cli(*words, **old)
        assert done.returncode == 0, done.stderr
        return old

    def test_a_running_job_is_taken_over(self, case, tmp_path):
        """It is listed, spawned again as the same job, stopped and removed by this version."""
        self.spawn_by_old(case, tmp_path, "a")
        with case.open() as spawner:
            assert [status.job_id for status in spawner.list()] == ["a"]
            record = spawner.records.get("a")
            assert (record.place, record.record_id) == (None, None)
            outcome = spawner.stop("a", grace_seconds=0)
            assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
            assert spawner.records.get("a").place is not None, "its object was seen here"
            spawner.remove("a")
        assert not json.loads(case.cli("ps", "--all", "--json").stdout)

    def test_its_end_is_recorded(self, case, tmp_path):
        """A job that ends under this version has the exit code of its program."""
        self.spawn_by_old(case, tmp_path, "a", script="sleep 5; exit 3")
        with case.open() as spawner:
            outcome = spawner.wait("a", timeout=PATIENCE)
            assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)

    def test_its_deadline_is_enforced(self, case, tmp_path):
        """Any process of this version enforces what the object carries."""
        self.spawn_by_old(case, tmp_path, "a", "--deadline-seconds", "5")
        with case.open() as spawner:
            outcome = spawner.wait("a", timeout=PATIENCE)
            assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")

    def test_the_old_version_sees_how_it_ended(self, case, tmp_path):
        """Both versions use one file of records, also when the older one goes on."""
        old = self.spawn_by_old(case, tmp_path, "a")
        with case.open() as spawner:
            spawner.stop("a", grace_seconds=0)
        shown = case.cli("status", "a", "--json", **old)
        assert json.loads(shown.stdout)["state"] == "CANCELLED", shown.stderr

    def test_a_job_of_the_old_version_that_was_never_seen_is_not_ended(self, case, tmp_path):
        """While its object is not seen, no place may say that it is gone."""
        self.spawn_by_old(case, tmp_path, "a")
        with case.open() as spawner:
            path = case.folder / "state" / "records.sqlite3"
            elsewhere = SqliteRecords(path, scope=f"{spawner.instance}/{spawner.name}")
            try:
                elsewhere.enter(type(self).another_place())
                record = elsewhere.get("a")
                assert record.outcome is None
                assert not elsewhere.absence_counts(record)
            finally:
                elsewhere.close()
            spawner.stop("a", grace_seconds=0)

    @staticmethod
    def another_place():
        """Return a place where the job is not."""
        from spawnery.contract import Place

        return Place(endpoint="elsewhere", id="elsewhere")
