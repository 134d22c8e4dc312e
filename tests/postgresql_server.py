"""A real PostgreSQL for tests: on a free port, not run by root, with its data in a folder of its own.

The fixture `postgresql` shares one among the tests of a process, each with a schema of its own;
`postgresql_server` makes one that its test may stop, kill and restart.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from cellplane.demo.free_port import free_port
from tests.processes import Child, eventually

NEEDS_POSTGRESQL: Final = pytest.mark.tools("pg_lsclusters")
PASSWORD: Final = "not-for-other-eyes"
_USER: Final = "cellplane"
_schemas = itertools.count(1)


def _binary(name: str) -> str:
    """Find a program of the server: Debian keeps them where no PATH looks."""
    found = shutil.which(name)
    if found is None:
        found = str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: path.parts[-3]))
    return found


class PostgresServer:
    """One server process. Port and data stay the same over `kill` or `restart` and `start`."""

    def __init__(self, like: PostgresServer | None = None, *, durable: bool = False) -> None:
        """`like`: one that is not running, whose data it begins with. To make them takes seconds.

        `durable`: every commit reaches the disk before it is answered, as in production.
        """
        self._like = like
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.port = free_port()
        self._as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
            self._as_user = ("setpriv", *ids, "--pdeathsig", "KILL")
        self._child = Child(
            (
                *self._as_user,
                _binary("postgres"),
                "-D",
                str(self._folder / "data"),
                *_settings(port=self.port, listen_addresses="127.0.0.1", unix_socket_directories=""),
                *_settings(shared_buffers="32MB", max_connections=60, timezone="UTC"),
                # Safe here: a killed process loses nothing that the kernel already has.
                *(() if durable else _settings(fsync="off", full_page_writes="off")),
            ),
            self._folder / "postgres.log",
        )

    def url(self, schema: str = "", password: str = PASSWORD) -> str:
        """Spell where it is; with a schema, unqualified names mean that one."""
        secret = f":{password}" if password else ""
        rest = f"?search_path={schema}" if schema else ""
        return f"postgresql://{_USER}{secret}@127.0.0.1:{self.port}/postgres{rest}"

    async def start(self) -> None:
        await self.prepare()
        self._child.spawn()
        await self._child.ready(self._answers)

    async def prepare(self) -> None:
        """Make the data, if there is none."""
        data = self._folder / "data"
        if data.exists():
            return
        if self._like is not None:
            copy = ("cp", "-a", str(self._like._folder / "data"), str(data))
            await asyncio.to_thread(subprocess.run, copy, check=True)
            return
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        flags = ("--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256")
        command = (_binary("initdb"), "-D", str(data), "-U", _USER, f"--pwfile={secret}", *flags)
        await asyncio.to_thread(subprocess.run, (*self._as_user, *command), check=True, capture_output=True)

    async def schema(self) -> str:
        """Make a schema of a test's own and give its URL."""
        name = f"test_{next(_schemas)}"
        await self.execute(f"CREATE SCHEMA {name}")
        return self.url(name)

    async def execute(self, statement: str, url: str = "") -> None:
        connection = await asyncpg.connect(url or self.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def restart(self) -> None:
        self._child.signal(signal.SIGINT)  # it sends everybody away; SIGTERM would wait until they go
        await self._child.stop()
        await self.start()

    async def kill(self) -> None:
        """Kill the server, the way a machine dies; its other processes notice it by themselves."""
        others = _children(self._child.pid) if self._child.running else []
        await self._child.kill()

        async def gone() -> bool:
            return not any(map(_exists, others))

        # Till then the next one finds their shared memory in use, and refuses to start.
        await eventually(gone, "the processes of a dead server to end")

    async def stop(self) -> None:
        """End it for good, and remove its data."""
        if self._child.running:
            self._child.signal(signal.SIGQUIT)  # at once, whoever is connected
        await self._child.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _answers(self) -> bool:
        try:
            await self.execute("SELECT")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _exists(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


def _settings(**settings: object) -> tuple[str, ...]:
    return tuple(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
