"""Start what the application needs, let it be used by two cells, let it die, and mend what that left.

Every sentence that is printed was checked before. All that is started ends with it.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from app import App, running

from cellplane.demo.free_port import free_port
from cellplane.demo.processes import Child, start_child, wait_until
from cellplane.demo.programs import find_etcd
from topology.client.errors import NameTaken
from topology.client.reconcile import Commit, Rollback

HERE = Path(__file__).parent


def say(sentence: str, held: object) -> None:
    """Print what has been seen; stop where it has not."""
    if not held:
        raise SystemExit(f"NOT SO: {sentence}")
    print(f"  ✓ {sentence}", flush=True)


def postgresql(name: str) -> str:
    """Find a program of PostgreSQL; Debian keeps the server's where no PATH looks."""
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        raise SystemExit(f"{name} is not there: install PostgreSQL (Debian: apt-get install postgresql)")
    return found


async def start_postgresql(folder: Path) -> tuple[Child, str]:
    """Start a PostgreSQL that only this machine reaches, and give its URL."""
    port, as_user, data = free_port(), [], folder / "postgresql"
    data.mkdir()
    if os.geteuid() == 0:  # which it refuses to run as
        user = pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chmod(folder, 0o755)  # noqa: PTH101, S103  it may pass through to what is its own
        ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        as_user = ["setpriv", *ids, "--pdeathsig", "KILL"]
    initdb = [*as_user, postgresql("initdb"), "-D", str(data), "-U", "app", "--auth=trust", "--no-sync"]
    await asyncio.to_thread(subprocess.run, initdb, check=True, capture_output=True)
    where = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    command = [*as_user, postgresql("postgres"), "-D", str(data), *where]
    return await start_child("postgresql", command, folder / "postgresql.log"), (
        f"postgresql://app@127.0.0.1:{port}/postgres"
    )


async def answers(url: str) -> bool:
    """Tell whether the database answers."""
    try:
        await (await asyncpg.connect(url)).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True


async def cellplane(*arguments: str) -> int:
    """Run a command of ours, and give its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cellplane", *arguments, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Start PostgreSQL, etcd and the Topology Service with two cells; give the database and the service."""
    async with AsyncExitStack() as stack:

        async def child(name: str, *command: str) -> Child:
            running_child = await start_child(name, command, folder / f"{name}.log")
            stack.push_async_callback(running_child.stop)
            return running_child

        database, url = await start_postgresql(folder)
        stack.push_async_callback(database.stop)
        client, peer, topology, status = (f"127.0.0.1:{free_port()}" for _ in range(4))
        await child(
            "etcd", str(find_etcd()), "--data-dir", str(folder / "etcd"), "--log-level=error",
            f"--listen-client-urls=http://{client}", f"--advertise-client-urls=http://{client}",
            f"--listen-peer-urls=http://{peer}", f"--initial-advertise-peer-urls=http://{peer}",
            f"--initial-cluster=default=http://{peer}",
        )  # fmt: skip
        service = await child(
            "topology", sys.executable, "-m", "cellplane", "topology", "--etcd", client,
            "--listen", topology, "--status-listen", status,
        )  # fmt: skip
        await wait_until(lambda: answers(url), database, 20, "PostgreSQL")
        for cell in ("1", "2"):
            add = ("cells", "add", "--id", cell, "--endpoint", f"127.0.0.1:{cell}", "--topology", topology)

            async def added(add: tuple[str, ...] = add) -> bool:
                return await cellplane(*add) == 0

            await wait_until(added, service, 30, f"cell {cell}")
        for cell in ("1", "2"):
            connection = await asyncpg.connect(url)
            await connection.execute(f"CREATE SCHEMA cell_{cell}")
            await connection.close()
        yield url, topology


async def until(look: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """Wait until something is so: the service lists from memory, which follows a moment later."""
    async with asyncio.timeout(10):
        while not await look():  # noqa: ASYNC110  a server can't set an event
            await asyncio.sleep(0.02)
    return True


async def show(url: str, topology: str) -> None:
    """Use the application, in two cells."""
    places = {cell: f"{url}?search_path=cell_{cell}" for cell in (1, 2)}
    async with running(places[1], topology, 1) as one, running(places[2], topology, 2) as two:
        print("A name is taken")
        await one.create("acme", namespace_id=7)
        try:
            await two.create("acme", namespace_id=8)
            taken = ""
        except NameTaken as error:
            taken = str(error)
        say(f"cell 2 is told: {taken}", "already claimed by cell 1" in taken)
        say("its transaction left no row", await paths(two) == set())

        print("A process dies")
        for name, die in (("never", "before"), ("surely", "after")):
            code = await die_over(places[1], topology, name, die)
            say(f"one died {die} its local commit of {name!r}", code == 9)
        say("of the two rows one is there", await paths(one) == {"acme", "surely"})
        say("both names are held by a lease", await until(lambda: has_leases(one, 2)))
        noted = set(await one.rows())
        later = datetime.now(UTC) + timedelta(minutes=6)
        done = await one.reconcile(later)
        say(
            "six minutes later reconciliation commits the one with a row, and takes the other back",
            sorted(type(each).__name__ for each in done) == [Commit.__name__, Rollback.__name__]
            and {each.lease for each in done if isinstance(each, Commit)} == noted,
        )
        say("nothing is left open", await until(lambda: has_leases(one, 0)) and await one.rows() == {})
        await two.create("never", namespace_id=8)
        say("the other cell may have the name that was never committed", await paths(two) == {"never"})

        print("Rows and claims drift apart")
        await one.database.execute("DELETE FROM routes WHERE path = 'acme'")
        await one.database.execute("INSERT INTO routes (path, namespace_id) VALUES ('bulk', 7), ('never', 7)")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        drift = await one.verify(tomorrow)
        missing, extra = ({each.bucket.value for each in part} for part in (drift.missing, drift.extra))
        say(f"verification finds {sorted(missing)} missing, {sorted(extra)} too much",
            (missing, extra) == ({"bulk", "never"}, {"acme"}))  # fmt: skip
        held = await one.claims.mend(drift)
        say("mended, but for 'never', which cell 2 has: a person has to look",
            [each.bucket.value for each in held] == ["never"])  # fmt: skip

        async def settled() -> bool:
            left = await one.verify(tomorrow)
            return (left.missing, left.extra) == (held, ())

        say("everything else agrees", await until(settled))


async def paths(app: App) -> set[str]:
    """Give the paths of an application's rows."""
    return {row["path"] for row in await app.database.fetch("SELECT path FROM routes")}


async def has_leases(app: App, number: int) -> bool:
    """Tell whether the service knows so many open leases of the cell."""
    return len(await app.claims.leases()) == number


async def die_over(url: str, topology: str, path: str, die: str) -> int:
    """Run the application in a process that dies, and give its exit code."""
    environment = {**os.environ, "DATABASE_URL": url, "TOPOLOGY": topology, "CELL_ID": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "app.py"), "create", path, "--die", die, env=environment
    )
    return await process.wait()


async def main() -> None:
    """Start, show, stop."""
    with tempfile.TemporaryDirectory(prefix="claims-in-an-app-") as folder:
        async with started(Path(folder)) as (url, topology):
            await show(url, topology)
    print("All of it was so.")


if __name__ == "__main__":
    asyncio.run(main())
