"""What is remembered of Jobs and pods, whatever the order in which it is heard."""

from __future__ import annotations

from attrs import evolve
from spawnery.model import JobState, Outcome
from spawnery_kubernetes.informer.cache import Cache, Entry
from spawnery_kubernetes.objects.facts import ContainerFacts, JobFacts, PodFacts, Terminated


def _job(uid: str = "j1", *, version: str = "5", name: str = "run", **fields: object) -> JobFacts:
    facts = JobFacts(
        name=name, namespace="n", uid=uid, resource_version=version, labels={}, annotations={}
    )
    return evolve(facts, **fields)


def _pod(
    uid: str = "p1", *, version: str = "6", job_uid: str | None = "j1", **fields: object
) -> PodFacts:
    facts = PodFacts(
        name=uid,
        namespace="n",
        uid=uid,
        resource_version=version,
        job_uid=job_uid,
        labels={},
        phase="Running",
    )
    return evolve(facts, **fields)


_ENDED = ContainerFacts(name="job", terminated=Terminated(code=0))


def _entry(cache: Cache, uid: str = "j1") -> Entry:
    entry = cache.get(uid)
    assert entry is not None
    return entry


def test_what_is_older_changes_nothing() -> None:
    """A list may be newer than what the watch tells next; numbers are compared, not text."""
    cache = Cache()
    for version in ("9", "10", "9"):
        cache.saw_job(_job(version=version))
        cache.saw_pod(_pod(version=version))
    entry = _entry(cache)
    assert entry.job is not None
    assert entry.job.resource_version == "10"
    assert [pod.resource_version for pod in entry.pods] == ["10"]


def test_what_cannot_be_compared_is_taken_as_newer() -> None:
    """Of versions that are no numbers the last one heard counts."""
    cache = Cache()
    for version in ("b", "a"):
        cache.saw_job(_job(version=version))
    job = _entry(cache).job
    assert job is not None
    assert job.resource_version == "a"


def test_what_is_gone_does_not_come_back() -> None:
    """A late list does not bring an object back to life."""
    cache = Cache()
    cache.saw_job(_job())
    cache.saw_job(_job(version="7", gone=True))
    cache.saw_job(_job(version="9"))
    job = _entry(cache).job
    assert job is not None
    assert job.gone


def test_a_pod_may_be_heard_of_before_its_job() -> None:
    """The two connections have no common order."""
    cache = Cache()
    cache.saw_pod(_pod())
    assert _entry(cache).job is None
    cache.saw_job(_job())
    assert _entry(cache) == Entry(job=_job(), pods=(_pod(),))
    cache.saw_pod(_pod("p2", job_uid=None))
    assert cache.get("p2") is None


def test_whole_lists_tell_what_is_gone() -> None:
    """What is not in a whole list is gone, unless it was made after the list."""
    cache = Cache()
    for number, version in (("1", "5"), ("2", "5"), ("3", "30")):
        cache.saw_job(_job(f"j{number}", version=version, name=f"run-{number}"))
        cache.saw_pod(_pod(f"p{number}", version=version, job_uid=f"j{number}"))
    assert cache.absent_jobs({"j1"}, "20") == {"j2"}
    assert cache.absent_jobs({"j1"}, "20") == set()
    assert cache.absent_pods({"p2"}, "20") == {"j1"}
    gone = {uid: entry.job.gone for uid in ("j1", "j2", "j3") if (entry := _entry(cache, uid)).job}
    assert gone == {"j1": False, "j2": True, "j3": False}
    pods = {uid: [pod.gone for pod in _entry(cache, uid).pods] for uid in ("j1", "j2", "j3")}
    assert pods == {"j1": [True], "j2": [False], "j3": [False]}


def test_over() -> None:
    """A Job is over when it is gone and no pod of it may still run."""
    job, gone = _job(), _job(gone=True)
    assert not Entry(job=job, pods=(_pod(gone=True),)).over
    assert not Entry(job=gone, pods=(_pod(),)).over
    assert Entry(job=gone, pods=(_pod(gone=True), _pod("p2", main=_ENDED))).over
    assert Entry(job=gone).over


def test_the_first_word_on_an_end_is_the_last() -> None:
    """An outcome is never taken back."""
    cache = Cache()
    cache.saw_job(_job())
    first = Outcome(state=JobState.FAILED, cause="exit.nonzero", exit_code=1)
    later = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", exit_code=0)
    assert cache.ended("j1", first) == first
    assert cache.ended("j1", later) == first
    cache.saw_job(_job(version="9"))
    assert _entry(cache).outcome == first


def test_names() -> None:
    """A name leads to the Job that has it now, else to the one that had it last."""
    cache = Cache()
    cache.saw_job(_job("old"))
    cache.saw_job(_job("old", gone=True))
    assert cache.last("run") == ("old", Entry(job=_job("old", gone=True)))
    cache.saw_job(_job("new"))
    cache.saw_job(_job("old", version="9", gone=True))
    found = cache.last("run")
    assert found is not None
    assert found[0] == "new"
    assert cache.last("other") is None


def test_forgetting() -> None:
    """A Job that was removed on purpose is told of by its name no more; its namesake is."""
    cache = Cache()
    cache.saw_job(_job("one"))
    cache.saw_job(_job("two", name="other"))
    cache.forget("run")
    assert not _entry(cache, "one").removed
    cache.forget("run", "one")
    assert _entry(cache, "one").removed
    assert not _entry(cache, "two").removed
    cache.saw_job(_job("two", name="other", gone=True))
    cache.forget("other")
    assert _entry(cache, "two").removed


def test_memory_is_bounded() -> None:
    """Of Jobs that went the oldest are forgotten; those that live are all kept."""
    cache = Cache()
    for number in range(3000):
        uid = f"j{number}"
        cache.saw_job(_job(uid, name=uid, gone=number % 2 == 0))
    kept = [number for number in range(3000) if cache.get(f"j{number}") is not None]
    assert {number for number in range(3000) if number % 2} <= set(kept)
    gone = [number for number in kept if number % 2 == 0]
    assert 100 <= len(gone) <= 1000
    assert gone[-1] == 2998
    assert cache.last("j0") is None


def test_what_comes_late_does_not_take_a_name() -> None:
    """News of a pod of an earlier Job do not make that Job the owner of its name again."""
    cache = Cache()
    cache.saw_job(_job("old", version="9"))
    cache.saw_job(_job("new", version="10"))
    cache.saw_pod(_pod("p1", version="11", job_uid="old"))
    found = cache.last("run")
    assert found is not None
    assert found[0] == "new"
    cache.saw_job(_job("new", version="12"))
    assert cache.last("run") == ("new", Entry(job=_job("new", version="12")))
