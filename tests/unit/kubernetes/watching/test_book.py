"""What is remembered of Jobs and pods, whatever the order in which it is heard."""

from __future__ import annotations

from attrs import evolve
from spawnery.model.outcome import JobState, Outcome
from spawnery_kubernetes.informer.cache import Book, Entry
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


def _entry(book: Book, uid: str = "j1") -> Entry:
    entry = book.get(uid)
    assert entry is not None
    return entry


def test_what_is_older_changes_nothing() -> None:
    """A list may be newer than what the watch tells next; numbers are compared, not text."""
    book = Book()
    for version in ("9", "10", "9"):
        book.saw_job(_job(version=version))
        book.saw_pod(_pod(version=version))
    entry = _entry(book)
    assert entry.job is not None
    assert entry.job.resource_version == "10"
    assert [pod.resource_version for pod in entry.pods] == ["10"]


def test_what_cannot_be_compared_is_taken_as_newer() -> None:
    """Of versions that are no numbers the last one heard counts."""
    book = Book()
    for version in ("b", "a"):
        book.saw_job(_job(version=version))
    job = _entry(book).job
    assert job is not None
    assert job.resource_version == "a"


def test_what_is_gone_does_not_come_back() -> None:
    """A late list does not bring an object back to life."""
    book = Book()
    book.saw_job(_job())
    book.saw_job(_job(version="7", gone=True))
    book.saw_job(_job(version="9"))
    job = _entry(book).job
    assert job is not None
    assert job.gone


def test_a_pod_may_be_heard_of_before_its_job() -> None:
    """The two connections have no common order."""
    book = Book()
    book.saw_pod(_pod())
    assert _entry(book).job is None
    book.saw_job(_job())
    assert _entry(book) == Entry(job=_job(), pods=(_pod(),))
    book.saw_pod(_pod("p2", job_uid=None))
    assert book.get("p2") is None


def test_whole_lists_tell_what_is_gone() -> None:
    """What is not in a whole list is gone, unless it was made after the list."""
    book = Book()
    for number, version in (("1", "5"), ("2", "5"), ("3", "30")):
        book.saw_job(_job(f"j{number}", version=version, name=f"run-{number}"))
        book.saw_pod(_pod(f"p{number}", version=version, job_uid=f"j{number}"))
    assert book.absent_jobs({"j1"}, "20") == {"j2"}
    assert book.absent_jobs({"j1"}, "20") == set()
    assert book.absent_pods({"p2"}, "20") == {"j1"}
    gone = {uid: entry.job.gone for uid in ("j1", "j2", "j3") if (entry := _entry(book, uid)).job}
    assert gone == {"j1": False, "j2": True, "j3": False}
    pods = {uid: [pod.gone for pod in _entry(book, uid).pods] for uid in ("j1", "j2", "j3")}
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
    book = Book()
    book.saw_job(_job())
    first = Outcome(state=JobState.FAILED, cause="exit.nonzero", exit_code=1)
    later = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", exit_code=0)
    assert book.ended("j1", first) == first
    assert book.ended("j1", later) == first
    book.saw_job(_job(version="9"))
    assert _entry(book).outcome == first


def test_names() -> None:
    """A name leads to the Job that has it now, else to the one that had it last."""
    book = Book()
    book.saw_job(_job("old"))
    book.saw_job(_job("old", gone=True))
    assert book.last("run") == ("old", Entry(job=_job("old", gone=True)))
    book.saw_job(_job("new"))
    book.saw_job(_job("old", version="9", gone=True))
    found = book.last("run")
    assert found is not None
    assert found[0] == "new"
    assert book.last("other") is None


def test_forgetting() -> None:
    """A Job that was removed on purpose is told of by its name no more; its namesake is."""
    book = Book()
    book.saw_job(_job("one"))
    book.saw_job(_job("two", name="other"))
    book.forget("run")
    assert not _entry(book, "one").removed
    book.forget("run", "one")
    assert _entry(book, "one").removed
    assert not _entry(book, "two").removed
    book.saw_job(_job("two", name="other", gone=True))
    book.forget("other")
    assert _entry(book, "two").removed


def test_memory_is_bounded() -> None:
    """Of Jobs that went the oldest are forgotten; those that live are all kept."""
    book = Book()
    for number in range(3000):
        uid = f"j{number}"
        book.saw_job(_job(uid, name=uid, gone=number % 2 == 0))
    kept = [number for number in range(3000) if book.get(f"j{number}") is not None]
    assert {number for number in range(3000) if number % 2} <= set(kept)
    gone = [number for number in kept if number % 2 == 0]
    assert 100 <= len(gone) <= 1000
    assert gone[-1] == 2998
    assert book.last("j0") is None


def test_what_comes_late_does_not_take_a_name() -> None:
    """News of a pod of an earlier Job do not make that Job the owner of its name again."""
    book = Book()
    book.saw_job(_job("old", version="9"))
    book.saw_job(_job("new", version="10"))
    book.saw_pod(_pod("p1", version="11", job_uid="old"))
    found = book.last("run")
    assert found is not None
    assert found[0] == "new"
    book.saw_job(_job("new", version="12"))
    assert book.last("run") == ("new", Entry(job=_job("new", version="12")))
