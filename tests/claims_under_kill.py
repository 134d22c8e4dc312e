"""Clients that claim while the Topology Service is killed again and again, and whether what they saw can be.

They move owners too, and cells are ended while they claim. Histories of calls through gRPC are checked for
linearizability; a call without an answer may have happened or not. What dead services left is finished by
those that follow. The test runs it small, the proof at full size.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio

from cellplane.demo.free_port import free_port
from pb.cellplane.topology.v1 import transfer_pb2
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from tests.ending_cells import Ender, Noting, Tenant, refusal
from tests.linearizable import UNKNOWN, Call, is_linearizable
from tests.postgresql_server import PostgresServer
from tests.processes import Child
from tests.properties.claim_model import ClaimModel
from tests.topology.claims.samples import route
from tests.topology.samples import cell
from tests.topology.service.stage import Client
from tests.topology.service.test_claim_service import record_of, request
from topology.claims.index import ClaimIndex
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Phase
from topology.claims.store import ClaimStore
from topology.claims.stored import StoredClaims
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.claims_postgresql.store import PostgresClaims
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.model import CellState
from topology.store import Txn

VALUES = ("a", "b", "c")
# So many records stand for a value: two values take a lease in parts.
MANY = 70
_TOLD = re.compile(r"is (?:in cell (\d+) \(epoch|at epoch) (\d+)")
FIRST_ENDING = 10  # the cell that is ended and opened again in a service's life is its own
INITIAL: Any = (frozenset(), frozenset(), frozenset(), frozenset())


class Caller(Noting):
    """A cell that claims, commits and looks at random, and notes down what it got."""

    def __init__(self, client: Client, cell_id: int, chance: random.Random, history: list[Call]) -> None:
        super().__init__(client, cell_id, chance, history)
        self._held: list[str] = []
        self._known = dict.fromkeys(VALUES, (cell_id, 1))  # where an owner was last seen, at which epoch

    async def act(self) -> None:
        dice = self.chance.random()
        if self._held and dice < 0.6:
            lease, commit = self._held.pop(), self.chance.random() < 0.6
            await self.noted(("close", self.cell_id, lease, commit), lambda: self.close(lease, commit))
        elif dice < 0.72:
            value = self.chance.choice(VALUES)
            source, epoch = self._known[value]
            asked: Any = ("transfer", value, source, 3 - source, epoch)
            await self.noted(asked, lambda: self._transfer(*asked[1:]))
        elif dice < 0.87:
            first, second = self.chance.sample(VALUES, 2)
            creates = frozenset({first, second} if self.chance.random() < 0.3 else {first})
            destroys = frozenset() if len(creates) == 2 or self.chance.random() < 0.6 else frozenset({second})
            asked = ("begin", self.cell_id, creates, destroys)
            await self.noted(asked, lambda: self._begin(creates, destroys))
        else:
            value = self.chance.choice(VALUES)
            await self.noted(("get", value), lambda: self._get(value))

    async def _begin(self, creates: frozenset[str], destroys: frozenset[str]) -> str:
        wanted = request(self.cell_id, members(creates), members(destroys))
        for record in (*wanted.create_records, *wanted.destroy_records):
            record.subject.id = owner_id(record.bucket.value[0])
        try:
            answer = await self.client.claims.BeginUpdate(wanted)
        except grpc.aio.AioRpcError as error:
            return refusal(error)
        self._held.append(answer.lease_uuid.value)
        return answer.lease_uuid.value

    async def _transfer(self, value: str, source: int, to: int, epoch: int) -> str:
        wanted = transfer_pb2.TransferRequest(
            request_id=str(uuid.UUID(int=self.chance.getrandbits(128))), from_cell=source, to_cell=to
        )
        wanted.owners.add(owner=f"NAMESPACE/{owner_id(value)}", expected_epoch=epoch)
        try:
            await self.client.transfers.Transfer(wanted)
        except grpc.aio.AioRpcError as error:
            if told := _TOLD.search(error.details() or ""):
                self._known[value] = (int(told[1] or source), int(told[2]))
            return refusal(error)
        self._known[value] = (to, epoch + 1)
        return "moved"

    async def _get(self, value: str) -> tuple[int, str] | None:
        """Look at one record of those that stand for the value: a part would show."""
        member = self.chance.choice(members([value]))
        try:
            found = await record_of(self.client, member)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None
        return found.cell_id, messages_pb2.Record.Status.Name(found.status)


def owner_id(value: str) -> int:
    return 42 + VALUES.index(value)


def members(values: Any) -> list[str]:
    return [f"{value}-{number}" for value in sorted(values) for number in range(MANY)]


def step(state: Any, asked: Any, answered: Any) -> tuple[bool, Any]:
    """Do one call on the model. A begin without an answer, if it happened, took a lease that nobody knows.

    "Leased" says "try again" and nothing more: a lease that a dead service was still preparing holds its
    records, and counts for nothing.
    """
    if answered == "leased" or (answered == "refused" and asked[0] in ("end", "reopen")):
        return True, state  # whoever ends a cell may be told no for what was rolled back a moment ago
    ended = set(state[3])
    model = ClaimModel(dict(state[0]), dict(state[1]), dict(state[2]))
    right = True
    match asked:
        case "begin", cell_id, creates, destroys:
            refused = model.refuses(cell_id, creates, destroys) or (bool(creates) and cell_id in ended)
            right = answered is UNKNOWN or refused == (answered == "refused")
            if not refused and right:
                lease = f"unknown-{len(model.leases)}" if answered is UNKNOWN else answered
                model.begin(lease, cell_id, creates, destroys)
        case "close", cell_id, lease, commit:
            model.close(lease, cell_id, commit=commit)
        case "transfer", value, source, to, epoch:
            moved = model.transfer(value, source, to, epoch)
            right = answered is UNKNOWN or moved == (answered == "moved")
        case "get", value:
            right = model.status(value) == answered
        case "end", cell_id:
            owning = {*model.leases.values(), *(each.cell_id for each in model.claims.values())}
            right = answered is UNKNOWN or cell_id not in owning
            ended |= {cell_id} - owning
        case "reopen", cell_id:
            ended.discard(cell_id)
    return right, (
        frozenset(model.claims.items()),
        frozenset(model.leases.items()),
        frozenset(model.owners.items()),
        frozenset(ended),
    )


async def ready(child: Child, status: int) -> None:
    async def answers() -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{status}/readyz") as page,
            ):
                return page.status == 200
        except aiohttp.ClientError:
            return False

    await child.ready(answers, within=120)  # on a busy machine imports alone take long


async def run(
    endpoints: str,
    prefix: str,
    kills: int,
    seed: int,
    folder: Path,
    postgresql: PostgresServer | None = None,
    disturb: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, int]:
    """Run a service and kill it so many times. Raise AssertionError where something is wrong.

    Its claims are in etcd, or in a PostgreSQL, which is killed with every other service. `disturb` does
    something to the stores before each kill, while clients act on.
    """
    keyspace = Keyspace(prefix)
    store = EtcdStore(endpoints.split(","))
    cells = [cell(1), cell(2), *(cell(FIRST_ENDING + each, CellState.DRAINING) for each in range(kills))]
    await store.commit(Txn(puts=tuple((keyspace.cell(each.id), encode(each)) for each in cells)))
    port, status = free_port(), free_port()
    command: tuple[str, ...] = (
        sys.executable, "-m", "cellplane", "topology", "--listen", f"127.0.0.1:{port}",
        "--status-listen", f"127.0.0.1:{status}", "--etcd", endpoints, "--etcd-prefix", prefix,
    )  # fmt: skip
    claims = "" if postgresql is None else await postgresql.schema()
    if claims:
        await migrate(Database(Address(claims)))
        command = ("env", f"CELLPLANE_CLAIM_STORE={claims}", *command)
    child = Child(command, folder / f"topology-{port}.log")
    history: list[Call] = []
    chance = random.Random(seed)
    try:
        for number in range(kills):
            child.spawn()
            await ready(child, status)
            channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for _ in range(5)]
            ending = FIRST_ENDING + number
            kinds: tuple[tuple[type[Noting], int], ...] = (
                (Caller, 1), (Caller, 2), (Caller, 1), (Tenant, ending), (Ender, ending),
            )  # fmt: skip
            callers = [
                kind(Client(channel), cell_id, random.Random(chance.random()), history)
                for channel, (kind, cell_id) in zip(channels, kinds, strict=True)
            ]
            together = postgresql if number % 2 else None
            await until_killed(child, callers, chance, together, disturb)
            for channel in channels:
                await channel.close()
    finally:
        await child.kill()
    linear = is_linearizable(history, INITIAL, step)
    assert linear, f"seed {seed}: no order explains {history}"
    database = Database(Address(claims)) if claims else None
    await nothing_is_left_over(
        PostgresClaims(database)
        if database is not None
        else StoredClaims(
            store,
            ClaimKeyspace.beside(keyspace),
            clock=lambda: datetime.now(UTC) + timedelta(minutes=5),
        )
    )
    if database is not None:
        await database.close()
    await store.close()
    lost = sum(call.answered is UNKNOWN for call in history)
    moved = sum(call.answered == "moved" for call in history)
    ended = sum(call.asked[0] == "end" and call.answered == "done" for call in history)
    answered = len(history) - lost
    return {"kills": kills, "answered": answered, "cut_off": lost, "moved": moved, "ended": ended}


async def until_killed(
    child: Child,
    callers: list[Noting],
    chance: random.Random,
    postgresql: PostgresServer | None = None,
    disturb: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Let the callers act until the service dies, in the middle of something, maybe with its database."""
    actions = 0
    acted = asyncio.Event()
    turns = asyncio.Semaphore(2)

    async def acting(caller: Noting) -> None:
        nonlocal actions
        while child.running:
            if not isinstance(caller, Caller):  # theirs are quick: one for each of the others'
                await turns.acquire()
            await caller.act()
            if isinstance(caller, Caller):
                actions += 1
                acted.set()
                turns.release()

    async def some_more() -> None:
        enough = actions + chance.randint(8, 14)
        while actions < enough:
            await acted.wait()
            acted.clear()

    async with asyncio.TaskGroup() as tasks:
        for caller in callers:
            tasks.create_task(acting(caller))
        await some_more()
        if disturb is not None:
            await disturb()
            await some_more()
        # Together: each call that is cut off makes the search for an order longer, and who has no database
        # cuts off one after the other.
        dying = [child.kill()] if postgresql is None else [postgresql.kill(), child.kill()]
        await asyncio.gather(*dying)
        for _ in callers:
            turns.release()
    if postgresql is not None:
        await postgresql.start()


async def nothing_is_left_over(late: ClaimStore) -> None:
    """See that each value is there whole or not at all, once what the dead left has been finished."""
    index = ClaimIndex()
    index.load(await late.list())
    for lease in index.unfinished():
        await late.settle(lease)
    index.load(await late.list())
    assert not index.odd
    assert all(lease.phase is Phase.OPEN for lease in index.leases.values())
    for value in VALUES:
        held = {
            (found.cell_id, found.status, found.lease) if found else None
            for found in (index.find(route(member)) for member in members([value]))
        }
        assert len(held) == 1, f"{value} is there in part: {held}"
