"""`cellplane ext-proc` as a process, and the claims that it answers from, on a real etcd."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from cellplane.demo.free_port import free_port
from tests.processes import Child
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, ClaimBatch, Metadata, Source, SourceType, Subject, SubjectType
from topology.claims.store import Begun, Closed
from topology.claims.stored import StoredClaims
from topology.etcd import EtcdStore
from topology.keys import Keyspace


@dataclass
class OwnerServer:
    """A running server."""

    child: Child
    port: int
    status: str

    async def page(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.status}{path}") as response:
            plain = response.content_type != "application/json"
            return response.status, await (response.text() if plain else response.json())

    async def is_up(self) -> bool:
        try:
            return bool(await self.page("/livez"))
        except aiohttp.ClientError:
            return False

    async def is_ready(self) -> bool:
        return await self.is_up() and (await self.page("/readyz"))[0] == 200


def owner_server(stack: AsyncExitStack, folder: Path, etcd: str, prefix: str, *arguments: str) -> OwnerServer:
    """Spawn a server, which ends with the stack."""
    port, status = free_port(), free_port()
    command = (
        sys.executable, "-m", "cellplane", "ext-proc", "--listen", f"127.0.0.1:{port}",
        "--status-listen", f"127.0.0.1:{status}", "--etcd", etcd, "--etcd-prefix", prefix, *arguments,
    )  # fmt: skip
    child = Child(command, folder / f"ext-proc-{port}.log")
    stack.push_async_callback(child.kill)
    child.spawn()
    return OwnerServer(child, port, f"http://127.0.0.1:{status}")


async def claim(etcd: str, prefix: str, owned: Mapping[Bucket, int]) -> None:
    """Claim buckets for cells, each for an owner of its own."""
    rows = count(1)
    store = EtcdStore((etcd,))
    try:
        claims = StoredClaims(store, ClaimKeyspace.beside(Keyspace(prefix)))
        for cell_id in sorted(set(owned.values())):
            creates = tuple(
                Metadata(
                    bucket=bucket,
                    subject=Subject(SubjectType.NAMESPACE, at := next(rows)),
                    source=Source(SourceType.RAILS_TABLE_ROUTES, at.to_bytes(8, "big")),
                )
                for bucket, owner in owned.items()
                if owner == cell_id
            )
            begun = await claims.begin(ClaimBatch(cell_id=cell_id, creates=creates), f"CELL-{cell_id}")
            assert isinstance(begun, Begun), begun
            closed = await claims.commit(cell_id, begun.lease.uuid, f"CELL-{cell_id}")
            assert closed == Closed(found=True)
    finally:
        await store.close()
