"""Delta conversations about what is asked for on demand (lazy clusters, aliases that move, names too long),
and about what lives for a time only.
"""

from __future__ import annotations

from tests.conversation import MemoryTalk, Variant, in_memory
from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from tests.xds.test_delta import virtual_host
from xds.delta import MOST_ASIDE
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST, Resource
from xds.wire import ProtocolError, Status


def lazy(name: str, seconds: int = 1) -> Resource:
    return Resource.of(CLUSTER, name, cluster(name, seconds).body, [(ENDPOINT, name)], lazy=True)


async def running(*resources: Resource | list[Resource]) -> MemoryTalk:
    """Start with a client that has asked for all clusters, and has acknowledged them."""
    talk = in_memory("delta", snapshot(1, *resources))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    return talk


# --- lazy clusters


async def test_rule_62_a_wildcard_brings_all_but_what_is_lazy() -> None:
    talk = await running(both("a"), lazy("z"), endpoints("z"))
    await talk.expect.silence()
    assert talk.settled
    # It changes, and another comes: none of this client's business.
    talk.publishes(snapshot(2, both("a"), lazy("z", 2), endpoints("z"), lazy("y"), endpoints("y")))
    await talk.expect.silence()
    assert talk.settled
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, "z")
    await talk.envoy.acks(CLUSTER)
    # From now on it follows, like those that were sent to all.
    talk.publishes(snapshot(3, both("a", seconds=2), lazy("z", 3), endpoints("z"), lazy("y"), endpoints("y")))
    said = await talk.expect.sends(CLUSTER, "a", "z")
    assert said.resources["z"].connect_timeout.seconds == 3


async def test_rule_62_who_names_no_wildcard_gets_what_it_names() -> None:
    talk = in_memory("delta", snapshot(1, both("a"), lazy("z"), endpoints("z")))
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, "z")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "*")
    await talk.expect.sends(CLUSTER, "a", "z")


async def test_rule_62_and_44_what_is_lazy_and_dropped_goes() -> None:
    talk = await running(both("a"), lazy("z"), endpoints("z"))
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, "z")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.drops(CLUSTER, "z")
    # Out of the wildcard's scope: as the client sees it, there is no such cluster.
    await talk.expect.sends(CLUSTER, removed=("z",))
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, "z")


async def test_rule_62_and_46_who_comes_back_names_what_it_fetched() -> None:
    talk = in_memory("delta", snapshot(1, both("a"), lazy("y"), endpoints("y"), lazy("z"), endpoints("z")))
    has = {name: cluster(name).version for name in ("a", "y", "z")}
    await talk.envoy.asks(CLUSTER, "*", "z", has=has)
    # It has y, yet does not ask for it.
    await talk.expect.sends(CLUSTER, removed=("y",))
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_rule_62_what_becomes_lazy_goes_at_once_and_what_ceases_to_be_comes() -> None:
    route = [listener("l", "r"), routes("r", "z")]
    talk = in_memory("delta", snapshot(1, both("a", "z"), *route))
    for kind, names, said in (
        (CLUSTER, (), ("a", "z")),
        (ENDPOINT, ("a", "z"), ("a", "z")),
        (LISTENER, (), ("l",)),
        (ROUTE, ("r",), ("r",)),
    ):
        await talk.envoy.asks(kind, *names)
        await talk.expect.sends(kind, *said)
        await talk.envoy.acks(kind)
    talk.publishes(snapshot(2, both("a"), lazy("z"), endpoints("z"), *route))
    # A route names it still, and fetches it with the next request.
    await talk.expect.sends(CLUSTER, removed=("z",))
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(3, both("a", "z"), *route))
    await talk.expect.sends(CLUSTER, "z")


async def test_rule_62_a_route_does_not_wait_for_what_is_lazy() -> None:
    talk = await running(both("a"))
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    talk.publishes(snapshot(2, both("a"), lazy("z"), endpoints("z"), routes("r", "z")))
    await talk.expect.sends(ROUTE, "r")


async def test_rule_62_a_rejected_lazy_cluster_is_held_like_any_other() -> None:
    talk = await running(both("a"), lazy("z"), endpoints("z"))
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, "z")
    await talk.envoy.nacks(CLUSTER, "z: no good")
    # The state of the type is restored in full, without it.
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "z")
    await talk.expect.sends(CLUSTER, removed=("z",))


async def test_in_sotw_what_is_lazy_comes_with_the_rest() -> None:
    talk = in_memory("sotw", snapshot(1, both("a"), lazy("z"), endpoints("z")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "z")


# --- aliases


async def test_rule_47_an_alias_goes_while_its_host_stays() -> None:
    talk = in_memory("delta", snapshot(1, virtual_host("r/one", "r/a.test", "r/b.test")))
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test", "r/b.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/one")
    await talk.envoy.acks(VIRTUAL_HOST)
    talk.publishes(snapshot(2, virtual_host("r/one", "r/b.test", domain="b.test")))
    # It was asked for by another name too, so it is not removed: it changes, and that is all.
    await talk.expect.sends(VIRTUAL_HOST, "r/one")
    await talk.envoy.acks(VIRTUAL_HOST)
    assert talk.settled
    # Asked for again, the alias is answered as what it is now.
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
    said = await talk.expect.sends(VIRTUAL_HOST)
    assert said.missing == {"r/a.test"}
    await talk.envoy.acks(VIRTUAL_HOST)
    # The last alias goes: nobody asks for the host any more, though it is there.
    talk.publishes(snapshot(3, virtual_host("r/one", "r/c.test")))
    await talk.expect.sends(VIRTUAL_HOST, removed=("r/one",))
    await talk.envoy.acks(VIRTUAL_HOST)
    assert talk.settled


async def test_rule_47_an_alias_moves_to_another_host() -> None:
    talk = in_memory("delta", snapshot(1, virtual_host("r/one", "r/a.test")))
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/one")
    await talk.envoy.acks(VIRTUAL_HOST)
    talk.publishes(
        snapshot(2, virtual_host("r/one", "r/c.test", domain="c.test"), virtual_host("r/two", "r/a.test"))
    )
    # Two hosts of one domain would be rejected: one goes as the other comes.
    await talk.expect.sends(VIRTUAL_HOST, "r/two", removed=("r/one",))
    await talk.envoy.acks(VIRTUAL_HOST)
    assert talk.settled


async def test_rule_47_an_alias_moves_while_the_client_is_away() -> None:
    here = snapshot(1, virtual_host("r/one", "r/a.test"))
    talk = in_memory(
        "delta", snapshot(2, virtual_host("r/one", "r/c.test"), virtual_host("r/two", "r/a.test"))
    )
    has = {"r/one": here.of_type(VIRTUAL_HOST)["r/one"].version}
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test", has=has)
    await talk.expect.sends(VIRTUAL_HOST, "r/two", removed=("r/one",))


# --- names that are too long


async def test_a_name_that_is_too_long_ends_the_stream() -> None:
    variants: tuple[Variant, ...] = ("delta", "sotw")
    for variant in variants:
        talk = in_memory(variant, snapshot(1, both("a")), max_name_characters=10)
        await talk.envoy.asks(ENDPOINT, "x" * 11)
        assert talk.line.problem == ProtocolError(
            Status.INVALID_ARGUMENT,
            f"the endpoint name '{'x' * 11}'… has 11 characters; names of at most 10 are served",
        )


async def test_a_name_that_traffic_made_too_long_is_not_there_and_the_stream_lives() -> None:
    talk = in_memory(
        "delta", snapshot(1, both("a"), virtual_host("r/one", "r/a.test")), max_name_characters=10
    )
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "x" * 11)
    await talk.expect.sends(CLUSTER, removed=("x" * 11,))
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/one")
    await talk.envoy.acks(VIRTUAL_HOST)
    await talk.envoy.asks(VIRTUAL_HOST, "r/" + "x" * 9)
    said = await talk.expect.sends(VIRTUAL_HOST)
    assert said.missing == {"r/" + "x" * 9}
    await talk.envoy.acks(VIRTUAL_HOST)
    # Nothing of them is kept.
    assert {name for one in talk.line.stream.ledgers.values() for name in one.subscription.names} == {
        "r/a.test"
    }
    assert talk.settled


async def test_names_that_traffic_makes_without_end_are_not_there_and_the_stream_lives() -> None:
    hosts = [virtual_host(f"r/{name}", f"r/{name}.test") for name in "abcd"]
    talk = in_memory("delta", snapshot(1, *hosts), max_names=2)
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/a")
    await talk.envoy.acks(VIRTUAL_HOST)
    # One more has room, and what was asked for before needs none.
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test", "r/b.test", "r/c.test")
    said = await talk.expect.sends(VIRTUAL_HOST, "r/a", "r/b")
    assert said.missing == {"r/c.test"}
    await talk.envoy.acks(VIRTUAL_HOST)
    await talk.envoy.drops(VIRTUAL_HOST, "r/a.test")
    await talk.envoy.asks(VIRTUAL_HOST, "r/c.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/c")


async def test_of_what_is_not_remembered_only_so_much_waits() -> None:
    talk = in_memory("delta", snapshot(1), max_names=1, max_name_characters=10)
    await talk.envoy.asks(VIRTUAL_HOST, "r/z", *(f"r/{number:06}" for number in range(2 * MOST_ASIDE)))
    said = await talk.expect.sends(VIRTUAL_HOST)
    assert len(said.missing) == MOST_ASIDE + 1


async def test_a_first_request_of_names_too_long_alone_is_no_wildcard() -> None:
    talk = in_memory("delta", snapshot(1, both("a")), max_name_characters=10)
    await talk.envoy.asks(CLUSTER, "x" * 11)
    assert isinstance(talk.line.problem, ProtocolError)


async def test_a_name_too_long_is_not_had_either() -> None:
    talk = in_memory("delta", snapshot(1, both("a")), max_name_characters=10)
    await talk.envoy.asks(ENDPOINT, "a", has={"x" * 11: "1"})
    assert isinstance(talk.line.problem, ProtocolError)


# --- what lives for a time


def timed(name: str, seconds: float = 30.0) -> Resource:
    return Resource.of(CLUSTER, name, cluster(name).body, [(ENDPOINT, name)], ttl_seconds=seconds)


async def test_rule_57_what_lives_for_a_time_is_renewed_while_it_is_there() -> None:
    talk = in_memory("delta", snapshot(1, timed("a"), both("b"), endpoints("a")))
    await talk.envoy.asks(CLUSTER)
    said = await talk.expect.sends(CLUSTER, "a", "b")
    version = said.versions["a"]
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.line.stream.due() == 1010.0
    talk.passes(10.0)
    beat = await talk.expect.sends(CLUSTER)
    # A heartbeat is the name and version without a body, of what would expire alone.
    assert beat.missing == {"a"}
    assert beat.versions == {"a": version}
    # One at a time: while it is not answered there is nothing due.
    assert talk.line.stream.due() is None
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.line.stream.due() == 1020.0
    assert talk.settled
    # It stays for good, or goes: no heartbeat any more.
    talk.publishes(snapshot(2, both("a", "b")))
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.passes(100.0)
    await talk.expect.silence()


async def test_rule_57_who_comes_back_with_it_has_it_renewed_at_once() -> None:
    talk = in_memory("delta", snapshot(1, timed("a"), endpoints("a")))
    await talk.envoy.asks(CLUSTER, has={"a": timed("a").version})
    said = await talk.expect.sends(CLUSTER)
    assert said.missing == {"a"}
    # What expired while it was away is sent.
    other = in_memory("delta", snapshot(1, timed("a"), endpoints("a")))
    await other.envoy.asks(CLUSTER, has={"b": "1"})
    await other.expect.sends(CLUSTER, "a")


async def test_rule_58_a_sotw_client_is_told_no_time() -> None:
    talk = in_memory("sotw", snapshot(1, timed("a"), endpoints("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.passes(1000.0)
    await talk.expect.silence()
    assert talk.line.stream.due() is None
