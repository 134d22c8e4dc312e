"""What only an operator does to an etcd, over raw calls: our client has no words for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from pb.etcdserverpb import rpc_pb2, rpc_pb2_grpc


@asynccontextmanager
async def raw_kv(endpoint: str) -> AsyncIterator[rpc_pb2_grpc.KVAsyncStub]:
    """Give etcd's own calls."""
    async with grpc.aio.insecure_channel(endpoint, [("grpc.enable_http_proxy", 0)]) as channel:
        yield rpc_pb2_grpc.KVStub(channel)


async def compact(endpoint: str, revision: int) -> None:
    """Throw history away up to a revision."""
    async with raw_kv(endpoint) as kv:
        await kv.Compact(rpc_pb2.CompactionRequest(revision=revision, physical=True))


async def put_raw(endpoint: str, key: bytes, value: bytes) -> int:
    """Write past our client, and give the revision."""
    async with raw_kv(endpoint) as kv:
        answer = await kv.Put(rpc_pb2.PutRequest(key=key, value=value))
        return answer.header.revision


async def require_passwords(endpoint: str, password: str) -> None:
    """Make etcd ask for a user; `root` with this password may do everything."""
    async with grpc.aio.insecure_channel(endpoint, [("grpc.enable_http_proxy", 0)]) as channel:
        auth = rpc_pb2_grpc.AuthStub(channel)
        await auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password=password))
        await auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
        await auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
        await auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="nobody", password=password))
        await auth.AuthEnable(rpc_pb2.AuthEnableRequest())
