"""Several nodes of a group and one bad resource: who is sent what, and how often anybody has to say no."""

from __future__ import annotations

from math import ceil, log2

import pytest

from tests.conversation import MemoryTalk, Said, Variant, in_memory
from tests.xds.configuration import both, cluster, snapshot
from xds.hold_book import HoldBook
from xds.resource import CLUSTER, Resource
from xds.snapshot import Snapshot

each_variant = pytest.mark.parametrize("variant", ["delta", "sotw"])


class Node:
    """A node that rejects what it finds bad, naming it or not, and counts how often."""

    def __init__(self, book: HoldBook, variant: Variant, name: str, first: Snapshot, version: str) -> None:
        self.talk: MemoryTalk = in_memory(variant, first, holds=book.joined("g", name, version))
        self.bad: set[str] = set()
        self.names_it = True
        self.rejections = 0
        self.has: dict[str, int] = {}
        self.sent: list[list[str]] = []
        self.lost: set[str] = set()

    async def hears(self) -> bool:
        """Answer the next response, if there is one."""
        said = await self.talk.hear()
        if said is None:
            return False
        self.talk.last[said.type] = said
        self.sent.append(sorted(said.resources))
        bad = {name: body for name, body in said.resources.items() if self.finds_bad(name, body)}
        before = set(self.has)
        if self.talk.variant == "sotw":
            self.has = {name: seconds for name, seconds in self.has.items() if name in said.resources}
        taken = {name: seconds(body) for name, body in said.resources.items() if name not in bad}
        self.has |= taken
        for name in said.removed:
            self.has.pop(name, None)
        self.lost |= before - self.has.keys()
        if bad:
            self.rejections += 1
            await self.talk.envoy.nacks(CLUSTER, self.words(said, bad))
        else:
            await self.talk.envoy.acks(CLUSTER)
        return True

    def finds_bad(self, name: str, body: object) -> bool:
        return "*" in self.bad or f"{name}={seconds(body)}" in self.bad

    def words(self, said: Said, bad: dict[str, object]) -> str:
        return "Error adding/updating cluster(s) " + ", ".join(f"{each}: no" for each in bad)


class Quiet(Node):
    """It never says what it is that it rejects."""

    def words(self, said: Said, bad: dict[str, object]) -> str:
        return "this is no good"


def seconds(body: object) -> int:
    return int(body.connect_timeout.seconds)  # type: ignore[attr-defined]


def clusters(count: int, content: int = 1) -> list[Resource]:
    return both(*(f"c{number}" for number in range(count)), seconds=content)


async def rest(*nodes: Node) -> None:
    """Let everybody hear and answer until nobody is told anything."""
    for _ in range(500):
        if not any([await node.hears() for node in nodes]):
            return
    raise AssertionError("there is no rest")


async def joined(kind: type[Node], book: HoldBook, variant: Variant, name: str, first: Snapshot) -> Node:
    node = kind(book, variant, name, first, "1.40.0")
    await node.talk.envoy.asks(CLUSTER)
    return node


@each_variant
@pytest.mark.parametrize("bad", [0, 3, 7])
@pytest.mark.parametrize("at_once", [True, False])
async def test_one_bad_resource_among_eight_without_a_name(variant: Variant, bad: int, at_once: bool) -> None:
    book, first = HoldBook(), snapshot(1, clusters(8))
    nodes = [await joined(Quiet, book, variant, f"n{number}", first) for number in range(4)]
    await rest(*nodes)
    for node in nodes:
        node.bad = {f"c{bad}=2"}
        node.talk.publishes(snapshot(2, clusters(8, 2)))
    for node in nodes if at_once else ():
        # It is on its way to all of them before any of them says a word.
        said = await node.talk.hear()
        assert said is not None
        node.talk.heard.append(said)
    await rest(*nodes)
    # One node is searched, and one of the others confirms what was found.
    assert nodes[0].rejections <= ceil(log2(8)) + 1
    assert sorted(node.rejections for node in nodes[1:]) == ([1, 1, 2] if at_once else [0, 0, 1])
    assert [node.lost for node in nodes] == [set()] * 4
    expected = {f"c{number}": 1 if number == bad else 2 for number in range(8)}
    assert [node.has for node in nodes] == [expected] * 4
    assert [record.held for _, record in book.held()] == [(cluster(f"c{bad}", 2).version,)]
    # A new one never sees it.
    new = await joined(Quiet, book, variant, "new", nodes[0].talk.line.stream.snapshot)
    new.bad = {f"c{bad}=2"}
    await rest(new)
    assert (new.rejections, new.has) == (0, expected)


@each_variant
async def test_who_was_not_sent_the_suspects_waits_for_the_end_of_the_search(variant: Variant) -> None:
    book, first = HoldBook(), snapshot(1, clusters(8))
    nodes = [await joined(Quiet, book, variant, f"n{number}", first) for number in range(3)]
    await rest(*nodes)
    one, *others = nodes
    for node in nodes:
        node.bad = {"c5=2"}
    one.talk.publishes(snapshot(2, clusters(8, 2)))
    assert await one.hears()
    for node in others:
        node.talk.publishes(snapshot(2, clusters(8, 2)))
        node.sent.clear()
        assert not await node.hears()
    while one.talk.line.stream._holds.search(CLUSTER) is not None:
        assert await one.hears()
        for node in others:
            if one.talk.line.stream._holds.search(CLUSTER) is not None:
                assert not await node.hears()
    await rest(*nodes)
    # All they had to reject was the culprit alone, and only one of them had to.
    assert sorted(node.rejections for node in others) == [0, 1]
    assert [node.has["c5"] for node in nodes] == [1, 1, 1]
    assert {node.has["c4"] for node in nodes} == {2}


@each_variant
@pytest.mark.parametrize("kind", [Node, Quiet])
async def test_one_node_that_lies_holds_back_nobody(variant: Variant, kind: type[Node]) -> None:
    book, first = HoldBook(), snapshot(1, clusters(16))
    liar, *others = [await joined(kind, book, variant, f"n{number}", first) for number in range(4)]
    await rest(liar, *others)
    liar.bad = {"*"}
    for content in (2, 3, 4):
        for node in (liar, *others):
            node.talk.publishes(snapshot(content, clusters(16, content)))
        # The liar is always the first to speak.
        await rest(liar, *others)
        assert [node.has for node in others] == [{f"c{number}": content for number in range(16)}] * 3
    assert [node.rejections for node in others] == [0, 0, 0]
    assert list(book.held()) == []
    # Nor does it make a storm.
    assert liar.rejections <= 3 * 5 * (4 + 1)


async def test_a_liar_that_falls_silent_in_a_search_holds_back_nobody_for_ever() -> None:
    book, first = HoldBook(), snapshot(1, clusters(4))
    liar = await joined(Quiet, book, "delta", "liar", first)
    other = await joined(Quiet, book, "delta", "other", first)
    await rest(liar, other)
    liar.bad = {"*"}
    for node in (liar, other):
        node.talk.publishes(snapshot(2, clusters(4, 2)))
    assert await liar.hears()
    # It is sent its test, and never answers.
    assert await liar.talk.hear() is not None
    assert not await other.hears()
    due = liar.talk.line.stream.due()
    assert due is not None
    liar.talk.line.now = due
    assert await liar.talk.line.next() is None
    await rest(other)
    assert set(other.has.values()) == {2}


@each_variant
async def test_a_second_node_of_the_same_envoy_makes_it_the_groups(variant: Variant) -> None:
    book, first = HoldBook(), snapshot(1, clusters(2))
    nodes = [await joined(Node, book, variant, f"n{number}", first) for number in range(4)]
    await rest(*nodes)
    for node in nodes:
        node.bad = {"c1=2"}
    nodes[0].talk.publishes(snapshot(2, clusters(2, 2)))
    await rest(nodes[0])
    assert list(book.held()) == []
    for node in nodes[1:]:
        node.talk.publishes(snapshot(2, clusters(2, 2)))
    await rest(*nodes)
    assert sorted(node.rejections for node in nodes) == [0, 0, 1, 1]
    assert [node.has for node in nodes] == [{"c0": 2, "c1": 1}] * 4
    (held,) = book.held()
    assert held[1].good == cluster("c1", 1)
    # New content is a new chance for everybody.
    for node in nodes:
        node.talk.publishes(snapshot(3, clusters(2, 3)))
    await rest(*nodes)
    assert [node.has for node in nodes] == [{"c0": 3, "c1": 3}] * 4
