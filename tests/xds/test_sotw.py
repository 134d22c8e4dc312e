"""The SotW variant, rule by rule: numbers are those of the protocol rules in `docs/protocol.md`."""

from __future__ import annotations

import pytest

from tests.conversation import MemoryTalk, in_memory
from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SECRET,
    Resource,
    ResourceType,
)
from xds.snapshot import Snapshot
from xds.wire import ProtocolError, Status


async def test_rule_3_a_request_on_an_aggregated_stream_names_its_type() -> None:
    talk = in_memory("sotw", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    implied = in_memory("sotw", snapshot(1, both("a")), only=CLUSTER)
    await implied.envoy.asks(CLUSTER)
    await implied.expect.sends(CLUSTER, "a")
    await implied.envoy.asks(LISTENER)
    assert isinstance(implied.line.problem, ProtocolError)
    assert implied.line.problem.status is Status.INVALID_ARGUMENT


async def test_rule_16_an_acknowledgement_is_not_answered() -> None:
    talk = in_memory("sotw", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_rule_17_a_stale_request_is_not_answered() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    await talk.envoy.asks(ENDPOINT, "a")
    first = await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, both("a", "b", port=81)))
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.asks(ENDPOINT, "a", "b", nonce=first.nonce)
    await talk.expect.silence()
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(ENDPOINT, "b")


async def test_an_acknowledgement_under_the_wrong_type_is_one_of_what_its_nonce_says() -> None:
    talk = in_memory("sotw", snapshot(1, both("a"), routes("r")))
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    await talk.envoy.asks(ENDPOINT, "a")
    endpoints_sent = await talk.expect.sends(ENDPOINT, "a")
    talk.publishes(snapshot(2, both("a"), routes("r", "a")))
    # Routes come after endpoints, of which nobody knows yet whether they arrived.
    await talk.expect.silence()
    await talk.envoy.asks(ROUTE, "other", nonce=endpoints_sent.nonce)
    # They did; which names went with it is a matter of the other type.
    await talk.expect.sends(ROUTE, "r")


async def test_a_version_that_has_a_name_is_shown_by_it_and_proves_nothing() -> None:
    named = Snapshot.of(7, [*both("a"), listener("l")], {CLUSTER: "blue"})
    talk = in_memory("sotw", named)
    await talk.envoy.asks(CLUSTER)
    assert (await talk.expect.sends(CLUSTER, "a")).version == "blue"
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(LISTENER)
    assert (await talk.expect.sends(LISTENER, "l")).version.startswith("7.")
    again = talk.reconnects()
    await again.envoy.asks(CLUSTER, version="blue")
    await again.expect.sends(CLUSTER, "a")


async def test_rule_19_a_newer_request_supersedes_an_older_one() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    await talk.envoy.asks(ENDPOINT, "a", nonce="")
    await talk.envoy.asks(ENDPOINT, "b", nonce="")
    await talk.expect.sends(ENDPOINT, "b")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()


@pytest.mark.parametrize("kind", [CLUSTER, ENDPOINT], ids=str)
async def test_rule_20_a_client_that_is_current_is_told_nothing_by_any_replica(kind: ResourceType) -> None:
    names = ("a", "b") if kind is ENDPOINT else ()
    one = in_memory("sotw", snapshot(1, both("a", "b")), only=kind)
    await one.envoy.asks(kind, *names)
    said = await one.expect.sends(kind, "a", "b")
    other = in_memory("sotw", snapshot(9, both("b", "a")), only=kind)
    await other.envoy.asks(kind, *names, version=said.version)
    await other.expect.silence()
    assert other.settled
    changed = in_memory("sotw", snapshot(10, both("a", seconds=2, port=81), both("b")), only=kind)
    await changed.envoy.asks(kind, *names, version=said.version)
    await changed.expect.sends(kind, "a", "b")


async def test_rule_20_a_version_covers_the_names_that_were_asked_for() -> None:
    one = in_memory("sotw", snapshot(1, both("a", "b")))
    await one.envoy.asks(ENDPOINT, "a")
    said = await one.expect.sends(ENDPOINT, "a")
    other = in_memory("sotw", snapshot(1, both("a", "b")))
    await other.envoy.asks(ENDPOINT, "a", "b", version=said.version)
    await other.expect.sends(ENDPOINT, "a", "b")


async def test_rule_20_and_33_a_version_covers_what_earlier_responses_brought() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")), only=ENDPOINT)
    await talk.envoy.asks(ENDPOINT, "a", "b")
    await talk.expect.sends(ENDPOINT, "a", "b")
    await talk.envoy.acks(ENDPOINT)
    talk.publishes(snapshot(2, both("a"), both("b", port=81)))
    said = await talk.expect.sends(ENDPOINT, "b")
    other = in_memory("sotw", snapshot(2, both("a"), both("b", port=81)), only=ENDPOINT)
    await other.envoy.asks(ENDPOINT, "a", "b", version=said.version)
    await other.expect.silence()


async def test_rule_30_a_name_asked_for_again_is_sent_again() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    for names, due in ((("a",), "a"), (("a", "b"), "b"), (("a",), ""), (("a", "b"), "b")):
        await talk.envoy.asks(ENDPOINT, *names)
        if due:
            await talk.expect.sends(ENDPOINT, due)
            await talk.envoy.acks(ENDPOINT)
        await talk.expect.silence()


async def test_rule_31_wildcards() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "*", "a")
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    # The wildcard is given up; there is nothing to say.
    await talk.envoy.asks(CLUSTER, "a")
    await talk.expect.silence()
    talk.publishes(snapshot(2, both("a", "b", seconds=2)))
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    # No names after some were named: nothing, and no wildcard.
    await talk.envoy.asks(CLUSTER)
    talk.publishes(snapshot(3, both("a", "b", seconds=3)))
    await talk.expect.silence()


async def test_a_list_of_one_empty_string_is_a_list_of_nothing() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER, "a")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(CLUSTER, "")
    talk.publishes(snapshot(2, both("a", "b", seconds=2)))
    await talk.expect.silence()


@pytest.mark.parametrize("kind", [ENDPOINT, ROUTE, SECRET, RUNTIME, EXTENSION_CONFIG], ids=str)
async def test_rule_39_no_names_means_everything_for_few_types_only(kind: ResourceType) -> None:
    talk = in_memory("sotw", snapshot(1, Resource.of(kind, "a", b"")))
    await talk.envoy.asks(kind)
    await talk.expect.silence()


async def test_rule_32_clusters_and_listeners_are_sent_in_full() -> None:
    talk = in_memory("sotw", snapshot(1, listener("l1"), listener("l2")))
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l1", "l2")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2, listener("l1", detail="x"), listener("l2")))
    await talk.expect.sends(LISTENER, "l1", "l2")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(3, listener("l2")))
    await talk.expect.sends(LISTENER, "l2")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(4))
    await talk.expect.sends(LISTENER)


async def test_rule_32_a_subset_is_sent_in_full_too() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b", "c")))
    await talk.envoy.asks(CLUSTER, "a", "b", "z")
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", seconds=2), both("b", "c")))
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    # Rule 34: what was missing is sent once it is there.
    talk.publishes(snapshot(3, both("a", seconds=2), both("b", "c", "z")))
    await talk.expect.sends(CLUSTER, "a", "b", "z")


async def test_rule_33_other_types_are_sent_by_what_changed() -> None:
    talk = in_memory("sotw", snapshot(1, routes("r1"), routes("r2")))
    await talk.envoy.asks(ROUTE, "r1", "r2")
    await talk.expect.sends(ROUTE, "r1", "r2")
    await talk.envoy.acks(ROUTE)
    talk.publishes(snapshot(2, routes("r1", "a"), routes("r2"), both("a")))
    await talk.expect.sends(ROUTE, "r1")
    await talk.envoy.acks(ROUTE)
    talk.publishes(snapshot(3, routes("r2")))
    # That r1 is gone is told by the listener that no longer names it.
    await talk.expect.silence()
    assert talk.settled


@pytest.mark.parametrize("kind", [ENDPOINT, ROUTE, RUNTIME], ids=str)
async def test_rule_34_what_can_be_said_of_missing_names_is_that_they_are_empty(kind: ResourceType) -> None:
    talk = in_memory("sotw", snapshot(1))
    await talk.envoy.asks(kind, "z")
    said = await talk.expect.sends(kind, "z")
    assert said.resources["z"].ByteSize() == 3
    await talk.envoy.acks(kind)
    await talk.expect.silence()
    again = talk.reconnects()
    await again.envoy.asks(kind, "z", version=said.version)
    await again.expect.silence()
    again.publishes(snapshot(2, Resource.of(kind, "z", b"\n\x01z")))
    await again.expect.sends(kind, "z")


@pytest.mark.parametrize("kind", [SECRET, EXTENSION_CONFIG], ids=str)
async def test_rule_34_of_other_missing_names_nothing_is_said(kind: ResourceType) -> None:
    talk = in_memory("sotw", snapshot(1))
    await talk.envoy.asks(kind, "z")
    await talk.expect.silence()
    talk.publishes(snapshot(2, Resource.of(kind, "z", b"\n\x01z")))
    await talk.expect.sends(kind, "z")


async def test_rule_34_a_client_that_may_still_have_a_missing_name_keeps_it() -> None:
    talk = in_memory("sotw", snapshot(2, routes("r1")))
    await talk.envoy.asks(ROUTE, "r1", "r2", version="1.of-both")
    await talk.expect.sends(ROUTE, "r1")


async def test_a_runtime_layer_that_goes_is_cleared() -> None:
    talk = in_memory("sotw", snapshot(1, Resource.of(RUNTIME, "z", b"\n\x01z\x12\x00")))
    await talk.envoy.asks(RUNTIME, "z")
    await talk.expect.sends(RUNTIME, "z")
    await talk.envoy.acks(RUNTIME)
    talk.publishes(snapshot(2))
    said = await talk.expect.sends(RUNTIME, "z")
    assert said.resources["z"].ByteSize() == 3


async def test_rule_35_dropped_names_are_not_updated_any_more() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b", "c")))
    await talk.envoy.asks(ENDPOINT, "a", "b", "c")
    await talk.expect.sends(ENDPOINT, "a", "b", "c")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.drops(ENDPOINT, "b", "c")
    await talk.expect.silence()
    talk.publishes(snapshot(2, both("a", "b", "c", port=81)))
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.drops(ENDPOINT, "a")
    talk.publishes(snapshot(3, both("a", "b", "c", port=82)))
    await talk.expect.silence()


async def test_rule_36_a_warming_cluster_asks_for_its_endpoints_with_the_nonce_it_has() -> None:
    talk = in_memory("sotw", snapshot(1, both("a")), only=ENDPOINT)
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    # The clusters are on a stream of their own; the repeated request is all that tells.
    talk.publishes(snapshot(2, cluster("a", seconds=2), endpoints("a")))
    await talk.expect.silence()
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    # Once per change: a client that repeats itself does not start a loop.
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()


# --- rejections


async def test_rule_22_and_25_the_culprit_is_held_and_the_rest_is_restored_in_full() -> None:
    talk = in_memory("sotw", snapshot(1, both("a", "b")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", "b", seconds=2), both("bad")))
    await talk.expect.sends(CLUSTER, "a", "b", "bad")
    await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no, b: neither")
    said = await talk.expect.sends(CLUSTER, "a", "b")
    # The rejected version is not sent; the last good one stands in for it, for to leave it out is to delete
    # it.
    assert said.resources["a"].connect_timeout.seconds == 2
    assert said.resources["b"].connect_timeout.seconds == 1
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert not talk.settled
    # It stands in whenever the rest changes, and on another stream of this node.
    talk.publishes(snapshot(3, both("a", seconds=3), both("b", seconds=2), both("bad")))
    said = await talk.expect.sends(CLUSTER, "a", "b")
    assert said.resources["b"].connect_timeout.seconds == 1
    await talk.envoy.acks(CLUSTER)
    again = talk.reconnects()
    await again.envoy.asks(CLUSTER, version=said.version)
    await again.expect.silence()
    again.publishes(snapshot(4, both("a", "b", "bad", seconds=4)))
    await again.expect.sends(CLUSTER, "a", "b", "bad")


async def test_rule_24_after_a_rejection_the_version_is_not_believed() -> None:
    talk = in_memory("sotw", snapshot(1, listener("l1")))
    await talk.envoy.asks(LISTENER)
    first = await talk.expect.sends(LISTENER, "l1")
    await talk.envoy.acks(LISTENER)
    talk.publishes(snapshot(2, listener("l3"), listener("l4")))
    await talk.expect.sends(LISTENER, "l3", "l4")
    await talk.envoy.nacks(LISTENER, "l3: no")
    again = talk.reconnects(snapshot(3, listener("l1")))
    await again.envoy.asks(LISTENER, version=first.version)
    await again.expect.sends(LISTENER, "l1")


async def test_rule_25_where_a_message_names_nobody_the_culprit_is_searched_for() -> None:
    talk = in_memory("sotw", snapshot(1, both("a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    talk.publishes(snapshot(2, both("a", seconds=2), both("b")))
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.nacks(CLUSTER, "no")
    said = await talk.expect.sends(CLUSTER, "a")
    assert said.resources["a"].connect_timeout.seconds == 2
    await talk.envoy.acks(CLUSTER)
    # So it is the other one.
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    talk.publishes(snapshot(3, both("a", seconds=2), both("b", seconds=3)))
    await talk.expect.sends(CLUSTER, "a", "b")


# --- make before break, in full-state responses


async def test_rule_53_a_cluster_stays_listed_until_nobody_names_it_any_more() -> None:
    talk = await _running(snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a", "b")))
    talk.publishes(snapshot(2, both("a", "c"), listener("l", "r"), routes("r", "a", "c")))
    # The new cluster comes, and the old one stays.
    await talk.expect.sends(CLUSTER, "a", "b", "c")
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(ROUTE, "r")
    talk.passes(10.0)
    await talk.expect.silence()
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()
    assert talk.line.stream.due() == 1011.0
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, "a", "c")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_a_listener_that_has_to_wait_stays_listed_as_it_was() -> None:
    talk = await _running(snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a", "b"), listener("l", "r", "new"), listener("m"), routes("r", "a")))
    await talk.expect.sends(CLUSTER, "a", "b")
    # Listeners wait for the clusters as one: no response of theirs leaves meanwhile.
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    said = await talk.expect.sends(LISTENER, "l", "m")
    assert said.resources["l"].stat_prefix == "new"


async def _running(first: Snapshot) -> MemoryTalk:
    """Start with a client that has acknowledged all of a snapshot of every type."""
    talk = in_memory("sotw", first)
    asked = {CLUSTER: (), ENDPOINT: tuple(first.of_type(ENDPOINT)), LISTENER: (), ROUTE: ("r",)}
    for kind, names in asked.items():
        await talk.envoy.asks(kind, *names)
        await talk.expect.sends(kind, *first.of_type(kind))
        await talk.envoy.acks(kind)
    await talk.expect.silence()
    assert talk.settled
    return talk
