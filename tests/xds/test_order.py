"""The table of make before break says what the protocol's authors say."""

from __future__ import annotations

from xds.order import ORDER
from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SECRET,
    TYPES,
    VIRTUAL_HOST,
)

STEPS = {step.type: step for step in ORDER}
PLACES = {step.type: place for place, step in enumerate(ORDER)}


def test_every_type_takes_its_turn_once() -> None:
    assert len(ORDER) == len(STEPS)
    assert set(STEPS) == set(TYPES)


def test_rule_49_clusters_endpoints_listeners_routes_virtual_hosts() -> None:
    order = [CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST]
    assert sorted(order, key=PLACES.__getitem__) == order
    assert PLACES[RUNTIME] == 0


def test_rule_49_who_names_clusters_waits_for_them_and_their_endpoints() -> None:
    waiting = {step.type for step in ORDER if step.after}
    assert waiting >= {LISTENER, ROUTE, VIRTUAL_HOST, EXTENSION_CONFIG}
    assert all(STEPS[kind].after == (CLUSTER, ENDPOINT) for kind in waiting)


def test_rule_26_what_clusters_wait_for_waits_for_nobody() -> None:
    # Envoy acknowledges clusters when their endpoints and secrets have come: to wait for that would be for
    # ever.
    assert all(STEPS[kind].after == () for kind in (CLUSTER, ENDPOINT, SECRET, RUNTIME))


def test_rule_53_what_is_waited_for_is_removed_after_those_who_wait() -> None:
    for step in ORDER:
        for earlier in step.after:
            assert step.type in STEPS[earlier].removed_after or earlier is ENDPOINT
    assert STEPS[ENDPOINT].removed_after == (CLUSTER,)
    assert STEPS[CLUSTER].removal_grace


def test_rule_51_and_52_parents_and_children() -> None:
    assert {step.type: step.followed_by for step in ORDER if step.followed_by} == {
        CLUSTER: (ENDPOINT,),
        LISTENER: (ROUTE,),
    }
    for step in ORDER:
        assert all(PLACES[child] > PLACES[step.type] for child in step.followed_by)


def test_rule_54_a_change_of_endpoints_blocks_nobody() -> None:
    assert not STEPS[ENDPOINT].updates_block
    assert STEPS[CLUSTER].updates_block
