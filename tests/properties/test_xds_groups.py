"""A group of nodes, one of which rejects whatever it likes: the others end up with all that is good.

Honest nodes reject what is bad, with or without naming it; they delay, take over parts, reconnect and are
answered by streams of both variants. At rest each honest node has every good version and no bad one.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.properties.xds_client import TYPES, ModelClient
from tests.xds.configuration import cluster, endpoints
from xds.delta import DeltaStream
from xds.hold_book import HoldBook
from xds.nodes import Node
from xds.resource import CLUSTER
from xds.snapshot import Snapshot, diff
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.terms import Terms
from xds.wire import Composer

NODES = ("liar", "n1", "n2", "n3")
HONEST = NODES[1:]
CLUSTERS = ("c0", "c1", "c2", "c3", "c4")
MOST_BAD = 3
a_node = st.sampled_from(NODES)


class Group(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.content = dict.fromkeys(CLUSTERS, 1)
        self.bad: set[str] = set()
        self.book = HoldBook()
        self.terms = Terms(composer=Composer("test"))
        self.clients: dict[str, ModelClient] = {}
        self.rejections = dict.fromkeys(NODES, 0)
        self.changes = 1

    @initialize(sotw=st.frozensets(a_node))
    def start(self, sotw: frozenset[str]) -> None:
        self.sotw = sotw
        self.snapshot = self.build()
        for node in NODES:
            self.clients[node] = ModelClient(self.stream(node))
            self.clients[node].connect(self.clients[node].stream)
        self.pump()

    def build(self) -> Snapshot:
        pairs = [(cluster(name, content), endpoints(name)) for name, content in self.content.items()]
        return Snapshot.of(self.changes, [one for pair in pairs for one in pair])

    def stream(self, node: str) -> DeltaStream | SotwStream:
        status = Fleet(wall_clock=lambda: 0.0).opened(Node(id=node), "group", "")
        holds = self.book.joined("group", node, "1.40.0")
        machine = SotwStream if node in self.sotw else DeltaStream
        return machine(self.snapshot, self.terms, holds, status, node_id=node)

    def pump(self) -> None:
        for client in self.clients.values():
            client.wire.extend(client.stream.to_send(self.now))

    @rule(names=st.frozensets(st.sampled_from(CLUSTERS), min_size=1), spoiled=st.sampled_from(CLUSTERS))
    def change(self, names: frozenset[str], spoiled: str) -> None:
        """Give some clusters new content; one of these may be bad."""
        self.changes += 1
        for name in names:
            self.content[name] = self.changes
        new = self.build()
        change = diff(self.snapshot, new)
        self.snapshot = new
        current = {one.version for one in new.of_type(CLUSTER).values()}
        if spoiled in names and len(self.bad & current) < MOST_BAD:
            self.bad.add(new.of_type(CLUSTER)[spoiled].version)
        for client in self.clients.values():
            client.stream.offer(new, change)
        self.pump()

    @rule(node=a_node, named=st.booleans(), applies_part=st.booleans(), lies=st.booleans())
    def deliver(self, node: str, named: bool, applies_part: bool, lies: bool) -> None:
        self.take(node, named, applies_part, lies)
        self.pump()

    def take(self, node: str, named: bool, applies_part: bool, lies: bool) -> None:
        client = self.clients[node]
        if not client.wire or client.wire[0].type in client.unanswered:
            return
        response = client.wire.popleft()
        bad = set(self.bad)
        if node == "liar" and lies:
            bad |= {one.version for one in response.resources}
        before = len(client.unanswered)
        client.take(response, frozenset(bad), named, applies_part)
        assert len(client.unanswered) == before + 1
        if node == "liar" and lies and not client.delta:
            # A full SotW response has to list what a client has taken over, though it says no to that too.
            client.blamed[response.type] = set()
        self.rejections[node] += client.unanswered[response.type][1] is not None

    @rule(node=a_node)
    def answer(self, node: str) -> None:
        client = self.clients[node]
        for kind in TYPES:
            if client.may_answer(kind):
                client.answer(kind)
        self.pump()

    @rule(node=a_node)
    def reconnect(self, node: str) -> None:
        client = self.clients[node]
        client.stream.close()
        self.book.left("group", node)
        client.connect(self.stream(node))
        self.pump()

    @rule(named=st.booleans(), lies=st.booleans())
    def come_to_rest(self, named: bool, lies: bool) -> None:
        for _ in range(400):
            for node, client in self.clients.items():
                self.take(node, named, True, lies)
                for kind in TYPES:
                    if client.may_answer(kind):
                        client.answer(kind)
                self.pump()
            if not any(client.wire or client.unanswered for client in self.clients.values()):
                break
            if all(
                client.unanswered.keys() <= {CLUSTER} and not client.wire for client in self.clients.values()
            ):
                # Endpoints that the liar rejected don't come; Envoy goes on without after a while.
                for client in self.clients.values():
                    client.warming.clear()
                    client.warmed()
        else:
            raise AssertionError("there is no rest")
        for node in HONEST:
            for name, one in self.snapshot.of_type(CLUSTER).items():
                has = self.clients[node].held[CLUSTER].get(name)
                if one.version in self.bad:
                    assert has is None or has.version not in self.bad, f"{node} took over {one}"
                else:
                    assert has == one, f"{node} has {has} instead of {one}"

    def teardown(self) -> None:
        # Every change costs a node one search or a few, never a storm.
        for node in HONEST:
            assert self.rejections[node] <= 30 * self.changes


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=40, stateful_step_count=30)
