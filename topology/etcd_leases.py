"""Leases on etcd: taken, kept alive and given back, on whichever endpoint answers.

`etcd.EtcdStore` hands its endpoints in. It keeps no lease by itself and starts no task.
`etcd Event -> View -> Snapshot -> Response`: beside the Event, for keys that end with who wrote them.
"""

from __future__ import annotations

from pb.etcdserverpb import rpc_pb2
from topology.errors import LeaseGone, StoreUnavailable
from topology.etcd_connection import Connection, Endpoints, Metadata


async def grant(endpoints: Endpoints, seconds: int) -> int:
    """Take a new lease; of one that was granted twice because an answer got lost, one runs out unused."""
    request = rpc_pb2.LeaseGrantRequest(TTL=seconds)

    async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.LeaseGrantResponse:
        return await connection.lease.LeaseGrant(request, metadata=metadata)

    return (await endpoints.call(send, repeatable=True)).ID


async def keep_alive(endpoints: Endpoints, lease: int) -> None:
    """Let a lease run from now again. Raise `LeaseGone` where it is over."""
    request = rpc_pb2.LeaseKeepAliveRequest(ID=lease)

    async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.LeaseKeepAliveResponse:
        # etcd has no call for it, only a stream.
        call = connection.lease.LeaseKeepAlive(metadata=metadata)
        try:
            await call.write(request)
            answer = await call.read()
        finally:
            call.cancel()
        if not isinstance(answer, rpc_pb2.LeaseKeepAliveResponse):
            raise StoreUnavailable("etcd ended the call that keeps a lease alive")
        return answer

    if (await endpoints.call(send, repeatable=True)).TTL <= 0:
        raise LeaseGone(f"lease {lease:x} is over")


async def revoke(endpoints: Endpoints, lease: int) -> None:
    """End a lease now; one that is over already is no error."""
    request = rpc_pb2.LeaseRevokeRequest(ID=lease)

    async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.LeaseRevokeResponse:
        return await connection.lease.LeaseRevoke(request, metadata=metadata)

    try:
        await endpoints.call(send, repeatable=True)
    except LeaseGone:
        return
