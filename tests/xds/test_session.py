"""A session moves bytes, lets go of who does not read, and ends when told to."""

from __future__ import annotations

import asyncio
from typing import Any

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.conversation import NODE_ID
from tests.xds.configuration import both, snapshot
from tests.xds.test_siblings import Listening
from xds.delta import DeltaStream
from xds.holds import Holds
from xds.nodes import Node
from xds.resource import CLUSTER, ENDPOINT, ROUTE, SECRET
from xds.session import Session, WireClosedError
from xds.siblings import Siblings
from xds.snapshot import Snapshot, diff
from xds.status import Fleet, StreamStatus
from xds.terms import Terms
from xds.wire import Composer, DeltaRequest, ProtocolError, Response, Status, parse_delta

FIRST = DeltaRequest(CLUSTER.type_url)
GONE = ProtocolError(Status.UNAVAILABLE, "go away")


class FakeWire:
    """Two queues. It can stop taking messages, as a client does that stopped reading."""

    def __init__(self) -> None:
        self.arriving: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.written: asyncio.Queue[discovery_pb2.DeltaDiscoveryResponse] = asyncio.Queue()
        self.stuck = False
        self.closed = False

    async def read(self) -> bytes | None:
        return await self.arriving.get()

    async def write(self, message: bytes, /) -> None:
        if self.closed:
            raise WireClosedError
        if self.stuck:
            await asyncio.Event().wait()
        self.written.put_nowait(discovery_pb2.DeltaDiscoveryResponse.FromString(message))

    def says(self, **request: Any) -> None:
        self.arriving.put_nowait(discovery_pb2.DeltaDiscoveryRequest(**request).SerializeToString())

    async def hears(self) -> discovery_pb2.DeltaDiscoveryResponse:
        async with asyncio.timeout(5.0):
            return await self.written.get()


class Stage:
    """A session on a fake wire."""

    def __init__(
        self, first: Snapshot, grace_seconds: float = 0.01, siblings: Siblings | None = None
    ) -> None:
        self.fleet = Fleet()
        self.status: StreamStatus = self.fleet.opened(Node(id=NODE_ID), "group", "delta ADS")
        terms = Terms(composer=Composer(""), removal_grace_seconds=grace_seconds)
        self.stream = DeltaStream(first, terms, Holds(), self.status, node_id=NODE_ID)
        self.session = Session(
            self.stream,
            self.status,
            parse_delta,
            clock=asyncio.get_running_loop().time,
            siblings=siblings,
        )
        self.wire = FakeWire()

    def publish(self, new: Snapshot) -> None:
        self.session.offer(new, diff(self.stream.snapshot, new))

    async def run(self) -> ProtocolError | None:
        async with asyncio.timeout(5.0):
            return await self.session.run(FIRST, self.wire)


async def test_requests_are_answered_and_snapshots_are_passed_on() -> None:
    stage = Stage(snapshot(1, both("a")))
    wire = stage.wire
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stage.run())
        first = await wire.hears()
        assert [one.name for one in first.resources] == ["a"]
        wire.says(type_url=CLUSTER.type_url, response_nonce=first.nonce)
        wire.says(type_url=ENDPOINT.type_url, resource_names_subscribe=["a"])
        second = await wire.hears()
        wire.says(type_url=ENDPOINT.type_url, response_nonce=second.nonce)
        while stage.status.settled_revision < 1:
            await stage.fleet.changed()
        stage.publish(snapshot(2, both("a", "b")))
        assert [one.name for one in (await wire.hears()).resources] == ["b"]
        wire.arriving.put_nowait(None)
    assert running.result() is None


async def test_children_of_what_was_sent_follow_on_the_other_streams_of_the_node() -> None:
    family, other = Siblings(), Listening()
    family.join(other)
    stage = Stage(snapshot(1, both("a", "b")), siblings=family)
    wire = stage.wire
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        first = await wire.hears()
        wire.says(type_url=CLUSTER.type_url, response_nonce=first.nonce)
        while stage.status.settled_revision < 1:
            await stage.fleet.changed()
        assert sorted(name for _, name in other.heard) == ["a", "b"]
        stage.publish(snapshot(2, both("a", seconds=2), both("b")))
        await wire.hears()
        # And it follows in its turn, for what it was asked for.
        wire.says(type_url=ENDPOINT.type_url, resource_names_subscribe=["b"])
        second = await wire.hears()
        wire.says(type_url=ENDPOINT.type_url, response_nonce=second.nonce)
        wire.says(type_url=SECRET.type_url, resource_names_subscribe=["s"])
        await wire.hears()
        stage.session.follow([(ENDPOINT, "a"), (ENDPOINT, "b"), (ROUTE, "r")])
        assert [one.name for one in (await wire.hears()).resources] == ["b"]
        wire.arriving.put_nowait(None)
    assert other.heard[2:] == [(ENDPOINT, "a")]
    family.follow(other, [(ENDPOINT, "b")])
    assert wire.written.empty()


async def test_a_snapshot_that_has_nothing_for_this_client_is_settled_at_once() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.publish(snapshot(2, both("a")))
    # Nothing was asked for yet: nothing is known of what the client has.
    assert stage.status.settled_revision == 0
    stage.stream.receive(DeltaRequest(CLUSTER.type_url, None, (), (), {"a": both("a")[0].version}))
    stage.publish(snapshot(3, both("a", port=81)))
    assert stage.status.settled_revision == 3


async def test_a_removal_goes_when_its_grace_is_over_though_nothing_else_happens() -> None:
    stage = Stage(snapshot(1, both("a", "b")))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        first = await stage.wire.hears()
        stage.wire.says(type_url=CLUSTER.type_url, response_nonce=first.nonce)
        stage.publish(snapshot(2, both("a")))
        assert (await stage.wire.hears()).removed_resources == ["b"]
        stage.wire.arriving.put_nowait(None)


async def test_a_write_that_sticks_can_be_ended_and_tells_since_when() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.wire.stuck = True
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stage.run())
        while stage.session.writing_since is None:
            await asyncio.sleep(0)
        assert began <= stage.session.writing_since <= asyncio.get_running_loop().time()
        stage.session.end(GONE)
        stage.session.end(ProtocolError(Status.UNAVAILABLE, "the first reason counts"))
    assert running.result() == GONE


async def test_nothing_is_being_written_while_there_is_nothing_to_say() -> None:
    stage = Stage(snapshot(1, both("a")))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        await stage.wire.hears()
        await asyncio.sleep(0)
        assert stage.session.writing_since is None
        stage.wire.arriving.put_nowait(None)


async def test_an_acknowledgement_that_needs_no_answer_wakes_nobody() -> None:
    stage = Stage(snapshot(1, both("a")))
    asked = 0
    to_send = stage.stream.to_send

    def counted(now: float) -> list[Response]:
        nonlocal asked
        asked += 1
        return to_send(now)

    stage.stream.to_send = counted  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        first = await stage.wire.hears()
        before = asked
        stage.wire.says(type_url=CLUSTER.type_url, response_nonce=first.nonce)
        while stage.status.settled_revision < 1:
            await stage.fleet.changed()
        await asyncio.sleep(0)
        assert asked == before
        stage.wire.arriving.put_nowait(None)


async def test_a_session_that_is_ended_before_it_runs_says_nothing() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.session.end(GONE)
    assert await stage.run() == GONE
    assert stage.wire.written.empty()


async def test_memory_stays_bounded_while_a_client_does_not_read() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.wire.stuck = True
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stage.run())
        await asyncio.sleep(0)
        for revision in range(2, 50):
            stage.publish(snapshot(revision, both("a", seconds=revision)))
            await asyncio.sleep(0)
        # Fifty snapshots later there is one response under way and one name open.
        (ledger,) = stage.stream.ledgers.values()
        assert (len(ledger.behind), ledger.in_flight is not None) == (1, True)
        stage.session.end(GONE)
        assert await running == GONE


async def test_garbage_ends_the_stream() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.wire.arriving.put_nowait(b"\x0a\xff\xff\xff")
    problem = await stage.run()
    assert problem is not None
    assert problem.status is Status.INVALID_ARGUMENT


async def test_a_session_ends_when_it_is_told_to() -> None:
    stage = Stage(snapshot(1, both("a")))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stage.run())
        await stage.wire.hears()
        stage.session.end(GONE)
    assert running.result() == GONE


async def test_a_wire_that_is_gone_needs_no_words() -> None:
    stage = Stage(snapshot(1, both("a")))
    stage.wire.closed = True
    assert await stage.run() is None
