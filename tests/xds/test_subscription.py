"""Who asks for what: the tables of both variants."""

from __future__ import annotations

import pytest

from xds.resource import CLUSTER, ENDPOINT, VIRTUAL_HOST, ResourceType
from xds.subscription import NOTHING, Asked, Subscription, Wildcard

names = frozenset

# Each row is one client's life: (subscribe, unsubscribe) and what it is subscribed to after it.
DELTA_LIVES = [
    (
        CLUSTER,
        [((), (), True, ""), (("a",), (), True, "a"), ((), ("*",), False, "a"), ((), ("a",), False, "")],
    ),
    (
        CLUSTER,
        [(("a",), (), False, "a"), ((), (), False, "a"), (("*",), (), True, "a"), ((), ("a",), True, "")],
    ),
    (CLUSTER, [(("*", "a"), (), True, "a"), (("*",), ("a",), True, ""), ((), ("*",), False, "")]),
    (CLUSTER, [(("",), (), True, "")]),
    (CLUSTER, [(("a",), ("a",), False, "a"), (("*",), ("*",), True, "a")]),
    (ENDPOINT, [((), (), False, ""), (("a", "b"), (), False, "ab"), (("c",), ("a", "z"), False, "bc")]),
    (ENDPOINT, [(("*",), (), True, "")]),
    (VIRTUAL_HOST, [((), (), False, ""), (("a",), (), False, "a")]),
]


@pytest.mark.parametrize(("kind", "life"), DELTA_LIVES)
def test_rules_37_to_39_delta(
    kind: ResourceType, life: list[tuple[tuple[str, ...], tuple[str, ...], bool, str]]
) -> None:
    subscription = Subscription(kind)
    for subscribe, unsubscribe, wildcard, left in life:
        subscription.add_and_drop(subscribe, unsubscribe)
        assert (subscription.wildcard, subscription.names) == (wildcard, set(left))


SOTW_LIVES = [
    (CLUSTER, [((), True, ""), (("*", "a"), True, "a"), (("a",), False, "a"), ((), False, "")]),
    (CLUSTER, [(("a",), False, "a"), ((), False, ""), ((), False, ""), (("*",), True, "")]),
    (CLUSTER, [((), True, ""), ((), True, ""), (("a",), False, "a")]),
    (CLUSTER, [(("a",), False, "a"), (("",), False, "")]),
    (ENDPOINT, [((), False, ""), (("a", "b"), False, "ab"), (("b", "c"), False, "bc")]),
]


@pytest.mark.parametrize(("kind", "life"), SOTW_LIVES)
def test_rule_31_sotw(kind: ResourceType, life: list[tuple[tuple[str, ...], bool, str]]) -> None:
    subscription = Subscription(kind)
    for listed, wildcard, left in life:
        subscription.replace(listed)
        assert (subscription.wildcard, subscription.names) == (wildcard, set(left))


def test_what_a_delta_request_asks_for() -> None:
    subscription = Subscription(CLUSTER)
    assert subscription.add_and_drop(("a", "b"), ()) == Asked(added=names("ab"))
    assert subscription.add_and_drop(("b", "c"), ("a",)) == Asked(names("c"), names("b"), names("a"))
    assert subscription.add_and_drop(("*",), ()) == Asked(wildcard=Wildcard.ADDED)
    assert subscription.add_and_drop(("*", "d"), ()) == Asked(again=names("d"), wildcard=Wildcard.AGAIN)
    # Under the wildcard a dropped name is still in scope.
    assert subscription.add_and_drop((), ("d", "z")) == Asked(again=names("d"))
    assert subscription.add_and_drop((), ("*",)) == Asked(wildcard=Wildcard.DROPPED)
    assert subscription.add_and_drop((), ()) == NOTHING


def test_what_a_sotw_request_asks_for() -> None:
    subscription = Subscription(CLUSTER)
    assert subscription.replace(("a", "b")) == Asked(added=names("ab"))
    assert subscription.replace(("b", "a")) is NOTHING
    assert subscription.replace(("b", "c")) == Asked(added=names("c"), dropped=names("a"))
    assert subscription.replace(("*",)) == Asked(wildcard=Wildcard.ADDED)
    assert subscription.replace(("*", "d")) == Asked(again=names("d"))
    assert subscription.replace(("d",)) == Asked(wildcard=Wildcard.DROPPED)
    assert subscription.replace(()) == Asked(dropped=names("d"))


def test_names_in_scope() -> None:
    subscription = Subscription(ENDPOINT)
    subscription.add_and_drop(("a", "b"), ())
    assert "a" in subscription
    assert "c" not in subscription
    assert set(subscription.among(("b", "c"))) == {"b"}
    assert set(subscription.among(("b", "c", "d", "e"))) == {"b"}
    subscription.add_and_drop(("*",), ())
    assert "c" in subscription
    assert tuple(subscription.among(("b", "c"))) == ("b", "c")
