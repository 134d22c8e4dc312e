"""Owners move while whoever leads is killed with -9: the next goes on within ten seconds, and no step is done
twice.

Real etcd, real Topology Services as processes, and an application that is asked over HTTP. The test runs some
kills, the proof many, with a control plane and a real Envoy.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import yaml
from aiohttp import web

from cellplane.demo.free_port import free_port
from pb.cellplane.topology.v1 import moves_pb2, moves_pb2_grpc, transfer_pb2
from tests.claims_under_kill import ready
from tests.processes import Child, eventually
from tests.topology.claims.samples import batch
from tests.topology.samples import cell
from topology.apply import read_view
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Subject, SubjectType
from topology.claims.owners import TransferPhase
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.codec import encode
from topology.departing import departing
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.leader import leader_key
from topology.moves.book import MoveBook
from topology.moves.model import Happened, Move, Step
from topology.moves.steps import FORWARD, STEPS
from topology.store import Txn

RESUMED_WITHIN = 10.0  # seconds
BACK = (Step.RETURN_FREEZE, Step.RETURN_TRANSFER, Step.RETURN_PROPAGATE)
CLAIMS = 3


class Application:
    """Does the work of each key once, and says "not yet" at the step where it is held."""

    def __init__(self) -> None:
        self.held: Step | None = None
        self.worked: Counter[str] = Counter()
        self.asked: list[tuple[float, str]] = []
        self.port = free_port()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append((time.monotonic(), body["key"]))
        if body["step"] == self.held:
            return web.Response(status=202, text="held")
        self.worked[body["key"]] += body["key"] not in self.worked
        return web.json_response({"remaining": 0})

    async def call(self, step: Step, move_id: str, after: float = 0.0) -> float:
        """Wait until it is asked at a step, after a moment; say when."""

        async def found() -> float:
            calls = [at for at, key in self.asked if key == f"{move_id}/{step}" and at > after]
            return calls[0] if calls else 0.0

        return await eventually(found, f"a call at {step} of move {move_id}", within=60)

    def hooks(self, folder: Path) -> Path:
        """Write the file that has it called at each step."""
        called = {"url": f"http://127.0.0.1:{self.port}/moves", "timeout": "5s"}
        names = [row.step.lower().replace("_", "-") for row in STEPS]
        file = folder / "hooks.yaml"
        file.write_text(yaml.safe_dump({"schema": 1, "hooks": {name: dict(called) for name in names}}))
        return file


@dataclass
class Replica:
    """A Topology Service as a process, which may be killed and started again."""

    child: Child
    port: int
    status: int

    async def start(self) -> None:
        self.child.spawn()
        await ready(self.child, self.status)

    async def kill(self) -> float:
        await self.child.kill()
        return time.monotonic()


@dataclass
class Arena:
    """Everything that moves need."""

    store: EtcdStore
    keyspace: Keyspace
    application: Application
    replicas: list[Replica]
    pids: Callable[[], dict[int, Callable[[], Awaitable[float]]]]
    """What may lead, by its pid, with what kills it and says when."""
    resumed: list[float] = field(default_factory=list)

    async def leader(self) -> int:
        async def led() -> int:
            for record in (await self.store.list(leader_key(self.keyspace, "moves"))).records:
                pid = int(record.value.decode().partition("/")[2].partition('"')[0])
                return pid if pid in self.pids() else 0
            return 0

        return await eventually(led, "somebody who leads", within=60)

    async def kill_leader(self) -> float:
        return await self.pids()[await self.leader()]()

    async def ask(self, method: str, request: Any) -> Any:
        """Ask any replica that answers."""
        for _ in range(200):
            for replica in self.replicas:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{replica.port}") as channel:
                    stub: Any = moves_pb2_grpc.MoveServiceStub(channel)
                    with suppress(grpc.aio.AioRpcError):
                        return await getattr(stub, method)(request, timeout=5)
            await asyncio.sleep(0.1)
        raise AssertionError(f"nobody answers {method}")

    async def move(self, move_id: str) -> Move:
        seen = await MoveBook(self.store, self.keyspace).read(move_id)
        assert seen is not None
        return seen.move

    async def until(self, move_id: str, step: Step, waiting: str = "") -> Move:
        async def there() -> Move | None:
            move = await self.move(move_id)
            return move if move.step is step and waiting in move.waiting else None

        found = await eventually(there, f"move {move_id} to be at {step}", within=90, every=0.05)
        assert found is not None
        return found

    async def order(self, move_id: str, method: str) -> None:
        await self.until(move_id, Step.TEST, "a person's word")
        await self.ask(method, moves_pb2.MoveOrderRequest(move_id=move_id))


async def claimed(arena: Arena, number: int) -> Subject:
    """Claim something for an owner of this number in cell 1."""
    subject = Subject(SubjectType.ORGANIZATION, number)
    claims = StoredClaims(arena.store, ClaimKeyspace.beside(arena.keyspace))
    names = [f"org-{number}-{each}" for each in range(CLAIMS)]
    begun = await claims.begin(batch(1, names, subject=subject), "CELL-1")
    assert isinstance(begun, Begun)
    await claims.commit(1, begun.lease.uuid, "CELL-1")
    return subject


async def moved_under_kill(arena: Arena, number: int, at: Step | float) -> None:
    """Move an owner and kill whoever leads: in a step, or so many seconds after the beginning."""
    subject = await claimed(arena, number)
    returns = at in BACK
    move_id = str(uuid.uuid4())
    arena.application.held = at if isinstance(at, Step) else None
    owner = transfer_pb2.OwnerAtEpoch(owner=f"ORGANIZATION/{number}", expected_epoch=1)
    request = moves_pb2.StartMoveRequest(request_id=move_id, owners=[owner], from_cell=1, to_cell=2)
    await arena.ask("StartMove", request)
    way = asyncio.create_task(_ordered(arena, move_id, returns=returns))
    if isinstance(at, Step):
        await arena.application.call(at, move_id)
        killed_at = await arena.kill_leader()
        again = await arena.application.call(at, move_id, killed_at)
        arena.resumed.append(again - killed_at)
        arena.application.held = None
    else:
        await asyncio.sleep(at)
        await arena.kill_leader()
    await way
    end = Step.RETURNED if returns else Step.COMMITTED
    await check(arena, await arena.until(move_id, end), subject)


async def _ordered(arena: Arena, move_id: str, *, returns: bool) -> None:
    await arena.order(move_id, "SwitchMoveBack" if returns else "ContinueMove")


async def check(arena: Arena, move: Move, subject: Subject) -> None:
    """See that every step was done once, and nothing is left over."""
    steps = [entry.step for entry in move.history if entry.what is Happened.DONE]
    expected = [*FORWARD[:5], *BACK] if move.step is Step.RETURNED else list(FORWARD)
    assert steps == expected, f"move {move.id} did {steps}"
    claims = StoredClaims(arena.store, ClaimKeyspace.beside(arena.keyspace))
    owner = await claims.owner(subject)
    assert owner is not None
    epoch, cell_id = (3, 1) if move.step is Step.RETURNED else (2, 2)
    assert (owner.cell_id, owner.epoch, owner.transfer) == (cell_id, epoch, "")
    assert owner.name not in departing(await read_view(arena.store, arena.keyspace)), "still frozen"
    assert await MoveBook(arena.store, arena.keyspace).busy([owner.name]) is None
    transfers = (await arena.store.list(f"{ClaimKeyspace.beside(arena.keyspace).root}transfers/")).records
    own = [each for each in transfers if move.id.encode() in each.value]
    assert len(own) == epoch - 1, f"{len(own)} transfers for one move"
    assert all(f'"{TransferPhase.DONE}"'.encode() in each.value for each in own)
    # It is tested before it is switched back, and that step is left, not done.
    asked = [*expected, Step.TEST] if move.step is Step.RETURNED else expected
    worked = [key for key in arena.application.worked if key.startswith(move.id)]
    assert sorted(worked) == sorted(f"{move.id}/{step}" for step in asked)


@asynccontextmanager
async def arena_of(endpoint: str, prefix: str, folder: Path, replicas: int) -> AsyncIterator[Arena]:
    """Start so many Topology Services on an etcd with two cells."""
    keyspace, application = Keyspace(prefix), Application()
    async with AsyncExitStack() as stack:
        store = EtcdStore([endpoint])
        stack.push_async_callback(store.close)
        app = web.Application()
        app.router.add_post("/moves", application.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", application.port).start()
        hooks = application.hooks(folder)
        started: list[Replica] = []
        for _ in range(replicas):
            port, status = free_port(), free_port()
            command = (
                sys.executable, "-m", "cellplane", "topology", "--listen", f"127.0.0.1:{port}",
                "--status-listen", f"127.0.0.1:{status}", "--etcd", endpoint, "--etcd-prefix", prefix,
                "--move-hooks", str(hooks),
            )  # fmt: skip
            replica = Replica(Child(command, folder / f"topology-{port}.log"), port, status)
            stack.push_async_callback(replica.child.kill)
            started.append(replica)

        def pids() -> dict[int, Callable[[], Awaitable[float]]]:
            return {each.child.pid: each.kill for each in started if each.child.running}

        yield Arena(store, keyspace, application, started, pids)


async def run(endpoint: str, prefix: str, folder: Path, kills: list[Step | float]) -> dict[str, Any]:
    """Move an owner for each kill. Raise AssertionError where something is wrong."""
    async with arena_of(endpoint, prefix, folder, 2) as arena:
        puts = tuple((arena.keyspace.cell(each), encode(cell(each))) for each in (1, 2))
        await arena.store.commit(Txn(puts=puts))
        for number, at in enumerate(kills, start=1):
            for replica in arena.replicas:
                if not replica.child.running:
                    await replica.start()
            await moved_under_kill(arena, number, at)
        assert all(seconds < RESUMED_WITHIN for seconds in arena.resumed), arena.resumed
        return {"kills": len(kills), "slowest_resumed": round(max(arena.resumed, default=0.0), 1)}


def at_random(chance: random.Random) -> float:
    """Give a moment in the life of a move."""
    return chance.uniform(0.0, 4.0)
