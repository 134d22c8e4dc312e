"""The demo's stage: etcd, the control plane, stub cells and a real Envoy, each started, watched and taken
down.

The tour gives the orders; this module knows commands, ports and files. Everything lives below one temporary
folder.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from cellplane.demo.changes import Wanted
from cellplane.demo.ports import Ports
from cellplane.demo.processes import Child, ChildFailed, start_child, wait_until
from cellplane.demo.programs import control_plane_command, etcd_command, ext_proc_command, find_envoy
from cellplane.demo.sent import describe, sent_by_type
from cellplane.demo.stub_cell import StubCell, start_stub_cell
from cellplane.demo.topology_client import CallFailed, TopologyClient
from envoy.bootstrap import bootstrap
from topology.etcd import EtcdStore
from topology.keys import Keyspace

_READY_SECONDS = 30.0
# An Envoy whose control plane was away may wait for `envoy.bootstrap.LONGEST_PAUSE` before it asks again.
_SETTLING_SECONDS = 30
# The control plane says that an Envoy is late, rather than we that the control plane is.
_ANSWER_SECONDS = _SETTLING_SECONDS + 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one change did: its revision, the time from before the call to the last ACK, and what was sent."""

    revision: int
    milliseconds: float
    sent: str


class Stage:
    """Everything that runs during a demo. Use as an async context manager: leaving it leaves no process
    behind.
    """

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder = folder
        self.ports = ports
        self.edge_url = ports.edge_url
        self.status_url = ports.status_url
        self.admin_url = ports.admin_url
        self.etcd_endpoint = ports.etcd_endpoint
        self.keyspace = Keyspace()
        self.cells: dict[int, StubCell] = {}
        self._stack = AsyncExitStack()
        self._children: dict[str, Child] = {}
        self._store: EtcdStore | None = None
        self._http: aiohttp.ClientSession | None = None
        self._topology: TopologyClient | None = None

    async def __aenter__(self) -> Self:
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._topology = await self._stack.enter_async_context(TopologyClient(self.ports.topology_address))
        return self

    async def __aexit__(self, *_: object) -> None:
        # Envoy first, etcd last: nobody loses what it leans on while it still runs.
        for name in ("envoy", "ext-proc", "control-plane"):
            await self._stop(name)
        for cell in self.cells.values():
            await cell.stop()
        if self._store is not None:
            await self._store.close()
        await self._stop("etcd")
        await self._stack.aclose()

    @property
    def command(self) -> str:
        """How a person types our command here."""
        return "cellplane" if shutil.which("cellplane") else f"{Path(sys.executable).parent}/cellplane"

    @property
    def store(self) -> EtcdStore:
        """The store on the demo's etcd."""
        if self._store is None:
            raise AssertionError("etcd has not been started")
        return self._store

    async def start_etcd(self) -> None:
        """Start an etcd with its data below the demo's folder."""
        client, peer = f"http://{self.etcd_endpoint}", f"http://127.0.0.1:{self.ports.etcd_peer}"
        await self._start(
            "etcd",
            etcd_command(self.folder / "etcd", client, peer),
            lambda: self._get(f"{client}/health"),
        )
        if self._store is None:
            self._store = EtcdStore((self.etcd_endpoint,))

    async def restart_etcd(self) -> None:
        """End etcd as a crash would, and start it again on the same data."""
        await self.kill("etcd")
        await self.start_etcd()

    async def start_control_plane(self, *options: str, wait_for: str = "readyz") -> None:
        """Start `cellplane control-plane` as anybody would, and wait until a status page says yes."""
        await self._start(
            "control-plane",
            [*control_plane_command(self.ports, self.folder / "state"), *options],
            lambda: self._get(f"{self.status_url}/{wait_for}"),
        )

    async def start_ext_proc(self, *options: str) -> None:
        """Start `cellplane ext-proc`, and wait until it has read everything."""
        await self._start(
            "ext-proc",
            [*ext_proc_command(self.ports), *options],
            lambda: self._get(f"{self.ports.ext_proc_url}/readyz"),
        )

    async def start_envoy(self, *, wait_ready: bool = True, workers: int = 1) -> None:
        """Start a real Envoy as `cellplane bootstrap` would have it, and wait until it takes traffic."""
        config = self.folder / "envoy.json"
        config.write_text(
            json.dumps(
                bootstrap(
                    role="edge",
                    node_id="demo-edge-1",
                    xds_addresses=(f"127.0.0.1:{self.ports.xds}",),
                    admin_port=self.ports.admin,
                )
            )
        )
        command = [str(find_envoy()), "-c", str(config), "--concurrency", str(workers)]
        await self._start(
            "envoy",
            [*command, "--log-level", "warning", "--disable-hot-restart"],
            lambda: self._get(f"{self.admin_url}/{'ready' if wait_ready else 'server_info'}"),
        )

    async def start_cell(self, cell_id: int) -> StubCell:
        """Start a stub cell on a free port."""
        self.cells[cell_id] = await start_stub_cell(cell_id)
        return self.cells[cell_id]

    async def kill(self, name: str) -> None:
        """End a process (`control-plane`, `etcd`, `envoy`) as kill -9 does."""
        await self._children.pop(name).kill()

    def pid(self, name: str) -> int:
        """Return the id of a running process."""
        return self._children[name].process.pid

    def log(self, name: str) -> str:
        """Return the last lines that a process wrote."""
        return self._children[name].log_tail(100)

    @property
    def topology(self) -> TopologyClient:
        """The client of the Topology Service that the control plane brings along."""
        if self._topology is None:
            raise AssertionError("the stage has not been entered")
        return self._topology

    async def commit(self, wanted: Wanted) -> int:
        """Have the Topology Service make a change; return its revision."""
        try:
            return await self.topology.change(wanted)
        except CallFailed as error:
            raise ChildFailed(f"the demo's own change was not made: {error}") from error

    async def change(self, wanted: Wanted) -> Effect:
        """Have a change made and wait until every Envoy has ACKed what follows from it."""
        before = sent_by_type(await self.fleet())
        started = time.time()
        revision = await self.commit(wanted)
        fleet = await self.fleet(settled=revision)
        nodes = fleet["nodes"]
        late = [node["id"] for node in nodes if node["settled_revision"] < revision]
        if late or not nodes:
            raise ChildFailed(
                f"revision {revision} was not ACKed by {', '.join(late) or 'any Envoy'}: {fleet}"
            )
        settled = max(node["settled_at"] for node in nodes)
        sent = describe(sent_by_type(fleet) - before)
        return Effect(revision=revision, milliseconds=max(0.0, settled - started) * 1000, sent=sent)

    async def fleet(self, settled: int = 0) -> dict[str, Any]:
        """Return the fleet as the control plane sees it, waiting for a revision where one is named."""
        found: dict[str, Any] = await self.json(
            f"{self.status_url}/v1/fleet?settled={settled}&seconds={_SETTLING_SECONDS}"
        )
        return found

    async def json(self, url: str) -> Any:
        """Return the JSON at a URL."""
        async with self._client.get(url, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as response:
            return await response.json()

    async def envoy_stat(self, name: str) -> int:
        """Return one counter of the Envoy."""
        stats = (await self.json(f"{self.admin_url}/stats?format=json&filter=^{name}$"))["stats"]
        return sum(int(stat["value"]) for stat in stats if stat.get("name") == name)

    def dead_children(self) -> list[str]:
        """Name the processes that ended without being asked to, with the end of their logs."""
        return [f"{name}:\n{child.log_tail()}" for name, child in self._children.items() if not child.running]

    async def first_death(self, but: str) -> str:
        """Wait until a process ends without being asked to, and name it; one of them may."""
        watched = [child for name, child in self._children.items() if name != but]
        endings = [asyncio.ensure_future(child.process.wait()) for child in watched]
        try:
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ending in endings:
                ending.cancel()
        return "\n".join(self.dead_children())

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise AssertionError("the stage has not been entered")
        return self._http

    async def _start(self, name: str, command: list[str], ready: Callable[[], object]) -> None:
        child = await start_child(name, command, self.folder / f"{name}.log")
        self._children[name] = child
        await wait_until(ready, child, _READY_SECONDS, "ready")

    async def _stop(self, name: str) -> None:
        if child := self._children.pop(name, None):
            await child.stop()

    async def _get(self, url: str) -> bool:
        try:
            async with self._client.get(url, timeout=aiohttp.ClientTimeout(total=1)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
