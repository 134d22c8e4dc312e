"""A gRPC server that hands transactions on to an etcd, unread: what a service costs that has nothing to do.

The same library and event loop as the Topology Service's on both sides. Run with a port and etcd's address.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc.aio
import uvloop

from benchmarks.empty_server import QUIET, serve

TXN = "/etcdserverpb.KV/Txn"


async def hand_on(port: int, etcd: str) -> None:
    """Serve until killed."""
    async with grpc.aio.insecure_channel(etcd, [QUIET, ("grpc.enable_retries", 0)]) as channel:
        commit: Any = channel.unary_unary(TXN)

        async def answer(request: bytes, _: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            answered: bytes = await commit(request)
            return answered

        await serve(port, TXN, answer)


if __name__ == "__main__":
    uvloop.run(hand_on(int(sys.argv[1]), sys.argv[2]))
