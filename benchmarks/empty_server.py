"""A gRPC server that does nothing: what of a call's cost is the transport's. Run with a port and a method."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import uvloop

QUIET = ("grpc.http2.bdp_probe", 0)
ANSWER = bytes.fromhex("0801120e0a0c3132372e302e302e313a3830")  # proxy to 127.0.0.1:80


async def answer(_: bytes, __: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """Answer, without a look."""
    return ANSWER


async def serve(port: int, method: str, answer: Callable[..., Awaitable[bytes]]) -> None:
    """Serve until killed, with the options of the Topology Service that matter here."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), QUIET])
    _, service, name = method.split("/")
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_registered_method_handlers(service, handlers)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2], answer))
