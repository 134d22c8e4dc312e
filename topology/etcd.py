"""The store port on etcd 3.4 and later: an asyncio client on our own stubs.

Chosen by the composition root alone. It turns ports' words into etcd's and back; connections and their
failures are `etcd_connection`'s, whole revisions `etcd_batches`'s. It never retries a commit that may have
happened. `etcd Event -> View -> Snapshot -> Response`: where an Event comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Final

import grpc.aio

from pb.etcdserverpb import rpc_pb2
from topology import etcd_leases
from topology.errors import Compacted, Rewound, StoreRefused, StoreUnavailable
from topology.etcd_access import Access, Timeouts
from topology.etcd_batches import Assembly, Progress, progress_of
from topology.etcd_connection import Connection, Endpoints, Metadata
from topology.etcd_failures import is_stale_token
from topology.etcd_messages import conflict_of, record_of, span, together_request, txn_request
from topology.store import Batch, Committed, Conflict, Listing, Record, Txn

WatchCall = grpc.aio.StreamStreamCall[rpc_pb2.WatchRequest, rpc_pb2.WatchResponse]
ANYBODY: Final = Access()
DEFAULT_TIMEOUTS: Final = Timeouts()
_TOO_LARGE: Final = "larger than max"
# For each page etcd goes through all keys that are left: a million in pages of 500 takes minutes.
_LARGEST_PAGE: Final = 16_000
_LARGE_PAGE_BYTES: Final = 4_000_000
_REFUSED_WATCHES: Final = ("permission denied",)  # what etcd before 3.5.8 says of a stale token


__all__ = ["Access", "EtcdStore", "Timeouts"]


class EtcdStore:
    """A `Store` on one etcd with several endpoints (`host:port`). Nothing is sent before it is used.

    `page` is how many records a listing asks for at once, to begin with; `message_bytes` is the largest
    message taken or sent.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        access: Access = ANYBODY,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        page: int = 500,
        message_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._endpoints = Endpoints(tuple(endpoints), access, timeouts, message_bytes)
        self._timeouts = timeouts
        self._page = page
        self._cluster_id = 0

    async def list(self, prefix: str, revision: int | None = None) -> Listing:
        """Give everything below the prefix at one revision, however many pages it takes."""
        start, end = span(prefix)
        at, limit, largest = revision or 0, self._page, _LARGEST_PAGE
        records: list[Record] = []
        while True:
            request = rpc_pb2.RangeRequest(key=start, range_end=end, limit=limit, revision=at)
            try:
                answer = await self._range(request)
            except StoreRefused as error:
                if _TOO_LARGE not in str(error) or limit == 1:
                    raise
                limit = largest = max(1, limit // 2)
                continue
            except Rewound:
                raise Rewound(at) from None
            if not at:
                at, self._cluster_id = answer.header.revision, answer.header.cluster_id
            records += map(record_of, answer.kvs)
            if not answer.more:
                return Listing(at, tuple(records))
            start = answer.kvs[-1].key + b"\0"
            if limit < largest and answer.ByteSize() < _LARGE_PAGE_BYTES:
                limit *= 2

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Give every change below the prefix after a revision, until the watch breaks."""
        start, end = span(prefix)
        create = rpc_pb2.WatchCreateRequest(
            key=start, range_end=end, start_revision=after + 1, progress_notify=True, fragment=True
        )
        ended = asyncio.Event()
        call: WatchCall | None = None
        connection = await self._endpoints.connect()
        try:
            metadata = await self._endpoints.metadata(connection)
            progress = progress_of(await self._version(connection, metadata))
            call = self._open_watch(connection, metadata, create, ended, progress)
            created = await self._read(call, self._timeouts.call)
            if metadata and _is_refused(created):
                call.cancel()
                metadata = await self._endpoints.metadata(connection, renew=True)
                call = self._open_watch(connection, metadata, create, ended, progress)
                created = await self._read(call, self._timeouts.call)
            _raise_if_over(created)
            await self._check_history(start, after, created.header)
            yield Batch(after)
            assembly = Assembly(after, progress)
            silence = self._timeouts.silence if progress.answers else None
            while True:
                response = await self._read(call, silence)
                _raise_if_over(response)
                for batch in assembly.feed(response):
                    yield batch
        except StoreUnavailable:
            await self._endpoints.set_aside(connection)
            raise
        finally:
            ended.set()
            if call is not None:
                call.cancel()

    async def commit(self, txn: Txn) -> Committed | Conflict:
        """Do the transaction if its compares hold; where they don't, tell which and what is there instead."""
        request = txn_request(txn)

        async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.TxnResponse:
            return await connection.kv.Txn(request, metadata=metadata)

        answer = await self._endpoints.call(send, repeatable=not (txn.puts or txn.deletes))
        if answer.succeeded:
            return Committed(answer.header.revision)
        return conflict_of(txn, answer)

    async def commit_together(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        """Do those of the transactions whose compares hold, all at one revision: a `GroupingStore`."""
        request = together_request(txns)

        async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.TxnResponse:
            return await connection.kv.Txn(request, metadata=metadata)

        answer = await self._endpoints.call(send, repeatable=False)
        committed = Committed(answer.header.revision)
        each = zip(txns, (response.response_txn for response in answer.responses), strict=True)
        return tuple(committed if one.succeeded else conflict_of(txn, one) for txn, one in each)

    async def grant(self, seconds: int) -> int:
        """Give a new lease that runs out so many seconds after it was last kept alive, at the earliest."""
        return await etcd_leases.grant(self._endpoints, seconds)

    async def keep_alive(self, lease: int) -> None:
        """Let a lease run from now again. Raises `LeaseGone` where it is over."""
        await etcd_leases.keep_alive(self._endpoints, lease)

    async def revoke(self, lease: int) -> None:
        """End a lease now, with all keys under it; one that is over already is no error."""
        await etcd_leases.revoke(self._endpoints, lease)

    async def versions(self) -> Mapping[str, str]:
        """Give the version of the etcd that answers now, by its endpoint: some versions lose data."""
        connection = await self._endpoints.connect()
        metadata = await self._endpoints.metadata(connection)
        return {connection.endpoint: await self._version(connection, metadata)}

    async def status(self) -> rpc_pb2.StatusResponse:
        """Give what the etcd that answers now says of itself."""
        connection = await self._endpoints.connect()
        metadata = await self._endpoints.metadata(connection)
        call = connection.maintenance.Status(rpc_pb2.StatusRequest(), metadata=metadata)
        return await self._endpoints.guarded(call, self._timeouts.call)

    async def close(self) -> None:
        """Let go of the connections. Running watches end with `StoreUnavailable`."""
        await self._endpoints.close()

    async def _range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        async def send(connection: Connection, metadata: Metadata) -> rpc_pb2.RangeResponse:
            return await connection.kv.Range(request, metadata=metadata)

        return await self._endpoints.call(send, repeatable=True)

    async def _version(self, connection: Connection, metadata: Metadata) -> str:
        if connection.version is None:
            call = connection.maintenance.Status(rpc_pb2.StatusRequest(), metadata=metadata)
            try:
                connection.version = (await self._endpoints.guarded(call, self._timeouts.call)).version
            except StoreRefused:  # this user may not ask: then nothing is taken for granted
                connection.version = ""
        return connection.version

    def _open_watch(
        self,
        connection: Connection,
        metadata: Metadata,
        create: rpc_pb2.WatchCreateRequest,
        ended: asyncio.Event,
        progress: Progress,
    ) -> WatchCall:
        # Without hasleader a watch on a member that is cut off from the others stays silent for ever:
        # https://pkg.go.dev/go.etcd.io/etcd/client/v3#WithRequireLeader
        return connection.watch.Watch(
            self._requests(create, ended, progress), metadata=(*metadata, ("hasleader", "true"))
        )

    async def _read(self, call: WatchCall, seconds: float | None) -> rpc_pb2.WatchResponse:
        response = await self._endpoints.guarded(call.read(), seconds)
        if not isinstance(response, rpc_pb2.WatchResponse):
            raise StoreUnavailable("etcd ended the watch")
        return response

    async def _requests(
        self, create: rpc_pb2.WatchCreateRequest, ended: asyncio.Event, progress: Progress
    ) -> AsyncIterator[rpc_pb2.WatchRequest]:
        yield rpc_pb2.WatchRequest(create_request=create)
        while not ended.is_set():
            try:
                async with asyncio.timeout(self._timeouts.progress):
                    await ended.wait()
            except TimeoutError:
                if progress.answers:
                    yield rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())

    async def _check_history(self, key: bytes, after: int, header: rpc_pb2.ResponseHeader) -> None:
        """See to it that the watch can begin right after the revision, as only a read at that revision tells.

        etcd itself lets a watch begin at the compacted revision, whose deletions are gone by then
        (https://github.com/etcd-io/etcd/issues/18089), and waits for a revision that it has never reached.
        """
        if self._cluster_id not in (0, header.cluster_id):
            raise Rewound(after)
        if header.revision == after or after <= 0:
            return
        request = rpc_pb2.RangeRequest(key=key, revision=after, limit=1, keys_only=True)
        try:
            await self._range(request)
        except Rewound:
            raise Rewound(after, header.revision) from None


def _is_refused(response: rpc_pb2.WatchResponse) -> bool:
    words = response.cancel_reason
    return response.canceled and (is_stale_token(words) or any(each in words for each in _REFUSED_WATCHES))


def _raise_if_over(response: rpc_pb2.WatchResponse) -> None:
    if response.compact_revision:
        raise Compacted(response.compact_revision)
    if response.canceled:
        raise StoreRefused(f"etcd ended the watch: {response.cancel_reason or 'no reason given'}")
