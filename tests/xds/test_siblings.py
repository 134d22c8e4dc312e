"""What waits anew on one stream of a node is sent on another."""

from __future__ import annotations

from collections.abc import Sequence

from tests.xds.test_ledger import COMPOSER, ledger_of
from xds.in_flight import InFlight
from xds.resource import CLUSTER, ENDPOINT, SECRET, Reference
from xds.siblings import Siblings, children_elsewhere


class Listening:
    def __init__(self) -> None:
        self.heard: list[Reference] = []

    def follow(self, children: Sequence[Reference]) -> None:
        self.heard += children


def test_all_others_follow_while_they_are_open() -> None:
    parent, child, gone = Listening(), Listening(), Listening()
    family = Siblings()
    for one in (parent, child, gone):
        assert family.has_others == (one is gone)
        family.join(one)
    assert family.count == 3
    family.leave(gone)
    family.leave(gone)
    assert family.count == 2
    family.follow(parent, [(ENDPOINT, "a")])
    assert (parent.heard, child.heard, gone.heard) == ([], [(ENDPOINT, "a")], [])


def test_children_are_elsewhere_if_their_type_is_not_on_the_stream() -> None:
    clusters = ledger_of(CLUSTER)
    response = COMPOSER.delta(CLUSTER, "1", [])
    clusters.sent(InFlight(response, {}, children=((ENDPOINT, "a"), (SECRET, "s"))))
    assert children_elsewhere({CLUSTER: clusters}, [response]) == ((ENDPOINT, "a"), (SECRET, "s"))
    assert children_elsewhere({CLUSTER: clusters, ENDPOINT: ledger_of(ENDPOINT)}, [response]) == (
        (SECRET, "s"),
    )
    assert children_elsewhere({CLUSTER: clusters}, []) == ()
