"""Filters, tokens, names, configs, the queue, the cache: the small parts."""

import dataclasses
import time

import pydantic
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2
from google.protobuf import duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import errors, validation
from services.instance import changes, documents, filters, names, tokens, translation
from services.instance.cache import Cache
from services.instance.record import Desired, State, Step
from services.instance.settings import InstanceSettings
from services.instance.specification import Reader
from services.instance.workload import Phase, Workload
from services.instance.workqueue import Urgency, Workqueue
from tests import counted
from tests.unit.instance.test_decide import NOW, record

READER = Reader(InstanceSettings)


@given(st.text(max_size=200))
def test_a_filter_is_read_or_refused(text: str) -> None:
    """No text makes the parser fail in any way but its own."""
    refusal = None
    terms: tuple[filters.Term, ...] = ()
    try:
        terms = filters.parse(text).terms
    except errors.InvalidArgument as error:
        refusal = error
    if refusal is None:
        assert terms or not text.strip()
    else:
        assert refusal.code == "INVALID_FILTER"
        assert refusal.violations[0].field == "filter"


@given(st.text(min_size=1, max_size=63))
def test_any_value_can_be_quoted(value: str) -> None:
    """Every label value can be asked for."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    (term,) = filters.parse(f'labels.x = "{quoted}"').terms
    assert term.value == value


@given(st.text(max_size=300))
def test_made_up_tokens_are_refused(token: str) -> None:
    """What is no token is refused as such."""
    with pytest.raises(errors.InvalidArgument):
        tokens.read_page(token, "f")
    with pytest.raises(errors.InvalidArgument):
        tokens.read_resume(token, "f")


def test_tokens_belong_to_their_filter() -> None:
    """A token is read back as it was made, with its own filter only."""
    one, other = filters.parse("state = RUNNING"), filters.parse("state != RUNNING")
    token = tokens.page("ada", one.fingerprint)
    assert tokens.read_page(token, one.fingerprint) == "ada"
    resume = tokens.resume("s", 7, one.fingerprint)
    assert tokens.read_resume(resume, one.fingerprint) == ("s", 7)
    for call, given_ in ((tokens.read_page, token), (tokens.read_resume, resume)):
        with pytest.raises(errors.InvalidArgument, match="another filter"):
            call(given_, other.fingerprint)


def test_the_order_of_terms_does_not_matter() -> None:
    """Filters that say the same share their tokens."""
    assert (
        filters.parse("state = RUNNING AND owner = a").fingerprint
        == filters.parse("owner='a' and state=\"RUNNING\"").fingerprint
    )


def test_names_that_are_made_are_valid() -> None:
    """Generated names follow the rule for all names."""
    assert all(names.valid(names.generate()) for _ in range(1000))
    for bad in ("", "A", "1a", "a-", "a_b", "a" * 41, "a\n", "ä"):
        assert not names.valid(bad), bad


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"resources": resources_pb2.Resources(cpu="4001m")}, {"config.resources.cpu"}),
        ({"resources": resources_pb2.Resources(memory="9Gi")}, {"config.resources.memory"}),
        ({"resources": resources_pb2.Resources(storage="1")}, {"config.resources.storage"}),
        ({"ports": instance_pb2.PortRequest(web_port=8001)}, {"config.ports.web_port"}),
        ({"ports": instance_pb2.PortRequest(web_port=8100, callback_port=8150)}, set()),
        (
            {"ports": instance_pb2.PortRequest(web_port=8100, callback_port=8151)},
            {"config.ports.callback_port"},
        ),
        ({"ports": instance_pb2.PortRequest(callback_port=8250)}, set()),
        ({"ports": instance_pb2.PortRequest(callback_port=8251)}, {"config.ports.callback_port"}),
        ({"idle_timeout": duration_pb2.Duration(seconds=59)}, {"config.idle_timeout"}),
        ({"max_lifetime": duration_pb2.Duration(seconds=-60)}, {"config.max_lifetime"}),
        ({"desired_state": instance_pb2.DESIRED_STATE_DELETED}, {"config.desired_state"}),
        ({"environment": {f"A{n}": "" for n in range(101)}}, {"config.environment"}),
        ({"environment": {"A": "x" * 4097}}, {"config.environment[A]"}),
        ({"labels": {f"a{n}": "" for n in range(33)}}, {"config.labels"}),
        ({"labels": {"a": "x" * 64}}, {"config.labels[a]"}),
    ],
)
def test_what_a_config_may_say(config: dict[str, object], fields: set[str]) -> None:
    """Each limit of the contract is kept, and told by the path of its field."""
    wrong = validation.Violations()
    READER.read(instance_pb2.InstanceConfig(**config), wrong, "config")  # type: ignore[arg-type]
    told: set[str] = set()
    try:
        wrong.check()
    except errors.InvalidArgument as error:
        told = {one.field for one in error.violations}
    assert told == fields


def test_a_port_range_that_does_not_fit_is_refused() -> None:
    """However many instances there may be, ports end at 65535; the last that fits is told."""
    settings = InstanceSettings(port_base=65_000, port_range_size=200, max_concurrent_instances=100)
    reader = Reader(lambda: settings)
    for port, fits in ((65_200, True), (65_400, False), (65_000 + 200 * 100, False)):
        wrong = validation.Violations()
        ports = instance_pb2.PortRequest(web_port=port)
        reader.read(instance_pb2.InstanceConfig(ports=ports), wrong, "config")
        assert bool(wrong) is not fits, port
        if port == 65_400:
            with pytest.raises(errors.InvalidArgument, match="up to 65200"):
                wrong.check()


@pytest.mark.parametrize("seconds", [0.5, 30, 59.9, 400_000_000])
@pytest.mark.parametrize(
    "name", ["default_idle_timeout", "idle_timeouts", "default_max_lifetime", "max_lifetimes"]
)
def test_default_lifetimes_are_those_an_instance_may_ask_for(name: str, seconds: float) -> None:
    """A default that is shorter would stop everything that runs; 0 is never."""
    given = {"lab": seconds} if name.endswith("s") else seconds
    with pytest.raises(pydantic.ValidationError, match="60 s to ten years, or 0"):
        InstanceSettings(**{name: given})
    for right in (0, 60, 315_360_000):
        InstanceSettings(**{name: {"lab": right} if name.endswith("s") else right})
    least = InstanceSettings(
        **{name: {"lab": 1} if name.endswith("s") else 1}, least_limit_seconds=1
    )
    assert least.least_limit_seconds == 1


def test_a_callback_port_alone_asks_for_its_range() -> None:
    """With only a callback port, the web port is the one its range begins with."""
    ports = instance_pb2.PortRequest(callback_port=8250)
    asked = READER.read(instance_pb2.InstanceConfig(ports=ports), validation.Violations(), "config")
    assert asked.web_port == 8200


@pytest.mark.parametrize("state", State)
def test_records_survive_the_database_and_are_told(state: State) -> None:
    """A record is the same after its way through a document; every state has a message."""
    one = record(state, labels={"a.b/c": "d"}, environment={"A": "b"})
    one = changes.note(dataclasses.replace(one, claim="c"), one, NOW)
    assert documents.decode(documents.encode(one)) == one
    message = translation.instance(one)
    assert instance_pb2.InstanceState.Name(message.state) == f"INSTANCE_STATE_{state}"
    assert [one.type for one in message.conditions] == sorted(
        one.type for one in message.conditions
    )
    assert len(message.conditions) == len(Step)


def test_changes_nobody_sees_have_no_version() -> None:
    """Bookkeeping leaves version, etag and outbox as they are; what is seen counts once."""
    one = record(State.RUNNING)
    assert changes.note(one, dataclasses.replace(one, progress_at=1), NOW).version == one.version
    seen = changes.note(one, dataclasses.replace(one, state=State.STOPPING), NOW)
    assert (seen.version, len(seen.outbox)) == (one.version + 1, 1)
    assert seen.etag != one.etag


def test_a_long_silence_is_told_as_one_change() -> None:
    """What piles up while NATS is away is bounded; what is told in the end is right."""
    one = changes.note(record(State.RUNNING, claim="c"), record(State.RUNNING), NOW)
    assert one.outbox[0].previous_labels == ""
    for number in range(200):
        state = (State.RUNNING, State.STOPPING)[number % 2]
        one = changes.note(
            one, dataclasses.replace(one, state=state, restarts=number + 1), NOW + number
        )
        assert len(one.outbox) <= changes.OUTBOX_MOST
    assert one.outbox[0].kind == changes.ADDED
    assert one.outbox[-1].version == one.version


def test_changes_told_as_one_begin_where_the_first_began() -> None:
    """Whether they are one for a filter on labels depends on the labels before all of them."""
    one = record(State.RUNNING, labels={"course": "0"})
    for number in range(1, changes.OUTBOX_MOST + 2):
        relabelled = dataclasses.replace(one, labels={"course": str(number)})
        one = changes.note(one, relabelled, NOW + number)
    (told,) = one.outbox
    assert (told.version, told.previous_labels) == (one.version, '{"course": "0"}')
    old = documents.encode(one)
    del old["outbox"][0]["previous_labels"]
    assert documents.decode(old).outbox[0].previous_labels == ""


async def test_the_queue_is_fair_and_never_twice_at_a_time() -> None:
    """The most urgent key comes first; a key at work waits for its end; none is there twice."""
    queue = Workqueue()
    for key in ("a", "b", "a"):
        queue.add(key, Urgency.ROUTINE)
    queue.add("c", Urgency.HUMAN)
    queue.add("b", Urgency.REPAIR)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == [
        ("c", Urgency.HUMAN),
        ("b", Urgency.REPAIR),
        ("a", Urgency.ROUTINE),
    ]
    queue.add("c", Urgency.ROUTINE)
    assert len(queue) == 0
    queue.done("c")
    assert await queue.get() == ("c", Urgency.ROUTINE)
    queue.add_later("d", 60, Urgency.ROUTINE)
    queue.add_later("d", 0.001, Urgency.REPAIR)
    assert await queue.get() == ("d", Urgency.REPAIR)
    queue.close()


def test_the_cache_never_goes_back() -> None:
    """A read that was under way when something was written does not hide what was written."""
    healthy = True
    before = counted.cache("instances")
    cache = Cache(seconds=1, entries=2, healthy=lambda: healthy)
    old = translation.instance(record(State.RUNNING))
    new = translation.instance(record(State.STOPPING, Desired.STOPPED, version=2))
    now = time.monotonic()
    cache.put(new, read_at=now)
    cache.put(old, read_at=now)
    assert cache.get("ada") is new
    cache.drop(new)
    cache.put(old, read_at=now)
    assert cache.get("ada") is None
    cache = Cache(seconds=1, entries=2, healthy=lambda: healthy)
    cache.put(old, read_at=now - 2)
    assert cache.get("ada") is None, "too old"
    cache.put(old, read_at=now)
    healthy = False
    assert cache.get("ada") is None, "nobody would say that it changed"
    assert counted.cache("instances") - before == {"hit": 1, "miss": 3}


def test_news_that_passed_each_other() -> None:
    """Of two sights of a workload the later start, then the later phase, is the newer."""
    first = Workload(Phase.READY, start_time=1)
    again = Workload(Phase.STARTING, start_time=2)
    assert first.outdates(again)
    assert not again.outdates(first)
    assert Workload(Phase.STARTING, start_time=1).outdates(first)
    assert not Workload(Phase.STOPPED).outdates(first), "one that never started has no time"
