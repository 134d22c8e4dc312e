"""The port's words in etcd's, and back: ranges, transactions, records, events.

`etcd` and `etcd_batches` translate with it. It does no I/O. `etcd Event -> View -> Snapshot -> Response`:
how an Event is spelled on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from topology.store import Conflict, Event, EventKind, Record, Txn

_MOD: Final = rpc_pb2.Compare.MOD  # compared for EQUAL, which is 0: unless another is set
_DELETE: Final = kv_pb2.Event.DELETE


def span(prefix: str) -> tuple[bytes, bytes]:
    """Give the range of keys that begin with the prefix."""
    start = prefix.encode()
    trimmed = start.rstrip(b"\xff")
    if not trimmed:
        return start or b"\0", b"\0"
    return start, trimmed[:-1] + bytes((trimmed[-1] + 1,))


def txn_request(txn: Txn) -> rpc_pb2.TxnRequest:
    """Spell a transaction: on failure it reads every compared key, to tell what is there instead.

    Each part is filled in where it stands: built by itself and copied, it takes four times as long.
    """
    request = rpc_pb2.TxnRequest()
    _spell(txn, request)
    return request


def together_request(txns: Iterable[Txn]) -> rpc_pb2.TxnRequest:
    """Spell transactions as one of which each is an operation. etcd judges all compares before it writes."""
    request = rpc_pb2.TxnRequest()
    success = request.success
    for txn in txns:
        _spell(txn, success.add().request_txn)
    return request


def _spell(txn: Txn, request: rpc_pb2.TxnRequest) -> None:
    compare, success, failure = request.compare, request.success, request.failure
    for each in txn.compares:
        key = each.key.encode()
        guard = compare.add()
        guard.key, guard.target, guard.mod_revision = key, _MOD, each.mod_revision
        failure.add().request_range.key = key
    for name, value in txn.puts:
        put = success.add().request_put
        put.key, put.value, put.lease = name.encode(), value, txn.lease
    for name in txn.deletes:
        success.add().request_delete_range.key = name.encode()


def conflict_of(txn: Txn, answer: rpc_pb2.TxnResponse) -> Conflict:
    """Tell which compares failed, and what is there instead."""
    failed: list[str] = []
    found: list[Record] = []
    for compare, response in zip(txn.compares, answer.responses, strict=True):
        records = [record_of(kv) for kv in response.response_range.kvs]
        if compare.mod_revision != (records[0].mod_revision if records else 0):
            failed.append(compare.key)
            found += records
    return Conflict(tuple(failed), tuple(found))


def record_of(kv: kv_pb2.KeyValue) -> Record:
    """Translate a record. A key that is no UTF-8 is shown with its odd bytes escaped; it has no meaning
    here.
    """
    return Record(key_of(kv), kv.value, kv.create_revision, kv.mod_revision, kv.version)


def key_of(kv: kv_pb2.KeyValue) -> str:
    """Spell a key as text."""
    return kv.key.decode("utf-8", "backslashreplace")


def event_of(event: kv_pb2.Event) -> Event:
    """Translate an event."""
    kv = event.kv
    if event.type == _DELETE:
        return Event(EventKind.DELETE, key_of(kv), kv.mod_revision)
    record = record_of(kv)
    return Event(EventKind.PUT, record.key, record.mod_revision, record)
