"""A Topology Service in a thread of its own, for commands, which wait for their answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from cellplane.document_writers import WRITERS
from tests.topology.samples import cell
from tests.topology.service.stage import Stage, playing
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Cell
from topology.store import Store

T = TypeVar("T")


class Topology:
    """The service, and a way to do something on its loop."""

    def __init__(self, stage: Stage, loop: asyncio.AbstractEventLoop) -> None:
        self.stage = stage
        self._loop = loop

    @property
    def address(self) -> str:
        return f"localhost:{self.stage.port}"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def caught_up(self) -> None:
        self.do(self.stage.caught_up())


TWO_CELLS = (cell(1), cell(2, addresses={"web": "https://cell-2.example.com"}))


@contextmanager
def topology_in_a_thread(
    open_store: Callable[[], Store] = MemoryStore,
    keyspace: Keyspace = Keyspace("/service"),  # noqa: B008  a value
    cells: tuple[Cell, ...] = TWO_CELLS,
    *,
    verified: bool = False,
) -> Iterator[Topology]:
    """Run a service until the block ends."""
    started: Future[Topology] = Future()
    done = asyncio.Event()

    async def play() -> None:
        store = open_store()
        try:
            async with playing(store, keyspace, cells, writers=WRITERS, verified=verified) as stage:
                started.set_result(Topology(stage, asyncio.get_running_loop()))
                await done.wait()
        finally:
            await store.close()

    def run() -> None:
        try:
            asyncio.run(play())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="topology")
    thread.start()
    topology: Topology | None = None
    try:
        topology = started.result(10)
        yield topology
    finally:
        if topology is not None:
            topology._loop.call_soon_threadsafe(done.set)
        thread.join(10)
    assert not thread.is_alive()
