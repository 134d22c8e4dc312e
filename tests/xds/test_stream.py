"""What both variants share: the order between types, children that follow parents, removals that wait."""

from __future__ import annotations

import pytest

from pb.envoy.config.route.v3 import scoped_route_pb2
from tests.conversation import MemoryTalk, Said, Variant, in_memory
from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from xds.client_status import Standing, statuses
from xds.relations import WARMING_SECONDS
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, SECRET, Resource, ResourceType
from xds.snapshot import Snapshot

each_variant = pytest.mark.parametrize("variant", ["delta", "sotw"])


@each_variant
async def test_rule_6_49_and_51_a_fresh_client_is_served_as_it_asks(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    # Envoy acknowledges the cluster only once its endpoints have come.
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(LISTENER)
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()
    assert talk.settled


@each_variant
async def test_rule_6_who_comes_back_while_a_cluster_warms_asks_for_endpoints_first(variant: Variant) -> None:
    first = await _running(variant, snapshot(1, both("a", "b")))
    clusters, endpoint_sets = first.last[CLUSTER], first.last[ENDPOINT]
    again = in_memory(variant, snapshot(1, both("a", "b")))
    await again.envoy.asks(ENDPOINT, "a", "b", has=endpoint_sets.versions, version=endpoint_sets.version)
    # They are current, and waited for all the same: Envoy would go on after 15 s only.
    await again.expect.sends(ENDPOINT, "a", "b")
    await again.envoy.acks(ENDPOINT)
    await again.envoy.asks(CLUSTER, has=clusters.versions, version=clusters.version)
    await again.expect.silence()
    assert again.settled


@each_variant
async def test_rule_6_and_49_routes_wait_for_clusters_that_are_asked_for_last(variant: Variant) -> None:
    old, new = await _comes_warming(variant)
    await new.envoy.asks(ENDPOINT, "a", has=old[ENDPOINT].versions, version=old[ENDPOINT].version)
    await new.expect.sends(ENDPOINT, "a")
    await new.envoy.asks(LISTENER, has=old[LISTENER].versions, version=old[LISTENER].version)
    await new.envoy.asks(ROUTE, "r", has=old[ROUTE].versions, version=old[ROUTE].version)
    await new.envoy.acks(ENDPOINT)
    new.passes(WARMING_SECONDS - 1)
    await new.expect.silence()
    await new.envoy.asks(CLUSTER, has=old[CLUSTER].versions, version=old[CLUSTER].version)
    await new.expect.sends(CLUSTER, *(("b",) if variant == "delta" else ("a", "b")))
    if variant == "sotw":
        # Which of the clusters is new to it nobody knows.
        await new.expect.sends(ENDPOINT, "a")
        await new.envoy.acks(ENDPOINT)
    await _asks_more(new, ENDPOINT, "a", "b")
    await new.expect.sends(ENDPOINT, "b")
    await new.envoy.acks(ENDPOINT)
    await new.expect.silence()
    await new.envoy.acks(CLUSTER)
    await new.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_6_who_never_asks_for_clusters_waits_no_longer_than_envoy_warms_them(
    variant: Variant,
) -> None:
    old, new = await _comes_warming(variant)
    await new.envoy.asks(ENDPOINT, "a", has=old[ENDPOINT].versions, version=old[ENDPOINT].version)
    await new.expect.sends(ENDPOINT, "a")
    await new.envoy.acks(ENDPOINT)
    await new.envoy.asks(ROUTE, "r", has=old[ROUTE].versions, version=old[ROUTE].version)
    await new.expect.silence()
    assert new.line.stream.due() is not None
    new.passes(WARMING_SECONDS)
    await new.expect.sends(ROUTE, "r")
    await new.envoy.acks(ROUTE)
    assert new.line.stream.due() is None


@each_variant
async def test_rule_6_who_begins_without_asking_for_clusters_does_not_wait(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    # Its own clusters are ready, so it asks for listeners before it acknowledges what made them so.
    await talk.envoy.asks(LISTENER)
    await talk.expect.silence()
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_6_where_there_are_no_clusters_nobody_waits_for_them(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, endpoints("a"), listener("l", "r"), routes("r")))
    await talk.envoy.asks(ENDPOINT, "a", has={"a": "0"}, version="0.0")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l")


@each_variant
async def test_rule_6_who_left_clusters_unanswered_is_known_to_ask_for_them(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a", "b"), listener("l", "r"), routes("r", "a")))
    await talk.expect.sends(CLUSTER, *(("b",) if variant == "delta" else ("a", "b")))
    old, again = talk.last, talk.reconnects()
    again.publishes(snapshot(3, both("a", "b"), listener("l", "r"), routes("r", "b")))
    await again.envoy.asks(ROUTE, "r", has=old[ROUTE].versions, version=old[ROUTE].version)
    await again.expect.silence()
    await again.envoy.asks(CLUSTER, has={"a": cluster("a").version}, version=old[CLUSTER].version)
    await again.expect.sends(CLUSTER, *(("b",) if variant == "delta" else ("a", "b")))
    await again.expect.silence()
    await again.envoy.acks(CLUSTER)
    await again.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_49_what_names_clusters_waits_for_them(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a", "b"), listener("l", "r", "new"), routes("r", "a", "b")))
    await talk.expect.sends(CLUSTER, *(("b",) if variant == "delta" else ("a", "b")))
    await talk.expect.silence()
    await _asks_more(talk, ENDPOINT, "a", "b")
    # The endpoints are what the clusters wait for: they wait for nobody.
    await talk.expect.sends(ENDPOINT, "b")
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(LISTENER, "l")
    await talk.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_54_a_change_of_endpoints_alone_holds_nobody_up(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a", "b", port=81), listener("l", "r", "new"), routes("r", "a")))
    await talk.expect.sends(ENDPOINT, "a", "b")
    await talk.expect.sends(LISTENER, "l")


@each_variant
async def test_rule_9_only_types_that_were_asked_for_are_waited_for(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, both("a"), routes("r", "a")))
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    talk.publishes(snapshot(2, both("a", "b"), routes("r", "a", "b")))
    await talk.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_51_endpoints_follow_their_changed_cluster(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a", "b")))
    talk.publishes(snapshot(2, cluster("a", seconds=2), endpoints("a"), both("b")))
    await talk.expect.sends(CLUSTER, *(("a",) if variant == "delta" else ("a", "b")))
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


@each_variant
async def test_rule_51_also_while_endpoints_are_on_their_way(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a")))
    talk.publishes(snapshot(2, both("a", port=81)))
    await talk.expect.sends(ENDPOINT, "a")
    talk.publishes(snapshot(3, both("a", seconds=2, port=81)))
    await talk.expect.sends(CLUSTER, "a")
    await talk.expect.silence()
    # This acknowledgement may come from before the cluster began to warm.
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.sends(ENDPOINT, "a")


@each_variant
async def test_rule_51_also_when_endpoints_are_asked_for_after_the_cluster_left(variant: Variant) -> None:
    first = await _running(variant, snapshot(1, both("a", "b")))
    clusters, endpoint_sets = first.last[CLUSTER], first.last[ENDPOINT]
    again = in_memory(variant, snapshot(2, cluster("a", seconds=2), endpoints("a"), both("b")))
    await again.envoy.asks(CLUSTER, has=clusters.versions, version=clusters.version)
    await again.expect.sends(CLUSTER, *(("a",) if variant == "delta" else ("a", "b")))
    await again.envoy.asks(ENDPOINT, "a", "b", has=endpoint_sets.versions, version=endpoint_sets.version)
    # Its endpoints are current, and it waits for them all the same. In SotW nobody knows which clusters
    # changed.
    await again.expect.sends(ENDPOINT, *(("a",) if variant == "delta" else ("a", "b")))
    await again.envoy.acks(ENDPOINT)
    await again.envoy.acks(CLUSTER)
    await again.expect.silence()


@each_variant
async def test_rule_52_routes_follow_their_changed_listener(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a"), listener("l", "r", "new"), routes("r", "a")))
    await talk.expect.sends(LISTENER, "l")
    await talk.expect.sends(ROUTE, "r")


async def test_rule_53_a_cluster_goes_when_nobody_names_it_any_more_and_then_some() -> None:
    talk = await _running("delta", snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a", "b")))
    talk.publishes(snapshot(2, both("a"), listener("l", "r"), routes("r", "a")))
    await talk.expect.sends(ROUTE, "r")
    talk.passes(60.0)
    # Not acknowledged yet: for all that we know the client still routes to b.
    await talk.expect.silence()
    assert talk.line.stream.due() is None
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()
    assert talk.line.stream.due() == 1061.0
    assert not talk.settled
    talk.passes(0.9)
    await talk.expect.silence()
    talk.passes(0.1)
    await talk.expect.sends(CLUSTER, removed=("b",))
    # Envoy drops the endpoints before it acknowledges.
    await talk.envoy.drops(ENDPOINT, "b")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_rule_53_a_cluster_that_comes_back_during_the_grace_is_not_removed() -> None:
    talk = await _running("delta", snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a"), listener("l", "r"), routes("r", "a")))
    await talk.expect.silence()
    talk.publishes(snapshot(3, both("a", "b"), listener("l", "r"), routes("r", "a")))
    talk.passes(60.0)
    await talk.expect.silence()
    assert talk.settled
    assert talk.line.stream.due() is None


async def test_rule_53_a_removed_route_configuration_names_clusters_until_it_is_dropped() -> None:
    talk = await _running("delta", snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "b")))
    talk.publishes(snapshot(2, both("a")))
    await talk.expect.sends(LISTENER, removed=("l",))
    await talk.expect.silence()
    await talk.envoy.acks(LISTENER)
    await talk.expect.sends(ROUTE, removed=("r",))
    await talk.envoy.acks(ROUTE)
    talk.passes(60.0)
    # The listener drains, and routes all the while; Envoy keeps its routes and drops the name at the end.
    await talk.expect.silence()
    await talk.envoy.drops(ROUTE, "r")
    await talk.expect.silence()
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, removed=("b",))


async def test_rule_48_endpoints_are_dropped_before_the_removal_of_their_cluster_is_acknowledged() -> None:
    talk = await _running("delta", snapshot(1, both("a", "b")))
    talk.publishes(snapshot(2, both("a")))
    await talk.expect.silence()
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, removed=("b",))
    await talk.envoy.drops(ENDPOINT, "b")
    await talk.expect.silence()
    # Nobody misses what was dropped: of b there is nothing but the removal that is under way.
    assert [
        (one.type, one.name) for one in statuses(talk.line.stream) if one.standing is not Standing.SYNCED
    ] == [(CLUSTER, "b")]
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    assert talk.settled


async def test_rule_53_endpoints_go_after_their_cluster() -> None:
    talk = await _running("delta", snapshot(1, both("a", "b")))
    talk.publishes(snapshot(2, both("a")))
    await talk.expect.silence()
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, removed=("b",))
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(ENDPOINT, removed=("b",))


async def test_rule_53_a_rejected_listener_keeps_what_its_last_good_version_names() -> None:
    inline = Resource.of(LISTENER, "l", b"\n\x01l", [(CLUSTER, "b")])
    changed = Resource.of(LISTENER, "l", b"\n\x01l\x18\x00", [(CLUSTER, "a")])
    talk = await _running("delta", snapshot(1, both("a", "b"), inline))
    talk.publishes(snapshot(2, both("a"), changed))
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.nacks(LISTENER, "l: no")
    talk.passes(60.0)
    await talk.expect.silence()
    talk.publishes(snapshot(3, both("a"), Resource.of(LISTENER, "l", b"\n\x01l\x18\x01", [(CLUSTER, "a")])))
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.acks(LISTENER)
    await talk.expect.silence()
    talk.passes(1.0)
    await talk.expect.sends(CLUSTER, removed=("b",))


@each_variant
async def test_rule_56_nothing_is_sent_that_names_what_was_rejected(variant: Variant) -> None:
    talk = await _running(
        variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a"), routes("s", "a")), "r", "s"
    )
    talk.publishes(
        snapshot(2, both("a", "bad", "c"), listener("l", "r"), routes("r", "a", "bad"), routes("s", "a", "c"))
    )
    everything = () if variant == "delta" else ("a",)
    await talk.expect.sends(CLUSTER, *everything, "bad", "c")
    await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no")
    await talk.expect.sends(CLUSTER, "a", "c")
    await talk.envoy.acks(CLUSTER)
    # s names what is there; r, which names the rejected cluster, waits until there is one.
    await talk.expect.sends(ROUTE, "s")
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()
    talk.publishes(
        snapshot(
            3,
            both("a", "c"),
            cluster("bad", seconds=5),
            endpoints("bad"),
            listener("l", "r"),
            routes("r", "a", "bad"),
            routes("s", "a", "c"),
        )
    )
    await talk.expect.sends(CLUSTER, *(("bad",) if variant == "delta" else ("a", "bad", "c")))
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(ROUTE, "r")


@each_variant
async def test_rule_26_no_answer_means_nothing_however_long_it_takes(variant: Variant) -> None:
    talk = await _running(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    talk.publishes(snapshot(2, both("a", "b"), listener("l", "r", "new"), routes("r", "a", "b")))
    await talk.expect.sends(CLUSTER, *(("b",) if variant == "delta" else ("a", "b")))
    # Envoy may warm for 15 s before it says no: until it has said yes, nothing that names it is sent.
    talk.passes(60.0)
    await talk.expect.silence()
    assert not talk.settled
    await talk.envoy.nacks(CLUSTER, "b: no good")
    said = await talk.hear()
    while said is not None:
        assert said.type is not ROUTE
        talk.last[said.type] = said
        await talk.envoy.acks(said.type)
        said = await talk.hear()


async def test_secrets_wait_for_nobody() -> None:
    talk = in_memory("delta", snapshot(1, both("a"), Resource.of(SECRET, "s", b"\n\x01s")))
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.asks(SECRET, "s")
    await talk.expect.sends(SECRET, "s")


@each_variant
async def test_rule_64_scopes_wait_for_their_clusters_and_keep_their_routes(variant: Variant) -> None:
    def scope(name: str, route: str) -> Resource:
        message = scoped_route_pb2.ScopedRouteConfiguration(name=name, route_configuration_name=route)
        return Resource.of(SCOPED_ROUTE, name, message, [(ROUTE, route)])

    talk = in_memory(variant, snapshot(1, both("a"), scope("s", "r"), routes("r", "a")))
    # All scopes are wanted by who names none.
    await talk.envoy.asks(SCOPED_ROUTE)
    await talk.expect.sends(SCOPED_ROUTE, "s")
    await talk.envoy.acks(SCOPED_ROUTE)
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    talk.publishes(snapshot(2, both("a"), scope("s", "q"), routes("q", "a")))
    await talk.expect.sends(SCOPED_ROUTE, "s")
    # The scope names r until it is acknowledged, so r stays for as long.
    await talk.expect.silence()
    await talk.envoy.acks(SCOPED_ROUTE)
    if variant == "delta":
        await talk.expect.sends(ROUTE, removed=("r",))
    await talk.expect.silence()


async def test_a_push_costs_what_it_changes_not_what_there_is() -> None:
    names = [f"c{number}" for number in range(500)]
    first = snapshot(1, both(*names))
    talk = await _running("delta", first)
    changed = endpoints("c7", port=81)
    resources = {**first.resources, ENDPOINT: {**first.of_type(ENDPOINT), "c7": changed}}
    talk.publishes(Snapshot(2, resources))
    # All that is open is the one name; a client that is in sync has nothing to look through.
    opened = {kind: len(ledger.behind) for kind, ledger in talk.line.stream.ledgers.items()}
    assert opened == {CLUSTER: 0, ENDPOINT: 1}
    await talk.expect.sends(ENDPOINT, "c7")


async def _running(variant: Variant, first: Snapshot, *route_names: str) -> MemoryTalk:
    """Start with a client that has acknowledged all of a snapshot of every type."""
    talk = in_memory(variant, first)
    wanted_routes = route_names or tuple(first.of_type(ROUTE))
    asked: dict[ResourceType, tuple[str, ...]] = {
        CLUSTER: (),
        ENDPOINT: tuple(first.of_type(ENDPOINT)),
        LISTENER: (),
        ROUTE: wanted_routes,
    }
    for kind, names in asked.items():
        if first.of_type(kind):
            await talk.envoy.asks(kind, *names)
            await talk.expect.sends(kind, *first.of_type(kind))
            await talk.envoy.acks(kind)
    await talk.expect.silence()
    assert talk.settled
    return talk


async def _comes_warming(variant: Variant) -> tuple[dict[ResourceType, Said], MemoryTalk]:
    """Return what a client has, and its stream to a replica that has a route to a new cluster."""
    first = await _running(variant, snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    new = in_memory(variant, snapshot(2, both("a", "b"), listener("l", "r"), routes("r", "b")))
    return first.last, new


async def _asks_more(talk: MemoryTalk, kind: ResourceType, *names: str) -> None:
    """Ask for all these names, of which the first were asked for before."""
    await talk.envoy.asks(kind, *(names if talk.variant == "sotw" else names[-1:]))
