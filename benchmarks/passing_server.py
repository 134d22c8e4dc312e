"""A gRPC server that hands transactions on to an etcd, unread: what a service costs that has nothing to do.

The same library and event loop as the Topology Service's on both sides. Run with a port and etcd's address.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import grpc.aio
import uvloop

TXN = "/etcdserverpb.KV/Txn"


async def serve(port: int, etcd: str) -> None:
    """Serve until killed, with the options of the Topology Service that matter here."""
    quiet = ("grpc.http2.bdp_probe", 0)
    async with grpc.aio.insecure_channel(etcd, [quiet, ("grpc.enable_retries", 0)]) as channel:
        commit: Any = channel.unary_unary(TXN)

        async def hand_on(request: bytes, _: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            answer: bytes = await commit(request)
            return answer

        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), quiet])
        _, service, name = TXN.split("/")
        handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(hand_on)}
        server.add_registered_method_handlers(service, handlers)
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
