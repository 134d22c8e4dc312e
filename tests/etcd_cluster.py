"""A real etcd of three members for tests, whose leader can be moved, or killed where that is safe.

etcd 3.5.0 to 3.5.2 can lose committed data when a member is killed (etcd issue 13766), and the one that tests
bring along is of these. So only another program's leader is killed.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cellplane.demo.free_port import free_port
from tests.etcd_server import EtcdServer, etcd_binary

LOSES_DATA = ("3.5.0", "3.5.1", "3.5.2")


class EtcdCluster:
    """Three etcd processes that elect a leader. `endpoints` is what clients are told."""

    def __init__(self, folder: Path, program: str = "") -> None:
        self._program = program or etcd_binary()
        peers = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
        together = ",".join(f"m{at}={peer}" for at, peer in enumerate(peers))
        self._members = [
            EtcdServer(
                folder / f"m{at}",
                (
                    f"--name=m{at}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster={together}",
                    # On a busy machine members are slow, and not to be taken for dead.
                    "--heartbeat-interval=50",
                    "--election-timeout=500",
                ),
                program=self._program,
            )
            for at, peer in enumerate(peers)
        ]

    @property
    def endpoints(self) -> str:
        return ",".join(member.endpoint for member in self._members)

    async def start(self) -> None:
        await asyncio.gather(*(member.start() for member in self._members))

    async def stop(self) -> None:
        await asyncio.gather(*(member.kill() for member in self._members))

    async def version(self) -> str:
        """Say which etcd it is."""
        return (await _output(self._program, "--version")).split()[2]

    async def move_leader(self) -> None:
        """Have the leader hand over to another member."""
        ids, leader = await self._status()
        other = next(each for at, each in enumerate(ids) if at != leader)
        await self._control("move-leader", f"{other:x}", endpoints=self._members[leader].endpoint)

    async def kill_leader(self) -> None:
        """Kill the leader; it comes back after the others have elected another."""
        if await self.version() in LOSES_DATA:
            raise AssertionError("this etcd can lose committed data when a member is killed")
        _, leader = await self._status()
        await self._members[leader].kill()
        await self._members[leader - 1].ready()
        await self._members[leader].start()

    async def _status(self) -> tuple[list[int], int]:
        """Give the ids of the members, and which of them leads."""
        found = json.loads(await self._control("endpoint", "status", "--write-out=json"))
        at = {each["Endpoint"]: each["Status"] for each in found}
        ids = [at[member.endpoint]["header"]["member_id"] for member in self._members]
        return ids, ids.index(at[self._members[0].endpoint]["leader"])

    async def _control(self, *arguments: str, endpoints: str = "") -> str:
        return await _output(etcd_binary("etcdctl"), f"--endpoints={endpoints or self.endpoints}", *arguments)


async def _output(*command: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, _list(command), capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _list(command: Sequence[str]) -> list[str]:
    return list(command)
