"""A client that delays, rejects and reconnects at random ends up with what it shall have, and never breaks
on the way.

Asserted at every step, by the numbers of the nine invariants in `docs/protocol.md`: (2) a response says what
the client has not, or was asked for; (3) no nonce twice; (4, 5) no route or listener at the client names a
cluster that it lacks; (6) nothing rejected comes again; (7) one response of a type in flight, and a book no
larger than what there is; (9) nothing that was not published for its group. At rest: (1) the client has the
snapshot, but for what it rejected and what names that; (8) no replica has anything to tell it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conversation import NODE_ID
from tests.properties.xds_client import CHILD_OF, TYPES, ModelClient
from tests.xds.configuration import cluster, endpoints, listener, routes
from xds.delta import DeltaStream
from xds.hold_book import HoldBook
from xds.hold_record import HoldRecord
from xds.nodes import Node
from xds.placeholders import empty
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Reference, Resource, ResourceType
from xds.snapshot import Snapshot, diff
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.terms import Terms
from xds.wire import Composer, Response

CLUSTERS = ("c0", "c1", "c2", "c3")
ROUTES = ("r0", "r1")
LISTENERS = ("l0", "l1")
a_cluster = st.sampled_from(CLUSTERS)
GRACE = 1.0
WARMING_SECONDS = 15.0


class Streams(RuleBasedStateMachine):
    """One node, its streams to one server or another, and a topology that moves."""

    machine: type[DeltaStream | SotwStream]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.revision = 1
        self.bad: set[str] = set()
        self.book = HoldBook(self)
        self.records: dict[Reference, HoldRecord] = {}
        self.holds = self.book.joined("group", NODE_ID, "1.40.0")
        self.terms = terms()
        self.published: set[tuple[ResourceType, str, str]] = set()
        self.due: set[ResourceType] = set()
        """Types of which an answer is due, whether anything has changed or not."""
        self.lost: dict[ResourceType, frozenset[str]] = {}
        """Names that the last stream to this server ended without an answer to."""
        # What exists: content number by cluster, targets by route, (route, content) by listener.
        self.clusters: dict[str, tuple[int, int]] = {"c0": (1, 80)}
        self.lazy: set[str] = set()
        self.ever_lazy: set[str] = set()
        self.routes: dict[str, frozenset[str]] = {}
        self.listeners: dict[str, tuple[str, str]] = {}
        self.client: ModelClient
        self.seen: set[str] = set()
        self.in_order = True
        self.warming_ends = math.inf
        """When a client that came while its clusters warmed gives them up."""

    @initialize()
    def start(self) -> None:
        self.snapshot = self.build()
        self.client = ModelClient(self.stream())
        self.client.connect(self.client.stream)
        self.pump()

    def build(self) -> Snapshot:
        resources: list[Resource] = []
        for name, (seconds, port) in self.clusters.items():
            resources += [replace(cluster(name, seconds), lazy=name in self.lazy), endpoints(name, port)]
        resources += [routes(name, *sorted(targets)) for name, targets in self.routes.items()]
        resources += [listener(name, route, detail) for name, (route, detail) in self.listeners.items()]
        self.published.update((one.type, one.name, one.version) for one in resources)
        return Snapshot.of(self.revision, resources)

    def keep(self, _group: str, record: HoldRecord, /) -> None:
        """Keep what other replicas are to know, at once."""
        self.records[record.key] = record

    def stream(self) -> DeltaStream | SotwStream:
        self.seen.clear()
        self.due.update(TYPES)
        self.lost = {kind: frozenset(names) for kind, names in self.holds.lost.items()}
        status = Fleet(wall_clock=lambda: 0.0).opened(Node(id=NODE_ID), "group", "")
        return self.machine(self.snapshot, self.terms, self.holds, status, node_id=NODE_ID)

    def publish(self) -> None:
        self.revision += 1
        new = self.build()
        assert not new.problems()
        change = diff(self.snapshot, new)
        self.snapshot = new
        self.client.stream.offer(new, change)
        self.pump()

    def pump(self) -> None:
        for response in self.client.stream.to_send(self.now):
            assert response.nonce not in self.seen, "a nonce was used twice"
            self.seen.add(response.nonce)
            self.is_needed(response)
            for one in response.resources:
                known = (one.type, one.name, one.version)
                assert known in self.published or one == empty(one.type, one.name), f"{one} is nobody's"
            self.client.wire.append(response)
            # Children follow, for their parents wait for them anew.
            if (child := CHILD_OF.get(response.type)) is not None:
                self.due.add(child)

    def is_needed(self, response: Response) -> None:
        """Find a reason for a response: news, a question, or doubt about what the client has."""
        kind = response.type
        has = self.client.held[kind]
        listed = {one.name for one in response.resources}
        # What says that there is nothing may be what there is in the end: an empty route configuration.
        news = any(
            has.get(one.name) != one or one == empty(kind, one.name) for one in response.resources
        ) or any(
            name in has and (name in response.removed or (not self.client.delta and kind.full_state))
            for name in has.keys() - listed
        )
        spoken_of = {*listed, *response.removed}
        was_asked = kind in self.due or bool(self.client.awaited[kind] & spoken_of)
        unanswered = self.lost.get(kind, frozenset()) & spoken_of
        in_doubt = bool(unanswered) or kind in self.holds.distrusted or self.holds.search(kind) is not None
        assert news or in_doubt or was_asked, f"{kind} {listed} was neither news nor asked for"
        self.due.discard(kind)
        self.client.awaited[kind] -= spoken_of

    # --- the topology moves

    @rule(name=a_cluster, seconds=st.integers(1, 3), port=st.integers(80, 81))
    def set_cluster(self, name: str, seconds: int, port: int) -> None:
        self.clusters[name] = (seconds, port)
        self.publish()

    @rule(name=a_cluster)
    def remove_cluster(self, name: str) -> None:
        if len(self.clusters) > 1 and name in self.clusters:
            del self.clusters[name]
            self.routes = {route: targets - {name} for route, targets in self.routes.items()}
            self.publish()

    @rule(name=a_cluster)
    def turn_lazy_or_eager(self, name: str) -> None:
        self.lazy ^= {name}
        self.ever_lazy.add(name)
        self.publish()

    @rule(name=st.sampled_from(ROUTES), to=st.frozensets(a_cluster))
    def set_routes(self, name: str, to: frozenset[str]) -> None:
        self.routes[name] = to & self.clusters.keys()
        self.publish()

    @precondition(lambda self: self.routes)
    @rule(name=st.sampled_from(LISTENERS), detail=st.sampled_from("xy"), data=st.data())
    def set_listener(self, name: str, detail: str, data: st.DataObject) -> None:
        self.listeners[name] = (data.draw(st.sampled_from(sorted(self.routes))), detail)
        self.publish()

    @rule(name=st.sampled_from(LISTENERS))
    def remove_listener(self, name: str) -> None:
        if self.listeners.pop(name, None) is not None:
            used = {route for route, _ in self.listeners.values()}
            self.routes = {route: targets for route, targets in self.routes.items() if route in used}
            self.publish()

    @rule(kind=st.sampled_from(TYPES), data=st.data())
    def spoil(self, kind: ResourceType, data: st.DataObject) -> None:
        """Make some content such that the client rejects it, unless it has accepted it before."""
        resources = self.snapshot.of_type(kind)
        if resources:
            version = resources[data.draw(st.sampled_from(sorted(resources)))].version
            if version not in {one.version for one in self.client.held[kind].values()}:
                self.bad.add(version)

    # --- the client

    @precondition(lambda self: self.client.wire)
    @rule(names_culprit=st.booleans(), applies_part=st.booleans())
    def deliver(self, names_culprit: bool, applies_part: bool) -> None:
        response = self.client.wire[0]
        if response.type in self.client.unanswered:
            return
        self.client.wire.popleft()
        self.client.take(response, frozenset(self.bad), names_culprit, applies_part)
        self.pump()

    @precondition(lambda self: any(map(self.client.may_answer, TYPES)))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.answers(data.draw(st.sampled_from([k for k in TYPES if self.client.may_answer(k)])))
        self.pump()

    def answers(self, kind: ResourceType) -> None:
        if self.client.unanswered[kind][1] is not None:
            # What it has is restored in full.
            self.due.add(kind)
        self.client.answer(kind)

    @precondition(lambda self: self.client.delta)
    @rule(name=a_cluster)
    def fetch_or_drop(self, name: str) -> None:
        """Ask for a cluster by name beside all, or no longer."""
        self.due.add(CLUSTER)
        self.client.fetch_or_drop(name)
        self.pump()

    @rule(seconds=st.sampled_from([0.5, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.passes(seconds)
        self.pump()

    def passes(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.warming_ends and CLUSTER not in self.client.asked:
            self.gives_up_warming()

    def gives_up_warming(self) -> None:
        """Go on without endpoints, and ask for clusters, as Envoy does after a while."""
        self.client.warming.clear()
        self.client.warmed()

    @rule()
    def reconnect(self) -> None:
        """Lose the stream, and whatever was on it, and come back."""
        self.reconnects()

    @precondition(lambda self: self.may_be_told())
    @rule()
    def fail_over(self) -> None:
        """Lose the server, and come to another one that made the same snapshot itself."""
        self.client.stream.close()
        self.book = HoldBook(self)
        self.book.learn("group", tuple(self.records.values()))
        self.snapshot = self.build()
        self.terms = terms()
        self.holds = self.book.joined("group", NODE_ID, "1.40.0")
        self.connects()

    def may_be_told(self) -> bool:
        """Tell whether what was rejected is known to other replicas: a NACK that never left is known to
        nobody, and neither is one whose culprit is still searched for.
        """
        told = {kind for kind, _ in self.records}
        unsaid = any(error is not None for _, error in self.client.unanswered.values())
        return not unsaid and self.holds.distrusted.keys() <= told

    def reconnects(self) -> None:
        self.client.stream.close()
        self.book.left("group", NODE_ID)
        self.holds = self.book.joined("group", NODE_ID, "1.40.0")
        self.connects()

    def connects(self) -> None:
        self.client.connect(self.stream())
        # A SotW server can't keep listed what it never knew of, so there the order may break on a new stream.
        self.in_order = self.client.delta
        self.warming_ends = self.now + WARMING_SECONDS
        self.pump()

    @rule()
    def restart_client(self) -> None:
        """Start over with nothing."""
        rejected = self.client.rejected
        self.client.stream.close()
        self.client = ModelClient(self.stream(), rejected=rejected)
        self.client.connect(self.client.stream)
        self.pump()

    # --- what holds always

    @invariant()
    def nothing_names_what_is_not_there(self) -> None:
        for kind in (ROUTE, LISTENER) if self.in_order else ():
            for one in self.client.held[kind].values():
                for reference, name in one.references:
                    # What is lazy is fetched when a request needs it.
                    if reference is CLUSTER and name not in self.ever_lazy:
                        assert name in self.client.held[CLUSTER], f"{one} names {name}, which is gone"

    @invariant()
    def books_are_bounded(self) -> None:
        assert len(self.client.wire) <= len(TYPES)
        for ledger in self.client.stream.ledgers.values():
            known = {*CLUSTERS} if ledger.type in {CLUSTER, ENDPOINT} else {*LISTENERS, *ROUTES}
            assert ledger.behind.keys() | ledger.forced <= known

    # --- what holds at rest

    @rule()
    def come_to_rest(self) -> None:
        for _ in range(200):
            client = self.client
            for response in tuple(client.wire):
                if response.type not in client.unanswered:
                    client.wire.remove(response)
                    client.take(response, frozenset(self.bad), names_culprit=True, applies_part=True)
            self.pump()
            for kind in TYPES:
                if client.may_answer(kind):
                    self.answers(kind)
            self.pump()
            if client.warming and not client.wire and self.waits_in_vain(client.warming):
                # Endpoints that were rejected don't come: Envoy waits for 15 s, then goes on.
                self.gives_up_warming()
                self.pump()
            self.passes(GRACE)
            self.pump()
            if not client.wire and not client.unanswered and client.stream.due() is None:
                break
        else:
            raise AssertionError("there is no rest")
        self.client_has_what_it_shall_have()

    def waits_in_vain(self, warming: Iterable[str]) -> bool:
        for name in warming:
            wanted = self.snapshot.get(ENDPOINT, name)
            assert wanted is None or wanted.version in self.bad or self.is_rejected(wanted), (
                f"no EDS for {name}"
            )
        return True

    def is_rejected(self, resource: Resource) -> bool:
        held = self.holds.group.withholds(resource, NODE_ID)
        return held or self.holds.rejected(resource) is not None

    def client_has_what_it_shall_have(self) -> None:
        client = self.client
        # Of what was blamed nobody knows whether the client has it.
        lacking = {name for name, one in self.snapshot.of_type(CLUSTER).items() if self.is_rejected(one)}
        waiting = 0
        for kind in TYPES:
            resources = self.snapshot.of_type(kind)
            for name in self.names_due(kind):
                one, has = resources[name], client.held[kind].get(name)
                if self.is_rejected(one) or any((CLUSTER, each) in one.references for each in lacking):
                    waiting += 1
                else:
                    assert has is not None, f"{one} never came"
                    assert has.version == one.version, f"{one} is not what the client has"
        if waiting:
            return
        self.in_order = True
        assert client.stream.settled
        for kind in CHILD_OF:
            extra = client.held[kind].keys() - self.names_due(kind)
            assert not extra, f"the client still has {kind} {extra}"
        for elsewhere in (False, True):
            if elsewhere and not self.may_be_told():
                continue
            if elsewhere:
                self.fail_over()
            else:
                self.reconnects()
            self.nothing_is_said()

    def names_due(self, kind: ResourceType) -> set[str]:
        """Return the names of what exists and the client asked for, by name or all that is not lazy."""
        resources = self.snapshot.of_type(kind)
        if kind not in CHILD_OF:
            return self.client.wanted(kind) & resources.keys()
        left_out = self.lazy - self.client.fetched if kind is CLUSTER and self.client.delta else set()
        return resources.keys() - left_out

    def nothing_is_said(self) -> None:
        client = self.client
        # Who asks anew for what is not there is told so anew.
        missing = client.fetched - self.snapshot.of_type(CLUSTER).keys()
        said = {one.type for one in client.wire if one.resources or set(one.removed) - missing}
        # Who has nothing of a type can't be told from one who waits for a first answer: that may be empty.
        # In SotW the one version of a type does not tell that names were dropped since.
        doubted = set(self.holds.distrusted)
        said -= doubted | {CHILD_OF[kind] for kind in doubted & CHILD_OF.keys()}
        assert not said & (set(TYPES) if client.delta else {CLUSTER, LISTENER}), f"{said} were current"


def terms() -> Terms:
    """Make what a server's streams share."""
    return Terms(composer=Composer("test"), removal_grace_seconds=GRACE)


class DeltaStreams(Streams):
    machine = DeltaStream


class SotwStreams(Streams):
    machine = SotwStream


few = settings(max_examples=60, stateful_step_count=40)
TestDelta = DeltaStreams.TestCase
TestDelta.settings = few
TestSotw = SotwStreams.TestCase
TestSotw.settings = few


def test_routes_wait_for_clusters_that_are_asked_for_late() -> None:
    """A client that comes while its clusters warm is told of no route to a cluster that it has rejected."""

    class Chosen:
        def draw(self, options: st.SearchStrategy[str]) -> str:
            return "c0"

    streams = DeltaStreams()
    streams.start()
    streams.set_routes(name="r0", to=frozenset(["c0"]))
    streams.spoil(kind=CLUSTER, data=Chosen())
    streams.set_cluster(name="c1", port=80, seconds=1)
    streams.come_to_rest()
    streams.restart_client()
    streams.deliver(applies_part=False, names_culprit=False)
    streams.listeners["l0"] = ("r0", "x")
    streams.publish()
    streams.fail_over()
    streams.bad.add(streams.snapshot.of_type(ENDPOINT)["c1"].version)
    assert streams.in_order
    for _ in range(3):
        for response in tuple(streams.client.wire):
            streams.client.wire.remove(response)
            streams.client.take(response, frozenset(streams.bad), names_culprit=True, applies_part=True)
        for kind in TYPES:
            if streams.client.may_answer(kind):
                streams.answers(kind)
        streams.pump()
        streams.nothing_names_what_is_not_there()
