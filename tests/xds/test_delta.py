"""The Delta variant, rule by rule: numbers are those of the protocol rules in `docs/protocol.md`."""

from __future__ import annotations

import pytest

from pb.envoy.config.route.v3 import route_components_pb2
from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.conversation import NODE_ID, in_memory
from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from xds.holds import Holds
from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SECRET,
    VIRTUAL_HOST,
    Resource,
    ResourceType,
)
from xds.snapshot import Snapshot
from xds.wire import ProtocolError, Status


async def test_rule_3_a_request_on_an_aggregated_stream_names_its_type() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.says(_delta_request(type_url=""))
    assert talk.line.problem == ProtocolError(
        Status.INVALID_ARGUMENT, "a request on an aggregated stream needs a type_url"
    )


async def test_rule_3_on_a_stream_of_one_type_the_type_is_implied() -> None:
    talk = in_memory("delta", snapshot(1, both("a")), only=CLUSTER)
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")


async def test_rule_3_a_stream_of_one_type_refuses_others() -> None:
    talk = in_memory("delta", snapshot(1, both("a")), only=CLUSTER)
    await talk.envoy.asks(LISTENER)
    assert isinstance(talk.line.problem, ProtocolError)
    assert talk.line.problem.status is Status.INVALID_ARGUMENT


async def test_rule_4_a_type_that_nobody_serves_gets_silence_and_disturbs_no_other() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.says(_delta_request(type_url="type.googleapis.com/some.Thing"))
    await talk.expect.silence()
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")


async def test_rule_4_each_type_has_its_own_nonces_and_answers() -> None:
    talk = in_memory("delta", snapshot(1, both("a"), listener("l")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, cluster("a", seconds=2), endpoints("a", port=81), listener("l")))
    # Clusters wait for their answer; endpoints, which are theirs and acknowledged, don't.
    await talk.expect.sends(ENDPOINT, "a")
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")


async def test_rule_5_the_node_may_be_repeated_but_not_changed() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    again = _delta_request(type_url=ENDPOINT.type_url, node=NODE_ID)
    await talk.envoy.says(again)
    assert talk.line.problem is None
    other = _delta_request(type_url=ENDPOINT.type_url, node="somebody else")
    await talk.envoy.says(other)
    assert talk.line.problem == ProtocolError(
        Status.INVALID_ARGUMENT, "the node changed its id in the middle of a stream"
    )


async def test_rule_9_nothing_is_pushed_of_a_type_that_was_not_asked_for() -> None:
    talk = in_memory("delta", snapshot(1, both("a"), listener("l")))
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2, both("a", "b"), listener("l")))
    await talk.expect.silence()


async def test_rule_10_nothing_is_sent_that_was_not_asked_for() -> None:
    talk = in_memory(
        "delta", snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a"), routes("s", "b"))
    )
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    talk.publishes(
        snapshot(2, both("a"), both("b", port=81), listener("l", "r"), routes("r", "a"), routes("s", "a"))
    )
    await talk.expect.silence()
    assert talk.settled


async def test_rule_11_and_21_a_response_tells_replica_revision_and_content_versions() -> None:
    talk = in_memory("delta", snapshot(7, cluster("a"), endpoints("a")))
    await talk.envoy.asks(CLUSTER)
    said = await talk.expect.sends(CLUSTER, "a", version="7")
    assert said.identifier == "test"
    assert said.versions == {"a": cluster("a").version}


async def test_rule_14_nonces_are_never_used_twice_on_a_stream() -> None:
    here, there = snapshot(1, both("a")), snapshot(2, both("a", seconds=2))
    talk = in_memory("delta", here)
    nonces = set()
    await talk.envoy.asks(CLUSTER)
    for following in (there, here, there, here):
        nonces.add((await talk.expect.sends(CLUSTER, "a")).nonce)
        await talk.envoy.acks(CLUSTER)
        # Back and forth between two contents: the same response again, never the same nonce.
        talk.publishes(following)
    assert len(nonces) == 4


async def test_rule_15_only_an_error_is_a_rejection() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER, has={"a": cluster("a", 9).version})
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.nacks(CLUSTER, "")
    await talk.expect.silence()
    assert not talk.settled


async def test_rule_16_an_acknowledgement_is_not_answered() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_rule_18_a_stale_nonce_still_brings_its_subscriptions() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b")))
    await talk.envoy.asks(ENDPOINT, "a")
    first = await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, both("a", port=81), both("b")))
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.asks(ENDPOINT, "b", nonce=first.nonce)
    # The stale nonce acknowledged nothing: the second response is still in flight.
    await talk.expect.silence()
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(ENDPOINT, "b")


async def test_rule_19_what_was_not_sent_yet_is_sent_as_it_is_in_the_end() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    talk.publishes(snapshot(2, both("a", seconds=2)))
    talk.publishes(snapshot(3, both("a", "b", seconds=3)))
    talk.publishes(snapshot(4, both("a", seconds=4)))
    await talk.envoy.acks(CLUSTER)
    said = await talk.expect.sends(CLUSTER, "a", version="4")
    assert said.resources["a"].connect_timeout.seconds == 4


async def test_a_change_that_is_taken_back_before_it_was_sent_is_not_sent() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    talk.publishes(snapshot(2, both("a", seconds=2)))
    talk.publishes(snapshot(3, both("a")))
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()


async def test_rule_28_one_response_of_a_type_is_in_flight() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    talk.publishes(snapshot(2, both("a", "b")))
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(CLUSTER, "b")


async def test_rule_32_a_wildcard_is_answered_even_if_there_is_nothing() -> None:
    talk = in_memory("delta", snapshot(1))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER)
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()


async def test_rule_37_subscriptions_add_up() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b", "c")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.asks(ENDPOINT, "b")
    await talk.expect.sends(ENDPOINT, "b")
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, both("a", "b", "c", port=81)))
    await talk.expect.sends(ENDPOINT, "a", "b")


async def test_rule_38_a_legacy_wildcard_stays_until_it_is_unsubscribed() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "a")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", "b", seconds=2)))
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.drops(CLUSTER, "*")
    talk.publishes(snapshot(3, both("a", "b", seconds=3)))
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.drops(CLUSTER, "a")
    talk.publishes(snapshot(4, both("a", "b", seconds=4)))
    await talk.expect.silence()


async def test_rule_38_no_names_after_some_is_no_wildcard() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER, "a")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER)
    await talk.expect.silence()


@pytest.mark.parametrize("kind", [ENDPOINT, ROUTE, SECRET, RUNTIME, EXTENSION_CONFIG], ids=str)
async def test_rule_39_no_names_means_everything_for_few_types_only(kind: ResourceType) -> None:
    talk = in_memory("delta", snapshot(1, Resource.of(kind, "a", b"")))
    await talk.envoy.asks(kind)
    await talk.expect.silence()


async def test_rule_40_a_reconnecting_client_gets_the_difference() -> None:
    has = {"a": cluster("a").version, "b": cluster("b").version, "c": cluster("c").version}
    talk = in_memory("delta", snapshot(2, both("a", "d"), both("b", seconds=2)))
    await talk.envoy.asks(CLUSTER, has=has)
    await talk.expect.sends(CLUSTER, "b", "d")
    await talk.envoy.acks(CLUSTER)
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, removed=("c",))


async def test_rule_40_what_a_client_has_is_not_what_it_wants() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b")))
    await talk.envoy.asks(ENDPOINT, "a", has={"a": "old", "b": "old", "c": "old"})
    await talk.expect.sends(ENDPOINT, "a")


@pytest.mark.parametrize("kind", [CLUSTER, ENDPOINT], ids=str)
async def test_rule_41_a_client_that_is_current_is_told_nothing_by_any_replica(kind: ResourceType) -> None:
    names = ("a", "b") if kind is ENDPOINT else ()
    one = in_memory("delta", snapshot(1, both("a", "b")), only=kind)
    await one.envoy.asks(kind, *names)
    said = await one.expect.sends(kind, "a", "b")
    other = in_memory("delta", snapshot(1, both("b", "a")), only=kind)
    await other.envoy.asks(kind, *names, has=said.versions)
    await other.expect.silence()
    assert other.settled


async def test_rule_42_a_name_that_is_asked_for_again_is_answered_again() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()


async def test_rule_42_also_while_the_answer_is_under_way() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.drops(ENDPOINT, "a")
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(ENDPOINT, "a")


@pytest.mark.parametrize("kind", [CLUSTER, ENDPOINT, LISTENER, SECRET, RUNTIME], ids=str)
async def test_rule_43_a_name_that_is_not_there_is_said_to_be_removed(kind: ResourceType) -> None:
    talk = in_memory("delta", snapshot(1))
    await talk.envoy.asks(kind, "z")
    await talk.expect.sends(kind, removed=("z",))
    await talk.envoy.acks(kind)
    await talk.expect.silence()
    talk.publishes(snapshot(2, Resource.of(kind, "z", b"\n\x01z")))
    await talk.expect.sends(kind, "z")


async def test_rule_43_a_route_configuration_that_is_not_there_is_empty() -> None:
    talk = in_memory("delta", snapshot(1))
    await talk.envoy.asks(ROUTE, "z")
    said = await talk.expect.sends(ROUTE, "z")
    assert not said.resources["z"].virtual_hosts
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()
    assert talk.settled
    # Who was told so and comes back is not told again, until there is something.
    again = talk.reconnects()
    await again.envoy.asks(ROUTE, "z", has=said.versions)
    await again.expect.silence()
    again.publishes(snapshot(2, routes("z")))
    again.publishes(snapshot(3, routes("z", "a"), both("a")))
    said = await again.expect.sends(ROUTE, "z")
    assert len(said.resources["z"].virtual_hosts) == 1


async def test_rule_43_a_filter_configuration_that_is_not_there_gets_silence() -> None:
    talk = in_memory("delta", snapshot(1))
    await talk.envoy.asks(EXTENSION_CONFIG, "z")
    await talk.expect.silence()
    talk.publishes(snapshot(2, Resource.of(EXTENSION_CONFIG, "z", b"\n\x01z")))
    await talk.expect.sends(EXTENSION_CONFIG, "z")
    await talk.envoy.acks(EXTENSION_CONFIG)
    # Nor is one ever removed: Envoy would answer 500 to every request.
    talk.publishes(snapshot(3))
    await talk.expect.silence()
    assert talk.settled


@pytest.mark.parametrize("kind", [ROUTE, EXTENSION_CONFIG], ids=repr)
async def test_rule_43_who_is_no_envoy_is_told_what_the_protocol_says(kind: ResourceType) -> None:
    talk = in_memory("delta", snapshot(1), client_is_envoy=False)
    await talk.envoy.asks(kind, "z")
    await talk.expect.sends(kind, removed=("z",))
    await talk.envoy.acks(kind)
    talk.publishes(snapshot(2, Resource.of(kind, "z", b"\n\x01z")))
    await talk.expect.sends(kind, "z")
    await talk.envoy.acks(kind)
    talk.publishes(snapshot(3))
    await talk.expect.sends(kind, removed=("z",))


async def test_rule_47_an_alias_of_nothing_is_answered_without_a_body_whoever_asks() -> None:
    talk = in_memory("delta", snapshot(1), client_is_envoy=False)
    await talk.envoy.asks(VIRTUAL_HOST, "r/host")
    assert (await talk.expect.sends(VIRTUAL_HOST)).missing == {"r/host"}


async def test_a_version_that_has_a_name_is_shown_by_it() -> None:
    talk = in_memory("delta", Snapshot.of(7, [*both("a"), listener("l")], {CLUSTER: "blue"}))
    await talk.envoy.asks(CLUSTER)
    assert (await talk.expect.sends(CLUSTER, "a")).version == "blue"
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(LISTENER)
    assert (await talk.expect.sends(LISTENER, "l")).version == "7"


@pytest.mark.parametrize("name", ["x/*", "xdstp://authority/envoy.config.cluster.v3.Cluster/a?b=c", "a*"])
async def test_rule_70_a_name_is_a_name_whatever_it_looks_like(name: str) -> None:
    talk = in_memory("delta", snapshot(1, both("a", "x/a")))
    await talk.envoy.asks(ENDPOINT, name)
    await talk.expect.sends(ENDPOINT, removed=(name,))
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, both("a", "x/a", name)))
    await talk.expect.sends(ENDPOINT, name)


async def test_rule_44_a_name_dropped_under_a_wildcard_is_answered_as_it_stands() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER, "*", "a", "z")
    await talk.expect.sends(CLUSTER, "a", removed=("z",))
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.drops(CLUSTER, "a", "z")
    await talk.expect.sends(CLUSTER, "a", removed=("z",))


async def test_rule_44_unknown_names_may_be_dropped_without_an_answer() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.drops(ENDPOINT, "a", "z")
    await talk.expect.silence()
    talk.publishes(snapshot(2, both("a", port=81)))
    await talk.expect.silence()


async def test_rule_45_the_first_request_of_a_type_may_carry_a_nonce() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER, nonce="of another life")
    await talk.expect.sends(CLUSTER, "a")


async def test_rule_46_wildcard_and_names_come_back_in_one_request() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "lazy")))
    await talk.envoy.asks(CLUSTER, "*", "lazy", has={"a": cluster("a").version, "lazy": "old"})
    await talk.expect.sends(CLUSTER, "lazy")


async def test_names_may_be_empty_strings_which_name_nothing() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(ENDPOINT, "")
    await talk.expect.silence()


async def test_a_new_wildcard_brings_what_the_names_had_not() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER, "a")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "*")
    await talk.expect.sends(CLUSTER, "a", "b")


async def test_too_many_names_end_the_stream() -> None:
    talk = in_memory("delta", snapshot(1), max_names=3)
    await talk.envoy.asks(ENDPOINT, "a", "b", "c", "d")
    assert isinstance(talk.line.problem, ProtocolError)
    assert talk.line.problem.status is Status.RESOURCE_EXHAUSTED


# --- rejections


async def test_rule_22_and_25_the_culprit_is_held_and_the_rest_arrives() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "bad", "b")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "b", "bad")
    await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no such thing")
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert not talk.settled
    # New content is a new chance.
    talk.publishes(snapshot(2, both("a", "b"), both("bad", seconds=2)))
    await talk.expect.sends(CLUSTER, "bad")
    await talk.envoy.acks(CLUSTER)
    assert talk.settled


async def test_rule_25_where_a_message_names_nobody_the_culprit_is_searched_for() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", "b", "c", seconds=2)))
    await talk.expect.sends(CLUSTER, "a", "b", "c")
    await talk.envoy.nacks(CLUSTER, "no")
    # Half of them; the client may have taken over some of the others, but has nothing to go back to.
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.nacks(CLUSTER, "no")
    # It is found. Its last good version is restored, and the rest with it.
    said = await talk.expect.sends(CLUSTER, "a", "b", "c")
    assert {name: body.connect_timeout.seconds for name, body in said.resources.items()} == {
        "a": 1,
        "b": 2,
        "c": 2,
    }
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    talk.publishes(snapshot(3, both("a", seconds=3), both("b", "c", seconds=2)))
    await talk.expect.sends(CLUSTER, "a")


async def test_rule_25_what_was_rejected_is_not_sent_after_a_reconnect_either() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "bad")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "bad")
    await talk.envoy.nacks(CLUSTER, "bad: no")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    again = talk.reconnects()
    await again.envoy.asks(CLUSTER, has={"a": cluster("a").version})
    await again.expect.silence()


async def test_the_last_good_version_stands_in_for_a_rejected_one() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", seconds=2)))
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.nacks(CLUSTER, "a: no")
    await talk.expect.silence()
    # The same Envoy, restarted and empty, gets the last good version.
    fresh = talk.reconnects()
    await fresh.envoy.asks(CLUSTER)
    said = await fresh.expect.sends(CLUSTER, "a")
    assert said.resources["a"].connect_timeout.seconds == 1
    await fresh.envoy.acks(CLUSTER)
    assert not fresh.settled
    # One that has the last good version is told nothing.
    current = talk.reconnects()
    await current.envoy.asks(CLUSTER, has={"a": cluster("a").version})
    await current.expect.silence()


async def test_rule_23_and_24_after_a_rejection_the_type_is_restored_in_full() -> None:
    talk = in_memory("delta", snapshot(1, listener("l1"), listener("l2")))
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l1", "l2")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2, listener("l2"), listener("bad3"), listener("l4")))
    await talk.expect.sends(LISTENER, "bad3", "l4", removed=("l1",))
    await talk.envoy.nacks(LISTENER, "Error adding/updating listener(s) bad3: no\n")
    await talk.expect.sends(LISTENER, "l2", "l4", removed=("l1",))
    await talk.envoy.acks(LISTENER)
    await talk.expect.silence()


async def test_rule_24_what_a_client_says_it_has_after_a_rejection_is_not_believed() -> None:
    talk = in_memory("delta", snapshot(1, listener("l1")))
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l1")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2, listener("l3"), listener("l4")))
    await talk.expect.sends(LISTENER, "l3", "l4", removed=("l1",))
    await talk.envoy.nacks(LISTENER, "l3: no")
    # It dies before it was restored. Envoy took over l4 and dropped l1, and says that it has l1 and nothing
    # else.
    again = talk.reconnects(snapshot(3, listener("l1")))
    await again.envoy.asks(LISTENER, has={"l1": listener("l1").version})
    await again.expect.sends(LISTENER, "l1", removed=("l4",))
    await again.envoy.acks(LISTENER)
    # From here on it is believed again.
    last = again.reconnects()
    await last.envoy.asks(LISTENER, has={"l1": listener("l1").version})
    await last.expect.silence()


async def test_a_rejection_of_removals_alone_is_not_repeated() -> None:
    talk = in_memory("delta", snapshot(1, listener("l1")))
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l1")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2))
    await talk.expect.sends(LISTENER, removed=("l1",))
    await talk.envoy.nacks(LISTENER, "no")
    await talk.expect.silence()


async def test_a_rejected_name_that_is_asked_for_is_answered_as_not_there() -> None:
    talk = in_memory("delta", snapshot(1, both("a")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.nacks(ENDPOINT, "no")
    await talk.expect.silence()
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, removed=("a",))


async def test_a_stale_rejection_rejects_nothing() -> None:
    talk = in_memory("delta", snapshot(1, both("a")), holds=(holds := Holds()))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.nacks(CLUSTER, "a: no")
    await talk.expect.silence()
    assert holds.rejected(cluster("a")) is None


def _delta_request(type_url: str, node: str = "") -> discovery_pb2.DeltaDiscoveryRequest:
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url)
    if node:
        request.node.id = node
    return request


# --- aliases


def virtual_host(name: str, *aliases: str, domain: str = "a.test") -> Resource:
    message = route_components_pb2.VirtualHost(name=name, domains=[domain])
    return Resource.of(VIRTUAL_HOST, name, message, aliases=aliases)


async def test_rule_39_and_63_who_fetches_virtual_hosts_waits_for_a_removal_and_is_sent_no_host() -> None:
    talk = in_memory("delta", snapshot(1, virtual_host("r/one"), routes("r")))
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    await talk.envoy.asks(VIRTUAL_HOST)
    await talk.expect.sends(VIRTUAL_HOST, removed=("r/*",))
    await talk.envoy.acks(VIRTUAL_HOST)
    await talk.expect.silence()
    # Another route configuration begins to wait when it has come.
    talk.publishes(snapshot(2, virtual_host("r/one"), routes("r"), routes("s")))
    await talk.envoy.asks(ROUTE, "s")
    await talk.expect.sends(ROUTE, "s")
    await talk.envoy.acks(ROUTE)
    await talk.expect.sends(VIRTUAL_HOST, removed=("s/*",))


async def test_rule_47_an_alias_is_answered_with_the_name_and_all_aliases() -> None:
    talk = in_memory("delta", snapshot(1, virtual_host("r/one", "r/a.test", "r/b.test")))
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
    said = await talk.expect.sends(VIRTUAL_HOST, "r/one")
    assert said.aliases == {"r/one": ("r/a.test", "r/b.test")}
    await talk.envoy.acks(VIRTUAL_HOST)
    # By another alias it is asked for anew; who has both is sent a change once.
    await talk.envoy.asks(VIRTUAL_HOST, "r/b.test")
    await talk.expect.sends(VIRTUAL_HOST, "r/one")
    await talk.envoy.acks(VIRTUAL_HOST)
    talk.publishes(snapshot(2, virtual_host("r/one", "r/a.test", "r/b.test", domain="b.test")))
    said = await talk.expect.sends(VIRTUAL_HOST, "r/one")
    assert said.resources["r/one"].domains == ["b.test"]
    await talk.envoy.acks(VIRTUAL_HOST)
    # What is removed is removed by its own name.
    talk.publishes(snapshot(3))
    await talk.expect.sends(VIRTUAL_HOST, removed=("r/one",))
    await talk.envoy.acks(VIRTUAL_HOST)
    assert talk.settled


async def test_rule_47_an_alias_of_nothing_is_answered_without_a_body_and_later_with_one() -> None:
    talk = in_memory("delta", snapshot(1))
    await talk.envoy.asks(VIRTUAL_HOST, "r/z.test")
    said = await talk.expect.sends(VIRTUAL_HOST)
    assert said.missing == {"r/z.test"}
    assert said.aliases == {"r/z.test": ("r/z.test",)}
    await talk.envoy.acks(VIRTUAL_HOST)
    await talk.expect.silence()
    talk.publishes(snapshot(2, virtual_host("r/late", "r/z.test")))
    await talk.expect.sends(VIRTUAL_HOST, "r/late")


async def test_rule_46_and_47_a_reconnecting_client_tells_names_and_asks_by_alias() -> None:
    one = virtual_host("r/one", "r/a.test")
    talk = in_memory("delta", snapshot(1, one))
    await talk.envoy.asks(VIRTUAL_HOST, "r/a.test", has={"r/one": one.version})
    await talk.expect.silence()
    assert talk.settled


async def test_rule_61_and_46_clusters_are_asked_for_by_name_beside_all() -> None:
    talk = in_memory("delta", snapshot(1, both("a", "lazy")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "lazy")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "gone")
    await talk.expect.sends(CLUSTER, removed=("gone",))
    await talk.envoy.acks(CLUSTER)
    again = talk.reconnects()
    has = {name: cluster(name).version for name in ("a", "lazy")}
    await again.envoy.asks(CLUSTER, "*", "lazy", has=has)
    await again.expect.silence()
