"""What the data path benchmark measures: our edge with so many cells, and plain Envoy to the same upstream.

Ours is the whole product, each part a process: etcd, control plane, ext-proc, an Envoy that has all of its
configuration from them. Plain Envoy has what Envoy's guide for edges asks for, one static
route, and the same cluster as a cell of ours.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.claims import NOW, record
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.ruleset_file import read_ruleset
from envoy.clusters import cluster
from envoy.edge import EdgeSettings
from envoy.endpoints import endpoints
from envoy.static import printable
from pb.cellplane.topology.v1 import documents_pb2
from pb.envoy.config.cluster.v3 import cluster_pb2
from tests.envoy_process import envoy_path
from tests.processes import Child, eventually
from topology.claims.codec import encode_record
from topology.claims.keys import ClaimKeyspace
from topology.codec import encode
from topology.model import Cell, CellState, Endpoint, Stamp
from topology.store import Committed, Txn

ROOT = Path(__file__).resolve().parent.parent
BATCH = 60
CLAIMS_A_WRITE = 100
PREFIXES = 100


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers on a port, and the processes that it consists of."""

    port: int
    pids: tuple[int, ...]


def host_of(cell_id: int) -> str:
    """Give each cell an address of its own; whatever listens on all of 127/8 answers."""
    return f"127.{1 + cell_id // 60_000}.{cell_id // 250 % 250}.{cell_id % 250 + 1}"


def owner_of(number: int, cells: int) -> int:
    """Say which cell owns a name of this number."""
    return number % cells + 1


def ruleset() -> dict[str, Any]:
    """Give the example's rules for a product like GitLab, with a rule of paths that an operator pinned."""
    read = read_ruleset(ROOT / "examples" / "rules" / "gitlab.yaml")
    if not isinstance(read, dict):
        raise AssertionError(f"the example can't be read: {read}")  # noqa: TRY004
    pinned = {f"/pinned-{at}": at % 10 + 1 for at in range(PREFIXES)}
    rule = {"name": "pinned", "type": "path_prefix", "prefixes": pinned}
    return {**read, "rules": [read["rules"][0], rule, *read["rules"][1:]]}


class Ours:
    """The product with so many cells, all of which are at one upstream, and an owner for each name."""

    def __init__(self, folder: Path, cells: int, upstream: int) -> None:
        folder.mkdir()
        self.stage = Stage(folder, Ports())
        self.cells = cells
        self._upstream = upstream

    async def start(self, stack: AsyncExitStack, names: Sequence[str]) -> None:
        """Start all but Envoy."""
        stage = await stack.enter_async_context(self.stage)
        await stage.start_etcd()
        cells = [cell_at(number, self._upstream) for number in range(1, self.cells + 1)]
        for at in range(0, len(cells), BATCH):
            await self._write((stage.keyspace.cell(each.id), encode(each)) for each in cells[at : at + BATCH])
        space = ClaimKeyspace.beside(stage.keyspace)
        records = [record(name, owner_of(at, self.cells)) for at, name in enumerate(names)]
        for at in range(0, len(records), CLAIMS_A_WRITE):
            batch = records[at : at + CLAIMS_A_WRITE]
            await self._write((space.record(each.bucket), encode_record(each)) for each in batch)
        await self.start_control_plane()
        await stage.start_ext_proc("--found-ttl=60", "--not-found-ttl=5")  # what they are if nothing is said
        body = json.dumps(ruleset())
        await stage.commit(
            documents_pb2.PutDocumentRequest(kind="rules", name="current", body=body, reason="benchmark")
        )

    async def start_control_plane(self, *options: str) -> None:
        """Start what configures Envoy."""
        # No health checks: 1,000 endpoints asked every few seconds would be measured too.
        own = ("--health-check-path=", f"--ext-proc={self.stage.ports.ext_proc_address}")
        await self.stage.start_control_plane(*own, *options)

    async def start_envoy(self, workers: int) -> Target:
        """Start Envoy, and wait until it asks a healthy server."""
        stage = self.stage
        await stage.start_envoy(workers=workers)

        async def healthy() -> bool:
            return await stage.envoy_stat("cluster.ext-proc.membership_healthy") == 1

        await eventually(healthy, "Envoy to find ext-proc healthy", within=30)
        return Target(stage.ports.edge, (stage.pid("envoy"),))

    async def asked(self) -> int:
        """Count the questions so far."""
        return await self.stage.envoy_stat("http..ext_proc.owners.streams_started")

    async def _write(self, puts: Any) -> None:
        outcome = await self.stage.store.commit(Txn(puts=tuple(puts)))
        if not isinstance(outcome, Committed):
            raise AssertionError(f"nothing is compared, and yet: {outcome}")  # noqa: TRY004


def cell_at(number: int, upstream: int) -> Cell:
    """Make the cell of this number."""
    return Cell(
        id=number,
        name=f"cell-{number}",
        state=CellState.ACTIVE,
        endpoints=(Endpoint(host=host_of(number), port=upstream),),
        session_prefix=f"cell-{number}",
        stamp=Stamp(updated_by="benchmark", updated_at=NOW.isoformat(timespec="seconds"), reason=""),
    )


async def plain_envoy(stack: AsyncExitStack, folder: Path, upstream: int, workers: int) -> Target:
    """Start an Envoy that sends everything to one place."""
    port = free_port()
    return await static_envoy(
        stack, folder / f"plain-{workers}", plain_bootstrap(port, upstream), port, workers
    )


async def static_envoy(
    stack: AsyncExitStack, place: Path, config: dict[str, Any], port: int, workers: int
) -> Target:
    """Start an Envoy that has all of its configuration, and answers there. `place`: its files, bare."""
    file = place.with_suffix(".json")
    file.write_text(json.dumps(config), encoding="utf-8")
    command = [str(envoy_path()), "-c", str(file), "--concurrency", str(workers)]
    child = Child([*command, "--log-level", "warning", "--disable-hot-restart"], place.with_suffix(".log"))
    stack.push_async_callback(child.stop)
    child.spawn()
    await child.ready(lambda: answers(port))
    return Target(port, (child.pid,))


async def answers(port: int) -> bool:
    """Tell whether something listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def plain_bootstrap(port: int, upstream: int) -> dict[str, Any]:
    """Configure an Envoy that sends everything to one place."""
    types = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "common_http_protocol_options": {
            "idle_timeout": "900s",
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "stream_idle_timeout": "3600s",
        "request_headers_timeout": "30s",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "edge",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "cell-1", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "per_connection_buffer_limit_bytes": 65_536,
        "filter_chains": [chain],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [plain_cluster(1, upstream)]}}


def plain_cluster(number: int, upstream: int) -> dict[str, Any]:
    """Give a cell's own cluster, so that what differs is the decision."""
    cell = cell_at(number, upstream)
    made = cluster_pb2.Cluster.FromString(cluster(cell, EdgeSettings(health_check_path="")).body)
    made.type = cluster_pb2.Cluster.STATIC
    made.ClearField("eds_cluster_config")
    made.load_assignment.ParseFromString(endpoints(cell).body)
    return printable(made)
