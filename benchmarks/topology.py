"""The Topology Service against raw etcd, in one run: claims, classification, a million claims, watchers.

One etcd and one service, as processes of their own; what is compared takes turns, round by round. The raw
transactions are the very ones that the service would write, below keys that nobody follows, and made before
the time is taken, as the service's requests are. They also go through a server that only hands them on: what
is left for a service that has nothing to do. A second service has its claims in a PostgreSQL; and
classification is held against a handler that does nothing.

    make bench NAME=topology
    make bench NAME=topology ARGS='--parts claims --rounds 3'
    make bench NAME=topology ARGS='--parts million --claims 100000'

In full it takes some eight minutes on two quiet cores, half of them for a million claims.

The parts `classify` and `million` want h2load, of Debian's nghttp2-client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import aiohttp
import grpc
import grpc.aio
import uvloop

from benchmarks.claims import NOW, metadata, record
from benchmarks.load import Load, cpu_seconds, h2load, paced, pin, resident_mb
from cellplane.demo.free_port import free_port
from pb.cellplane.topology.v1 import cells_pb2, cells_pb2_grpc
from pb.gitlab.cells.topology_service import classify_service_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2, service_pb2_grpc
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2
from tests.etcd_server import EtcdServer
from tests.postgresql_server import PostgresServer
from tests.processes import Child
from topology.claims import plan
from topology.claims.closing import Closing, close, ends
from topology.claims.codec import encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import ClaimBatch
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.model import Cell, CellState, Endpoint, Stamp
from topology.service.claim_wire import metadata_message
from topology.store import Committed, Compare, Txn

BATCHES = (1, 10, 60)
CONCURRENCY = (1, 16)
WATCHERS = 100
PARTS = ("claims", "classify", "million", "watch")
_BUCKET = re.compile(r'call_seconds_bucket\{.*le="([^"]+)".* (\S+)$')
CLASSIFY = "/gitlab.cells.topology_service.ClassifyService/Classify"


class Service:
    """A Topology Service in a process of its own, and a channel to it."""

    def __init__(self, folder: Path, endpoint: str, claims: str = "") -> None:
        """`claims`: the PostgreSQL that they are in."""
        self.port, self._status = free_port(), free_port()
        command = [sys.executable, "-m", "cellplane", "topology", f"--etcd={endpoint}"]
        command += [f"--listen=127.0.0.1:{self.port}", f"--status-listen=127.0.0.1:{self._status}"]
        if claims:
            command = ["env", f"CELLPLANE_CLAIM_STORE={claims}", *command]
        self.process = Child(command, folder / f"topology-{self.port}.log")
        self.channel: Any = None

    async def stop(self) -> None:
        """Stop it."""
        if self.channel is not None:
            await self.channel.close()
        await self.process.stop()

    async def start(self) -> float:
        """Start it anew; return the seconds until it has read everything."""
        await self.stop()
        started = time.monotonic()
        self.process.spawn()
        async with aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                try:
                    async with session.get(f"http://127.0.0.1:{self._status}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await self.process.ready(is_ready, within=600)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        return time.monotonic() - started

    async def answered(self) -> dict[str, float]:
        """Count the calls of Classify that were answered within so many seconds, by its own metrics."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self._status}/metrics") as page,
        ):
            lines = (await page.text()).splitlines()
        return {
            found[1]: float(found[2])
            for line in lines
            if "Classify" in line
            and (found := re.search(r'call_seconds_bucket.*le="([^"]+)".* (\S+)$', line))
        }


class Bench:
    """An etcd and a PostgreSQL, and two Topology Services on them."""

    def __init__(self, folder: Path) -> None:
        # As in production: every write reaches the disk before it is answered.
        self.etcd = EtcdServer(
            folder / "etcd", ["--unsafe-no-fsync=false", "--quota-backend-bytes=8000000000"]
        )
        self.postgresql = PostgresServer(durable=True)
        self.folder = folder
        self.service = Service(folder, self.etcd.endpoint)
        self.other = self.service
        self.store = EtcdStore((self.etcd.endpoint,))
        self.keyspace = Keyspace()
        self.claims = ClaimKeyspace.beside(self.keyspace)

    async def __aenter__(self) -> Self:
        await self.etcd.start()
        await self.write_cells(10)
        await self.service.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.other.stop()
        await self.service.stop()
        await self.store.close()
        await self.postgresql.stop()
        await self.etcd.stop()

    async def start_other(self) -> None:
        """Start the service that has its claims in PostgreSQL."""
        await self.postgresql.start()
        claims = await self.postgresql.schema()
        database = Database(Address(claims))
        await migrate(database)
        await database.close()
        self.other = Service(self.folder, self.etcd.endpoint, claims)
        await self.other.start()

    async def revision(self) -> int:
        """Say how many transactions etcd has done."""
        return (await self.store.list(self.keyspace.registry)).revision

    async def write_cells(self, count: int) -> None:
        """Write active cells straight into etcd."""
        stamp = Stamp(updated_by="benchmark", updated_at=NOW.isoformat(timespec="seconds"), reason="")
        cells = [
            Cell(
                id=number,
                name=f"cell-{number}",
                state=CellState.ACTIVE,
                endpoints=(Endpoint(host="127.0.0.1", port=1000 + number),),
                stamp=stamp,
            )
            for number in range(1, count + 1)
        ]
        await self.commit(Txn(puts=tuple((self.keyspace.cell(each.id), encode(each)) for each in cells)))

    async def commit(self, txn: Txn, store: EtcdStore | None = None) -> int:
        """Commit a transaction that nothing stands in the way of; give its revision."""
        outcome = await (store or self.store).commit(txn)
        if not isinstance(outcome, Committed):
            raise AssertionError(f"nobody else writes, and yet: {outcome}")  # noqa: TRY004
        return outcome.revision


async def in_flight(count: int, at_once: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Do something so often, so many at once; return how often a second."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    started = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
    return count / (time.monotonic() - started)


class Names:
    """Names that were never used before."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> list[str]:
        self._next += count
        return [f"bench/{self._next + number}" for number in range(count)]


def bare_pair(names: list[str]) -> tuple[Txn, Txn]:
    """Give a begin and a commit as the service writes them, below keys that nobody follows."""
    keyspace = ClaimKeyspace.beside(Keyspace("/bare/v1"))
    batch = ClaimBatch(cell_id=1, creates=tuple(map(metadata, names)))
    uuids = tuple(str(uuid4()) for _ in names)
    opening = plan.Opening(uuid=str(uuid4()), uuids=uuids, now=NOW, by="ipv4:127.0.0.1:12345")
    written = plan.writes(keyspace, batch, opening, {})
    lease = plan.lease_of(batch, opening)
    begin = plan.begin_whole(keyspace, lease, written, cell=Compare(keyspace.topology.cell(1), 0))
    closing = Closing(commit=True, now=NOW, by=opening.by)
    ended = ends((each.record for each in written), closing)
    return begin, close(keyspace, lease, 0, ended, closing)


def claim_request(names: list[str]) -> service_pb2.BeginUpdateRequest:
    """Spell a begin as a client does."""
    creates = [metadata_message(metadata(name)) for name in names]
    return service_pb2.BeginUpdateRequest(cell_id=1, create_records=creates)


async def claims(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    """Begin and commit, with claims in etcd and in PostgreSQL, against two bare transactions of etcd."""
    await bench.start_other()
    names, rows = Names(), []
    handing_on = [sys.executable, "-m", "benchmarks.passing_server"]
    async with serving(bench.folder, handing_on, bench.etcd.endpoint) as (port, _):
        passing = EtcdStore((f"127.0.0.1:{port}",))
        for batch in BATCHES:
            for at_once in CONCURRENCY:
                rows.append(await _claims(bench, passing, names, rounds, batch, at_once))
                told = (f"{key} {each:.2f}" for key, each in rows[-1].items())
                print("claims " + ", ".join(told), flush=True)
        await passing.close()
    return rows


async def _claims(
    bench: Bench, passing: EtcdStore, names: Names, rounds: int, batch: int, at_once: int
) -> dict[str, Any]:
    count = max(600 // batch, 40)
    stubs = {
        "etcd": service_pb2_grpc.ClaimServiceStub(bench.service.channel),
        "postgresql": service_pb2_grpc.ClaimServiceStub(bench.other.channel),
    }
    kinds = ("raw", "passed", *stubs)
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    txns, used = 0, 0.0
    for turn in range(rounds + 1):
        for kind in kinds if turn % 2 else reversed(kinds):
            if kind in stubs:
                requests = [claim_request(names.take(batch)) for _ in range(count)]
                work = claiming(stubs[kind], requests)
            else:
                pairs = [bare_pair(names.take(batch)) for _ in range(count)]
                work = committing(bench, passing if kind == "passed" else bench.store, pairs)
            before, spent = await bench.revision(), cpu_seconds(bench.service.process.pid)
            rate = await in_flight(count, at_once, work)
            if not turn:  # nothing is warm
                continue
            rates[kind].append(rate)
            if kind == "etcd":
                txns += await bench.revision() - before
                used += cpu_seconds(bench.service.process.pid) - spent
    row: dict[str, Any] = {"claims": batch, "at_once": at_once, "txns": txns / count / rounds}
    row["cpu_ms"] = used * 1000 / count / rounds  # the service's, for a begin and a commit
    row |= {f"{kind}_rate": statistics.median(each) for kind, each in rates.items()}
    for kind in kinds[1:]:
        both = zip(rates[kind], rates["raw"], strict=True)
        row[f"{kind}_ratio"] = statistics.median(each / bare for each, bare in both)
    return row


def claiming(
    stub: Any, requests: Sequence[service_pb2.BeginUpdateRequest]
) -> Callable[[int], Awaitable[None]]:
    """Give what begins and commits one of these."""

    async def claim(number: int) -> None:
        begun = await stub.BeginUpdate(requests[number])
        closing = uuid_pb2.UUID(value=begun.lease_uuid.value)
        await stub.CommitUpdate(service_pb2.CommitUpdateRequest(cell_id=1, lease_uuid=closing))

    return claim


def committing(
    bench: Bench, store: EtcdStore, pairs: Sequence[tuple[Txn, Txn]]
) -> Callable[[int], Awaitable[None]]:
    """Give what commits one of these pairs. The second compares the lease as the first wrote it."""

    async def commit(number: int) -> None:
        begin, end = pairs[number]
        seen = Compare(end.compares[0].key, await bench.commit(begin, store))
        await bench.commit(replace(end, compares=(seen,)), store)

    return commit


@asynccontextmanager
async def serving(folder: Path, command: list[str], argument: str) -> AsyncIterator[tuple[int, int]]:
    """Run a server that is told a port and something more; give the port and its process."""
    port = free_port()
    child = Child([*command, str(port), argument], folder / f"{command[-1]}.log")
    child.spawn()

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await child.ready(answers, within=60)
        yield port, child.pid
    finally:
        await child.stop()


async def classify(bench: Bench, value: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Classify by a claim as fast as it goes, in turns with an empty handler; then at half that rate.

    The server that is measured is on one core, the load on the other.
    """
    request = classify_service_pb2.ClassifyRequest(claims=[claim_pb2.Claim(route=value)])
    port = bench.service.port
    loads: dict[str, list[Load]] = {"service": [], "empty": []}
    per_core: dict[str, list[float]] = {"service": [], "empty": []}
    doing_nothing = [sys.executable, "-m", "benchmarks.empty_server"]
    async with serving(bench.folder, doing_nothing, CLASSIFY) as (empty_port, empty_pid):
        ends = {"service": (port, bench.service.process.pid), "empty": (empty_port, empty_pid)}
        for _, pid in ends.values():
            pin(pid, 0)
        for _ in range(rounds):
            for kind, (at, pid) in ends.items():
                before = cpu_seconds(pid)
                loads[kind].append(await h2load(at, CLASSIFY, request, seconds=seconds))
                # The second of warming up is not among the requests.
                used = (cpu_seconds(pid) - before) * seconds / (seconds + 1)
                per_core[kind].append(loads[kind][-1].requests / used)
        rate = statistics.median(load.rate for load in loads["service"])
        half: dict[str, list[dict[str, float]]] = {"service": [], "empty": []}
        before_half = await bench.service.answered()
        for _ in range(rounds):
            for kind, (at, _) in ends.items():
                half[kind].append(await paced(at, CLASSIFY, request, seconds=seconds, rate=rate / 2))
    handled = {upto: each - before_half[upto] for upto, each in (await bench.service.answered()).items()}
    found = {
        "rate": rate,
        # Of calls at half the rate, from when the handler began until it was done: without the transport.
        "half_handled_within_1ms": handled["0.001"] / handled["+Inf"],
        "half_handled_within_2_5ms": handled["0.0025"] / handled["+Inf"],
        "empty_rate": statistics.median(load.rate for load in loads["empty"]),
        "per_core": statistics.median(per_core["service"]),
        "empty_per_core": statistics.median(per_core["empty"]),
        "ratio": statistics.median(
            ours / empty for ours, empty in zip(per_core["service"], per_core["empty"], strict=True)
        ),
        **{
            f"{prefix}half_{name}": statistics.median(each[name] for each in half[kind])
            for kind, prefix in (("service", ""), ("empty", "empty_"))
            for name in ("p50_ms", "p99_ms", "generator_late_ms", "generator_late_p99_ms")
        },
    }
    print("classify " + ", ".join(f"{key} {each:.2f}" for key, each in found.items()), flush=True)
    return found


async def million(bench: Bench, count: int) -> dict[str, Any]:
    """Start with so many claims on record."""
    empty = resident_mb(bench.service.process.pid)
    # Fewer of them lie under a name below the first segment than at it; that changes nothing here.
    pairs = (
        (bench.claims.record(made.bucket), encode_record(made))
        for made in (record(f"group-{number}", 1 + number % 10) for number in range(count))
    )

    async def write(_: int) -> None:
        puts = tuple(pair for pair, _ in zip(pairs, range(100), strict=False))
        await bench.commit(Txn(puts=puts))

    await in_flight(count // 100, 8, write)
    seconds = await bench.service.start()
    found = {
        "claims": count,
        "load_seconds": seconds,
        "bytes_per_claim": (resident_mb(bench.service.process.pid) - empty) * 1e6 / count,
    }
    print("million " + ", ".join(f"{key} {each:.1f}" for key, each in found.items()), flush=True)
    return found


async def watch(bench: Bench, changes: int) -> dict[str, Any]:
    """Change a cell while so many watch; the time runs from before the commit until a watcher has it."""
    stub = cells_pb2_grpc.CellServiceStub(bench.service.channel)
    arrived: list[float] = []
    sent: dict[int, float] = {}
    all_have_it = asyncio.Semaphore(0)

    async def watcher(ready: asyncio.Semaphore) -> None:
        calls = stub.Watch(cells_pb2.WatchCellsRequest())
        async for answer in calls:
            now = time.monotonic()
            if answer.complete:
                ready.release()
            elif answer.upserted:
                arrived.extend(now - sent[cell.weight] for cell in answer.upserted)
                all_have_it.release()

    ready = asyncio.Semaphore(0)
    tasks = [asyncio.ensure_future(watcher(ready)) for _ in range(WATCHERS)]
    for _ in tasks:
        await ready.acquire()
    for number in range(changes):
        sent[1000 + number] = time.monotonic()
        await stub.SetCellWeight(cells_pb2.SetCellWeightRequest(id=1, weight=1000 + number, reason="bench"))
        async with asyncio.timeout(10):
            for _ in tasks:
                await all_have_it.acquire()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cut = statistics.quantiles(arrived, n=100)
    found = {"watchers": WATCHERS, "changes": changes, "p50_ms": cut[49] * 1000, "p99_ms": cut[98] * 1000}
    print("watch " + ", ".join(f"{key} {each:.1f}" for key, each in found.items()), flush=True)
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that were asked for."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with Bench(Path(folder)) as bench:
            if "claims" in options.parts:
                found["claims"] = await claims(bench, options.rounds)
            if "watch" in options.parts:
                found["watch"] = await watch(bench, 20 * options.rounds)
            await bench.commit(
                Txn(puts=((bench.claims.record(metadata("acme").bucket), encode_record(record("acme"))),))
            )
            if "classify" in options.parts:
                found["classify"] = await classify(bench, "acme", options.rounds, options.seconds)
            if "million" in options.parts:
                found["million"] = await million(bench, options.claims)
                found["million"] |= await classify(bench, "group-77", options.rounds, options.seconds)
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round of classification")
    parser.add_argument("--claims", type=int, default=1_000_000)
    print(json.dumps(uvloop.run(measure(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
