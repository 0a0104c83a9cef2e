"""From the spec to the request: review, capabilities, environment, network, in that order."""

from __future__ import annotations

import threading

import pytest
from attrs import evolve, field, frozen
from spawnery import (
    CheckItem,
    JobHandle,
    JobSpec,
    JobState,
    JobStatus,
    Network,
    Plan,
    Secret,
    SecretRef,
    Spawner,
    SpawnerPlugin,
    hookimpl,
)
from spawnery.contract import ThreadedStream, setting
from spawnery.errors import InvalidSpec, JobRefused, PluginError, SpawnerInvalid, Unsupported
from spawnery.model.spec_hash import spec_hash
from spawnery.records.memory import MemoryRecords

LIMIT = 60
VALUE = "planted-secret-value"


class Engine:
    """A spawner that keeps what it is asked for; its jobs never end."""

    def __init__(self):
        self.requests = []
        self.jobs = {}
        self.closed = 0

    @hookimpl
    def spawn(self, request):
        request.created("e1")
        self.requests.append(request)
        self.jobs[request.job.job_id] = JobStatus(
            job_id=request.job.job_id,
            state=JobState.RUNNING,
            name=request.name,
            spec_hash=request.spec_hash,
        )
        return JobHandle(job_id=request.job.job_id, name=request.name, engine_id="e1")

    @hookimpl
    def status(self, job_id):
        return self.jobs.get(job_id)

    @hookimpl
    def list_jobs(self):
        return list(self.jobs.values())

    @hookimpl
    def watch(self, request):
        return ThreadedStream(lambda _put, closed: closed.wait(LIMIT))

    @hookimpl
    def logs(self, request):
        return ThreadedStream(lambda _put, _closed: None)

    @hookimpl
    def stop(self, request):
        self.jobs.pop(request.job_id, None)

    @hookimpl
    def remove(self, request):
        self.jobs.pop(request.job_id, None)

    @hookimpl
    def plan(self, request):
        return Plan(engine_object={"env": dict(request.spawn.env)})

    @hookimpl
    def check(self):
        return [CheckItem(name="engine")]

    def close(self):
        self.closed += 1


class EngineWithHooks(Engine):
    """A spawner that also answers the shared hooks, last of all."""

    @hookimpl
    def build_env(self, job, context):
        return {"WHO": "spawner", "SPAWNER": context.spawner}

    @hookimpl
    def resolve_network(self, job, context):
        return Network(name="detected", source="spawner")


class Env:
    """An extension that adds variables."""

    def __init__(self, **values):
        self.values = values
        self.calls = []

    @hookimpl
    def build_env(self, job, context):
        self.calls.append((job, context))
        return self.values


class Net:
    """An extension that names a network."""

    def __init__(self, answer):
        self.answer = answer

    @hookimpl
    def resolve_network(self, job):
        return self.answer


class Review:
    """An extension that reviews jobs with a function."""

    def __init__(self, function):
        self.function = function

    @hookimpl
    def review_job(self, job):
        return self.function(job)


@frozen(kw_only=True)
class Settings:
    network: str | None = setting(None, description="Network of all jobs.")


@frozen(kw_only=True)
class Bench:
    """A spawner with extensions in it, and the engine behind it."""

    engine: Engine
    spawner: Spawner
    environ: dict = field(repr=False)

    def request(self, **fields):
        """Spawn a job and return what the engine was asked for."""
        self.spawner.spawn(JobSpec(**fields))
        return self.engine.requests[-1]


FIELDS = ("env", "secrets", "network", "image", "labels", "deadline_seconds")


@pytest.fixture
def make(tmp_path):
    """Opens spawners with extensions."""
    opened = []

    def build(*extensions, engine=None, has=FIELDS, environ=(), **settings):
        engine = engine or Engine()
        plugin = SpawnerPlugin(
            name="bench",
            api=1,
            capabilities=frozenset(f"field.{name}" for name in has),
            settings=Settings,
            create=lambda _settings, _runtime: engine,
        )
        given = {
            "SPAWNERY_STATE_DIR": str(tmp_path / "state"),
            "SPAWNERY_INSTANCE": "tests",
            **{f"SPAWNERY_{key.upper()}": str(value) for key, value in settings.items()},
            **dict(environ),
        }
        spawner = Spawner.open(
            plugin=plugin, extensions=extensions, records=MemoryRecords(), environ=given
        )
        opened.append(spawner)
        return Bench(engine=engine, spawner=spawner, environ=given)

    yield build
    for spawner in opened:
        spawner.close()


def nothing_happened(bench, job_id):
    """Whether neither engine nor records know of a job."""
    return bench.engine.requests == [] and bench.spawner.records.get(job_id) is None


# -- environment ---------------------------------------------------------------------------------


def test_the_job_id_is_in_the_environment(make):
    """A program learns its own id."""
    assert make().request(job_id="a").env == {"JOB_ID": "a"}


def test_who_sets_a_variable_first_keeps_it(make):
    """The job's own env and secrets, then the extensions in order, the spawner last."""
    bench = make(
        Env(WHO="first", BOTH="first", MINE="no", SECRET="no"),
        Env(WHO="second", BOTH="second", SECOND="second", FWD="extension"),
        engine=EngineWithHooks(),
        environ={"FWD": "ours", "OWN": VALUE},
        forward_secrets="FWD",
    )
    request = bench.request(env={"MINE": "spec"}, secrets={"SECRET": SecretRef.environment("OWN")})
    assert {key: value for key, value in request.env.items() if key != "JOB_ID"} == {
        "MINE": "spec",
        "WHO": "first",
        "BOTH": "first",
        "SECOND": "second",
        "FWD": "extension",
        "SPAWNER": "bench",
    }
    assert dict(request.secrets) == {"SECRET": Secret(VALUE)}


def test_an_extension_may_give_a_secret(make):
    """A reference from an extension is resolved and kept apart from plain variables."""
    bench = make(Env(TOKEN=SecretRef.environment("OWN")), environ={"OWN": VALUE})
    request = bench.request()
    assert dict(request.secrets) == {"TOKEN": Secret(VALUE)}
    assert "TOKEN" not in request.env
    assert VALUE not in repr(request)


def test_an_extension_that_has_nothing_to_say(make):
    """None adds nothing."""

    class Silent:
        @hookimpl
        def build_env(self):
            return None

    assert set(make(Silent()).request().env) == {"JOB_ID"}


def test_build_env_sees_the_reviewed_job_and_its_surroundings(make):
    """Hooks get the job after review, and a context that tells spawner, instance and environment."""  # noqa: E501
    env = Env(A="1")
    bench = make(Review(lambda job: evolve(job, image="reviewed:1")), env, environ={"OWN": "x"})
    bench.request(job_id="a", image="asked:1")
    job, context = env.calls[0]
    assert job.image == "reviewed:1"
    assert (context.spawner, context.instance) == ("bench", "tests")
    assert context.environ["OWN"] == "x"
    assert "field.image" in context.capabilities
    assert 0 < context.deadline.remaining() <= 10


@pytest.mark.parametrize(
    "values",
    [
        {"JOB_ID": "stolen"},
        {"SPAWNERY_JOB_X": "x"},
        {"1A": "x"},
        {"A-B": "x"},
        {"A": 5},
        {"A": "a\0b"},
        {"A": None},
        {"A": Secret(VALUE)},
    ],
    ids=lambda values: next(iter(values)),
)
def test_an_extension_with_a_wrong_variable(make, values):
    """Reserved names, odd names and values that are no text: named as the extension's mistake."""
    bench = make(Env(**values))
    with pytest.raises(PluginError, match="extension-1") as caught:
        bench.request(job_id="a")
    assert (caught.value.cause, caught.value.job_id) == ("plugin.bug", "a")
    assert next(iter(values)) in caught.value.message
    assert nothing_happened(bench, "a")


def test_an_extension_that_returns_no_mapping(make):
    """What is not a mapping is told with its kind."""
    bench = make(Env())
    bench.spawner._parts.hooks._implementations["build_env"][0] = ("odd", lambda *_: ["A=1"])
    with pytest.raises(PluginError, match="odd returned a list"):
        bench.request()


def test_a_missing_secret_ends_the_spawn(make):
    """A secret that is not there is told before anything is created."""
    bench = make()
    with pytest.raises(InvalidSpec) as caught:
        bench.request(job_id="a", secrets={"TOKEN": SecretRef.environment("ABSENT")})
    assert caught.value.field == "secrets.TOKEN"
    assert nothing_happened(bench, "a")


def test_an_optional_secret_is_left_out(make):
    """What is optional and missing is in neither mapping."""
    request = make().request(secrets={"TOKEN": SecretRef.environment("ABSENT", optional=True)})
    assert dict(request.secrets) == {}
    assert "TOKEN" not in request.env


def test_an_engine_secret_stays_a_reference(make):
    """The engine's own secret goes to it as it is."""
    bench = make(Env(DB=SecretRef.engine("db", "pw")))
    assert dict(bench.request().secrets) == {"DB": SecretRef.engine("db", "pw")}


def test_forwarded_variables(make):
    """Globs choose our own variables for every job, as secrets; case counts."""
    own = {"API_TOKEN": "t1-value", "API_KEY": "k1-value", "OTHER": "o", "api_token": "low"}
    bench = make(environ=own, forward_secrets="API_*,EXACT")
    request = bench.request()
    assert dict(request.secrets) == {
        "API_TOKEN": Secret("t1-value"),
        "API_KEY": Secret("k1-value"),
    }


def test_an_empty_variable_is_not_forwarded(make):
    """What Compose makes of a variable that is not set reaches no job."""
    bench = make(environ={"API_KEY": "", "API_TOKEN": "t1-value"}, forward_secrets="API_*")
    assert dict(bench.request().secrets) == {"API_TOKEN": Secret("t1-value")}


def test_forwarding_everything_leaves_out_what_no_job_can_have(make):
    """Reserved and impossible names of ours are no mistake of the operator's."""
    own = {"GOOD": "g", "_": "u", "JOB_ID": "outer", "SPAWNERY_JOB_X": "x"}
    odd = {"BASH_FUNC_which%%": "() { :; }", "A-B": "x", "1A": "x", "A B": "x", "": "x"}
    bench = make(environ={**own, **odd}, forward_secrets="*")
    request = bench.request(job_id="a")
    assert request.env == {"JOB_ID": "a"}
    ours = {name for name in request.secrets if not name.startswith("SPAWNERY_")}
    assert ours == {"GOOD", "_"}
    assert "SPAWNERY_JOB_X" not in request.secrets


def test_the_job_wins_over_forwarded_variables(make):
    """A variable of the spec is not replaced by one of ours."""
    request = make(environ={"TOKEN": VALUE}, forward_secrets="TOKEN").request(env={"TOKEN": "own"})
    assert request.env["TOKEN"] == "own"
    assert dict(request.secrets) == {}


def test_too_much_environment(make):
    """Variables of all sources together are bounded."""
    bench = make(Env(**{f"A{n}": "x" * 100_000 for n in range(11)}))
    with pytest.raises(InvalidSpec) as caught:
        bench.request(job_id="a")
    assert caught.value.field == "env"
    assert nothing_happened(bench, "a")


# -- review --------------------------------------------------------------------------------------


def label(name):
    """An extension that writes down that it saw the job, and what was there before it."""
    return Review(
        lambda job: evolve(job, labels={**job.labels, name: "-".join(job.labels) or "none"})
    )


def test_reviews_are_folded_in_order(make):
    """Each extension sees what the one before made of the job; None leaves it as it is."""
    bench = make(label("one"), Review(lambda _job: None), label("two"), label("three"))
    labels = bench.request().labels
    assert {k: v for k, v in labels.items() if not k.startswith("spawnery.dev/")} == {
        "one": "none",
        "two": "one",
        "three": "one-two",
    }


def test_the_hash_is_of_the_spec_as_submitted(make):
    """A review that changes its mind does not turn a repeated spawn into another job."""
    counter = iter("abcdef")
    bench = make(Review(lambda job: evolve(job, image=f"img:{next(counter)}")))
    spec = JobSpec(job_id="a", image="img")
    assert bench.spawner.spawn(spec).created
    assert bench.engine.requests[0].spec_hash == spec_hash(spec)
    assert not bench.spawner.spawn(spec).created


def test_a_refusal_is_told_in_its_own_words(make):
    """JobRefused ends the spawn: with its words, the job id, and no trace; later ones are not asked."""  # noqa: E501

    def refuse(_job):
        raise JobRefused("no jobs on Sundays", hint="come back tomorrow")

    asked = []
    bench = make(Review(refuse), Review(asked.append))
    with pytest.raises(JobRefused, match="no jobs on Sundays") as caught:
        bench.request(job_id="a")
    assert (caught.value.job_id, caught.value.hint) == ("a", "come back tomorrow")
    assert asked == []
    assert nothing_happened(bench, "a")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda job: evolve(job, job_id="other"), "changed the job id"),
        (lambda _job: "yes", "returned a str"),
        (lambda _job: False, "returned a bool"),
    ],
)
def test_a_review_that_breaks_the_rules(make, function, problem):
    """Another job id or something that is no job is the extension's mistake."""
    bench = make(Review(function))
    with pytest.raises(PluginError, match=problem) as caught:
        bench.request(job_id="a")
    assert caught.value.cause == "plugin.bug"
    assert "extension-1" in caught.value.message
    assert nothing_happened(bench, "a")


def test_a_review_cannot_set_our_labels(make):
    """Labels of ours are refused where the changed spec is made."""
    bench = make(Review(lambda job: evolve(job, labels={"spawnery.dev/instance": "mine"})))
    with pytest.raises(InvalidSpec, match=r"spawnery\.dev/"):
        bench.request(job_id="a")
    assert nothing_happened(bench, "a")


def test_capabilities_are_held_against_the_reviewed_job(make):
    """A review may take away what the spawner lacks, and what it adds is checked."""
    drop = make(Review(lambda job: evolve(job, image=None)), has=["env"])
    assert drop.request(image="img").job.image is None
    add = make(Review(lambda job: evolve(job, image="img")), has=["env"])
    with pytest.raises(Unsupported) as caught:
        add.request(job_id="a")
    assert caught.value.field == "image"
    assert nothing_happened(add, "a")


# -- network -------------------------------------------------------------------------------------


def test_the_network_of_the_spec_wins(make):
    """The job's own word comes first."""
    bench = make(Net(Network(name="x", source="ext")), environ={"SPAWNERY_BENCH_NETWORK": "set"})
    assert bench.request(network="asked").network == Network(name="asked", source="job spec")


def test_the_setting_comes_second(make):
    """Then what the operator set for all jobs; no hook is asked."""
    bench = make(Net(Network(name="x", source="ext")), environ={"SPAWNERY_BENCH_NETWORK": "set"})
    network = bench.request().network
    assert network is not None
    assert network.name == "set"


def test_extensions_come_third_and_the_spawner_last(make):
    """The first extension that answers wins over later ones and over the spawner's detection."""
    named = Network(name="b", source="ext")
    bench = make(
        Net(None), Net(named), Net(Network(name="c", source="ext")), engine=EngineWithHooks()
    )
    assert bench.request().network == named
    alone = make(Net(None), engine=EngineWithHooks())
    assert alone.request().network == Network(name="detected", source="spawner")
    assert make(Net(None)).request().network is None


def test_a_network_of_the_wrong_kind(make):
    """Text in place of a Network is the extension's mistake."""
    bench = make(Net("bridge"))
    with pytest.raises(PluginError, match="returned a str from resolve_network"):
        bench.request(job_id="a")
    assert nothing_happened(bench, "a")


# -- extensions that misbehave -------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["review_job", "build_env", "resolve_network"])
def test_a_foreign_exception_names_the_extension(make, hook):
    """What an extension raises is said in our words: who, where, what; nothing was created."""

    def fail(self, job):
        raise KeyError("rate-limit")

    extension = type("Failing", (), {hook: hookimpl(fail)})()
    bench = make(extension)
    with pytest.raises(PluginError) as caught:
        bench.request(job_id="a")
    error = caught.value
    assert (error.cause, error.job_id) == ("plugin.bug", "a")
    for word in ("extension-1", hook, "KeyError", "rate-limit"):
        assert word in error.message
    assert nothing_happened(bench, "a")


@pytest.mark.parametrize("hook", ["review_job", "build_env", "resolve_network"])
def test_an_extension_that_hangs_is_given_up(make, hook):
    """A hook has a time limit; the error says which plugin and which setting."""
    go = threading.Event()

    def hang(self, job):
        go.wait(LIMIT)

    bench = make(type("Hanging", (), {hook: hookimpl(hang)})(), hook_timeout_seconds=0.1)
    with pytest.raises(PluginError) as caught:
        bench.request(job_id="a")
    go.set()
    error = caught.value
    assert (error.cause, error.job_id) == ("plugin.timeout", "a")
    assert "extension-1" in error.message
    assert "SPAWNERY_HOOK_TIMEOUT_SECONDS" in (error.hint or "")
    assert nothing_happened(bench, "a")


def test_an_extension_cannot_be_a_spawner(make):
    """Hooks of the spawner are refused on an extension, in words."""
    with pytest.raises(PluginError, match="extension-1.*spawn"):  # noqa: RUF043
        make(Engine())


def test_an_extension_with_a_wrapper_is_refused(make):
    """Wrappers could change the answers of others unseen."""

    class Wrapping:
        @hookimpl(wrapper=True)
        def build_env(self, job):
            return (yield)

    with pytest.raises(PluginError, match="wrapper"):
        make(Wrapping())


def test_create_that_fails_names_the_spawner(tmp_path):
    """A spawner whose create() fails is told as its bug."""

    def create(_settings, _runtime):
        raise RuntimeError("no client")

    plugin = SpawnerPlugin(
        name="bench", api=1, capabilities=frozenset(), settings=Settings, create=create
    )
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path)}
    with pytest.raises(SpawnerInvalid, match="bench could not be created: RuntimeError: no client"):
        Spawner.open(plugin=plugin, records=MemoryRecords(), environ=environ)


def test_a_plan_shows_no_secret(make):
    """The plan is the way of a spawn with every secret masked."""
    bench = make(Env(A="1"), environ={"OWN": VALUE})
    spec = JobSpec(job_id="a", secrets={"TOKEN": SecretRef.environment("OWN")})
    plan = bench.spawner.plan(spec)
    assert plan.env == {"JOB_ID": "a", "A": "1", "TOKEN": "***"}
    assert VALUE not in repr(plan)
    assert nothing_happened(bench, "a")


def test_close_closes_the_spawner_once(make):
    """Closing twice closes the engine's side once."""
    bench = make()
    bench.request()
    bench.spawner.close()
    bench.spawner.close()
    assert bench.engine.closed == 1
