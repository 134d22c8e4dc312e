"""What grpc.aio itself takes for a push: a server that writes prepared bytes and reads what comes back.

`fanout_turns.py` speaks to it as to `fanout_server.py`, whose settings it has. Each request is parsed; the
first one of a type is answered with all there is of it, an acknowledgement is not answered. It keeps no
books.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any, TypeAlias

import grpc
import uvloop
from grpc import aio

from benchmarks.fanout_server import Configuration, usage
from pb.envoy.service.discovery.v3 import discovery_pb2
from xds.collector import calm_collector
from xds.options import ServerOptions
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.wire import Composer

SERVICE, METHOD = "envoy.service.discovery.v3.AggregatedDiscoveryService", "DeltaAggregatedResources"
Context: TypeAlias = aio.ServicerContext[Any, Any]


async def serve(clusters: int) -> None:
    """Serve until the input ends."""
    configuration, composer = Configuration(clusters), Composer("bare")
    snapshot = configuration.snapshot()
    everything = {
        kind.type_url: composer.delta(kind, "1", snapshot.of_type(kind).values()).payload
        for kind in (CLUSTER, ENDPOINT, LISTENER, ROUTE)
    }
    streams: list[Context] = []

    async def stream(_: object, context: Context) -> None:
        streams.append(context)
        while True:
            message: Any = await context.read()
            if message is aio.EOF:
                return
            request = discovery_pb2.DeltaDiscoveryRequest.FromString(message)
            if not request.response_nonce:
                await context.write(everything[request.type_url])

    server = aio.server(options=ServerOptions(streams_per_second=0).channel())
    handler: Any = grpc.stream_stream_rpc_method_handler(stream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    calm_collector()
    print(json.dumps(port), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := (await reader.readline()).decode().strip():
        answer: object = usage()
        if line == "eds":
            snapshot = configuration.change(ENDPOINT)
            changed = next(iter(snapshot.of_type(ENDPOINT).values()))
            payload = composer.delta(ENDPOINT, str(snapshot.revision), [changed]).payload
            answer = time.monotonic()
            await asyncio.gather(*(context.write(payload) for context in streams))
        print(json.dumps(answer), flush=True)
    await server.stop(0.1)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, required=True)
    uvloop.run(serve(parser.parse_args().clusters))


if __name__ == "__main__":
    main()
