"""The holds of nodes and groups outlive streams, are told to whoever keeps them, and can be released."""

from __future__ import annotations

import pytest

from tests.xds.configuration import cluster
from xds import hold_book
from xds.hold_book import HoldBook, NodeHold
from xds.hold_record import HoldRecord
from xds.holds import WITHHELD
from xds.resource import CLUSTER

KEY = (CLUSTER, "a")


class Kept:
    def __init__(self) -> None:
        self.records: list[tuple[str, HoldRecord]] = []

    def keep(self, group: str, record: HoldRecord, /) -> None:
        self.records.append((group, record))


def test_holds_outlive_their_streams() -> None:
    book = HoldBook()
    holds = book.joined("g", "n1", "v")
    assert book.joined("g", "n1", "v") is holds
    book.left("g", "n1")
    assert book.group("g").nodes == {"n1": "v"}
    book.left("g", "n1")
    assert book.group("g").nodes == {}
    assert book.joined("g", "n1", "v") is holds
    # Another group has content of its own.
    assert book.joined("h", "n1", "v") is not holds


def test_a_search_ends_with_the_nodes_last_stream() -> None:
    book = HoldBook()
    one, two = book.joined("g", "n1", "v"), book.joined("g", "n2", "v")
    them = [cluster("a"), cluster("b")]
    one.blame(CLUSTER, [], them, {}, "no")
    assert two.effective(cluster("a")) is WITHHELD
    book.left("g", "n1")
    assert [two.effective(each) for each in them] == them
    assert one.search(CLUSTER) is None


def test_what_changes_is_told_and_kept() -> None:
    told: list[str] = []
    store = Kept()
    book = HoldBook(store, told.append)
    book.joined("g", "n1", "v").reject(cluster("a"), "no", None)
    assert [(group, record.key, record.held) for group, record in store.records] == [
        ("g", KEY, (cluster("a").version,))
    ]
    assert [(group, record.key) for group, record in book.held()] == [("g", KEY)]
    assert told == ["g"]


def test_a_release_reaches_every_node_of_the_group() -> None:
    book = HoldBook()
    nodes = [book.joined("g", name, "v") for name in ("n1", "n2", "n3")]
    for holds in nodes[:2]:
        holds.reject(cluster("a"), "no", None)
    assert [holds.effective(cluster("a")) for holds in nodes] == [WITHHELD] * 3
    book.release("g", KEY)
    assert [holds.effective(cluster("a")) for holds in nodes] == [cluster("a")] * 3


def test_what_another_replica_released_is_released_here() -> None:
    book = HoldBook()
    holds = book.joined("g", "n1", "v")
    holds.reject(cluster("a"), "no", None)
    (record,) = book.group("g").records.values()
    book.learn("g", [record])
    assert holds.effective(cluster("a")) is WITHHELD
    book.learn("g", [])
    assert holds.effective(cluster("a")) == cluster("a")


def test_of_the_nodes_long_gone_the_rejections_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_book, "KEPT_NODES", 2)
    book = HoldBook()
    a, b = book.joined("g", "a", ""), book.joined("g", "b", "")
    # Who comes again counts as new.
    assert book.joined("g", "a", "") is a
    book.joined("g", "c", "")
    assert book.joined("g", "a", "") is a
    assert book.joined("g", "b", "") is not b


def test_what_a_node_is_not_sent_is_listed_and_counted() -> None:
    book = HoldBook()
    one, two = book.joined("g", "n1", "v"), book.joined("g", "n2", "v")
    one.reject(cluster("a"), "no", None)
    two.reject(cluster("a"), "neither", None)
    one.reject(cluster("b"), "b: cannot bind", None)
    assert list(book.at_node("g", "n1")) == [
        NodeHold(KEY, cluster("a").version, "no", for_group=True),
        NodeHold((CLUSTER, "b"), cluster("b").version, "b: cannot bind", for_group=False),
    ]
    assert len(list(book.at_node("g", "n2"))) == 1
    assert book.counts() == {("g", "cluster", True): 1, ("g", "cluster", False): 1}


def test_what_was_taken_back_is_missed_by_nobody() -> None:
    book, wanted = HoldBook(), {cluster("a").version}
    book.wants = lambda group, key, version: (group, key) == ("g", KEY) and version in wanted
    node = book.joined("g", "n1", "v")
    node.reject(cluster("a"), "no", None)
    node.reject(cluster("b"), "b: cannot bind", None)
    assert [hold.key for hold in book.at_node("g", "n1")] == [KEY]
    wanted.clear()
    assert (list(book.at_node("g", "n1")), book.counts()) == ([], {})
    assert [record.key for _, record in book.held()] == [KEY], "it is never sent again"


def test_rule_24_who_rejected_something_at_another_replica_is_not_believed_here() -> None:
    there, here = HoldBook(store := Kept()), HoldBook()
    there.joined("g", "n1", "v").reject(cluster("a"), "no", None)
    here.learn("g", [record for _, record in store.records])
    assert here.joined("g", "n1", "v").distrusted == {CLUSTER: set()}
    assert here.joined("g", "n2", "v").distrusted == {}
    # Once restored it is believed again, and stays so.
    del here.joined("g", "n1", "v").distrusted[CLUSTER]
    assert here.joined("g", "n1", "v").distrusted == {}
