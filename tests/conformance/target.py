"""`python -m tests.conformance.target --xds PORT --adapter PORT`: our xDS server, and the service by which
the public xds-test-harness sets what it has.

The server is the one that production runs, with its defaults. Each node is a group of its own, and the
versions of its types are called what the harness calls them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from tests.conformance.adapter_api import handlers, message
from tests.conformance.resources import SERVED, name_of, resource
from xds.cache import Cache
from xds.errors import ListenError
from xds.resource import Reference, Resource, ResourceType
from xds.server import AdsServer
from xds.snapshot import Snapshot

BY_URL = {kind.type_url: kind for kind in SERVED}
THREADS: Final = Path("/proc/self/task")
YIELD_SECONDS: Final = 0.0005
"""Long enough for the kernel to let another thread run."""
TURNS: Final = 20
"""Turns of the event loop; a message that a thread has read takes a few to its stream."""

Context = aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class State:
    """What one node has."""

    resources: dict[Reference, Resource] = field(default_factory=dict)
    labels: dict[ResourceType, str] = field(default_factory=dict)


@dataclass(slots=True)
class Adapter:
    """Sets the state of nodes. When a call is answered, the server offers the change to its streams
    already.
    """

    cache: Cache
    _states: dict[str, State] = field(default_factory=dict)
    _edition: int = 0

    async def set_state(self, request: Any, context: Context) -> Any:
        """Replace all that a node has. Of each resource in the request its type and its name count."""
        await self._check(context, node=request.node, version=request.version)
        state = State()
        for number, packed in enumerate(request.resources):
            kind = BY_URL.get(packed.type_url)
            if kind is None:
                await _refuse(context, f"resources[{number}].type_url", packed.type_url, _one_of_these())
            try:
                name = name_of(kind, packed.value)
            except DecodeError:
                await _refuse(context, f"resources[{number}].value", "", f"a serialised {kind.type_url}")
            if not name:
                await _refuse(context, f"resources[{number}]", "", "a resource with a name")
            self._put(state, kind, name, request.version)
        self._states[request.node] = state
        await self._publish(request.node)
        return message("SetStateResponse", success=True)

    async def clear_state(self, request: Any, context: Context) -> Any:
        """Take away all that a node has."""
        await self._check(context, node=request.node)
        self._states[request.node] = State()
        await self._publish(request.node)
        return message("ClearStateResponse", response=f"{request.node} has nothing now")

    async def update_resource(self, request: Any, context: Context) -> Any:
        """Change what is in a resource."""
        await self._check(context, version=request.version)
        kind, state = await self._found(request, context, there=True)
        self._put(state, kind, request.resourceName, request.version)
        await self._publish(request.node)
        return message("UpdateResourceResponse", success=True)

    async def add_resource(self, request: Any, context: Context) -> Any:
        await self._check(context, version=request.version)
        kind, state = await self._found(request, context, there=False)
        self._put(state, kind, request.resourceName, request.version)
        await self._publish(request.node)
        return message("AddResourceResponse", success=True)

    async def remove_resource(self, request: Any, context: Context) -> Any:
        kind, state = await self._found(request, context, there=True)
        del state.resources[kind, request.resourceName]
        self._edition += 1
        if request.version:
            state.labels[kind] = request.version
        await self._publish(request.node)
        return message("RemoveResourceResponse", success=True)

    def _put(self, state: State, kind: ResourceType, name: str, version: str) -> None:
        self._edition += 1
        state.resources[kind, name] = resource(kind, name, self._edition % 50_000)
        state.labels[kind] = version

    async def _publish(self, node: str) -> None:
        """Publish what the node has now, once its streams have read what had reached them.

        A client that unsubscribes and then asks for a change does so on two connections, which threads of
        gRPC's read in no particular order.
        """
        busy = threads_at_work(THREADS.iterdir() if THREADS.exists() else ())
        while busy:
            await asyncio.sleep(YIELD_SECONDS)
            busy = threads_at_work(busy)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        state = self._states[node]
        self.cache.publish(node, Snapshot.of(self._edition, state.resources.values(), dict(state.labels)))

    async def _check(self, context: Context, **fields: str) -> None:
        for name, value in fields.items():
            if not value:
                await _refuse(context, name, value, "a text that is not empty")

    async def _found(self, request: Any, context: Context, *, there: bool) -> tuple[ResourceType, State]:
        """Find what a request about one resource means, which is there or is not."""
        await self._check(context, node=request.node, resourceName=request.resourceName)
        kind = BY_URL.get(request.typeUrl)
        if kind is None:
            await _refuse(context, "typeUrl", request.typeUrl, _one_of_these())
        state = self._states.get(request.node)
        if state is None:
            await _refuse(context, "node", request.node, "a node whose state was set: call SetState first")
        if ((kind, request.resourceName) in state.resources) is not there:
            fix = (
                "one that exists: call AddResource first" if there else "one that is new: call UpdateResource"
            )
            await _refuse(context, "resourceName", request.resourceName, fix)
        return kind, state


def threads_at_work(threads: Iterable[Path]) -> list[Path]:
    """Return which of these threads have something to do, be they running or waiting for their turn.

    What reaches a socket wakes one, and what it read is on its way to a stream when it is asleep again.
    """
    own = str(threading.get_native_id())
    return [thread for thread in threads if thread.name != own and _state(thread) == "R"]


def _state(thread: Path) -> str:
    try:
        # `pid (name) state …`, and a name may hold anything.
        return (thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "ended"


def _one_of_these() -> str:
    return "one of " + ", ".join(BY_URL)


async def _refuse(context: Context, name: str, value: str, wanted: str) -> NoReturn:
    text = f"{name}: got {value!r}, wanted {wanted}"
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)


@asynccontextmanager
async def serving(host: str, xds_port: int, adapter_port: int) -> AsyncIterator[tuple[int, int]]:
    """Serve both, and give their ports. Raises ListenError where a port is taken."""
    cache = Cache()
    adapter = Adapter(cache)
    server = AdsServer(cache, lambda node, _: node.id, identifier="conformance")
    control = aio.server(options=[("grpc.so_reuseport", 0)])
    methods = {
        "SetState": adapter.set_state,
        "ClearState": adapter.clear_state,
        "UpdateResource": adapter.update_resource,
        "AddResource": adapter.add_resource,
        "RemoveResource": adapter.remove_resource,
    }
    control.add_generic_rpc_handlers((handlers(methods),))
    port = await server.start(f"{host}:{xds_port}")
    try:
        try:
            control_port = control.add_insecure_port(f"{host}:{adapter_port}")
        except RuntimeError as error:
            raise ListenError(
                f"can't listen on {host}:{adapter_port}: the port is taken, or is not ours"
            ) from error
        await control.start()
        yield port, int(control_port)
    finally:
        await control.stop(0)
        await server.stop(0)


async def run(host: str, xds_port: int, adapter_port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(host, xds_port, adapter_port) as (xds, adapter):
        print(f"ready: xds {host}:{xds}, adapter {host}:{adapter}", flush=True)
        await stop.wait()


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 (any free one) to 65535")
    return number


def main(arguments: Sequence[str]) -> int:
    """Run the target as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.target", description=__doc__)
    parser.add_argument("--xds", type=_port, required=True, metavar="PORT", help="where clients connect")
    parser.add_argument("--adapter", type=_port, required=True, metavar="PORT", help="where the state is set")
    parser.add_argument("--host", default="127.0.0.1", help="the address of both (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.xds and chosen.xds == chosen.adapter:
        parser.error(f"--xds and --adapter are both {chosen.xds}; give each a port of its own")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run(chosen.host, chosen.xds, chosen.adapter))
    except ListenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
