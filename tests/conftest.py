"""Fixtures that every suite shares: free ports, a real etcd, real Envoys. What a test starts ends with it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

from cellplane.demo.free_port import free_port
from tests.envoy_process import Bootstrap, EnvoyProcess, envoy_path, validate_envoy
from tests.etcd_server import EtcdServer
from tests.postgresql_server import PostgresServer
from tests.tools import APT, debian_tools, demand_tools, tools_required, why_no_docker

_prefixes = itertools.count(1)

# No deadline: on a busy machine it would fail an example for being slow, once.
hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


class StartEtcd(Protocol):
    def __call__(self, arguments: Sequence[str] = (), scheme: str = "http") -> Awaitable[EtcdServer]: ...


class StartEnvoy(Protocol):
    def __call__(self, bootstrap: Bootstrap, wait_ready: bool = True) -> Awaitable[EnvoyProcess]: ...


class Accepts(Protocol):
    def __call__(self, bootstrap: Bootstrap) -> Awaitable[None]: ...


def pytest_collection(session: pytest.Session) -> None:
    """Let each worker import the tests beginning at another place, so that none is compiled by more than one.

    All workers collect all tests, and a fresh clone has yet to rewrite the assertions of 480 modules.
    """
    gc.disable()  # what is collected stays, so to look for garbage in it finds none
    worker = getattr(session.config, "workerinput", None)
    if worker and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        names = sorted(".".join(path.with_suffix("").parts) for path in Path("tests").rglob("test_*.py"))
        first = len(names) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        for name in names[first:] + names[:first]:
            # What it fails with is told in its place, when it is collected.
            with suppress(Exception, pytest.skip.Exception):
                import_module(name)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and (reason := why_no_docker()):
        pytest.skip(reason)
    if wanted := tuple(name for marker in item.iter_markers("tools") for name in marker.args):
        demand_tools(wanted, debian_tools(APT.read_text(encoding="utf-8")), tools_required())


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Give a port that refuses connections, and hold it: a free one may be another test's in a moment."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        yield held.getsockname()[1]


@pytest.fixture(name="free_port")
def free_port_fixture() -> Callable[[], int]:
    """Give a function that returns another free port at each call."""
    return free_port


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One etcd for all tests: use keys below `etcd_prefix`, and never stop or compact it."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def etcd_prefix() -> str:
    """Give a key prefix of this test's own in the shared etcd."""
    return f"/test-{next(_prefixes)}"


@pytest.fixture
async def etcd_server(tmp_path: Path) -> AsyncIterator[StartEtcd]:
    """Start an etcd of the test's own, which it may stop, kill, pause, compact and restart."""
    async with AsyncExitStack() as stack:
        numbers = itertools.count(1)

        async def start(arguments: Sequence[str] = (), scheme: str = "http") -> EtcdServer:
            server = EtcdServer(tmp_path / f"etcd-{next(numbers)}", arguments, scheme)
            stack.push_async_callback(server.stop)
            await server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[PostgresServer]:
    """Give a PostgreSQL that is never started: the data that others begin with."""
    server = PostgresServer()
    try:
        asyncio.run(server.prepare())
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture(scope="session")
def postgresql(new_postgresql: PostgresServer) -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests: each has a schema of its own, and never stops it."""
    server = PostgresServer(new_postgresql)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
async def postgresql_server(new_postgresql: PostgresServer) -> AsyncIterator[PostgresServer]:
    """Give a PostgreSQL of the test's own, which it may kill and restart."""
    server = PostgresServer(new_postgresql)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """Give the path of a real Envoy."""
    return envoy_path()


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[StartEnvoy]:
    """Start an Envoy with a bootstrap and wait until it serves. At the end none may have missed endpoints."""
    async with AsyncExitStack() as stack:
        numbers = itertools.count(1)

        async def start(bootstrap: Bootstrap, wait_ready: bool = True) -> EnvoyProcess:
            process = EnvoyProcess(bootstrap, tmp_path / f"envoy-{next(numbers)}")
            stack.push_async_callback(process.stop)
            await process.start(wait_ready)
            stack.push_async_callback(process.never_fell_back)
            return process

        yield start


@pytest.fixture
def envoy_accepts(tmp_path: Path) -> Accepts:
    """Give a function that fails with Envoy's words when `envoy --mode validate` refuses a bootstrap."""

    async def accepts(bootstrap: Bootstrap) -> None:
        await validate_envoy(bootstrap, tmp_path)

    return accepts
