"""The port's words in etcd's, and back: ranges, transactions, records, events.

`etcd` and `etcd_batches` translate with it. It does no I/O. `etcd Event -> View -> Snapshot -> Response`:
how an Event is spelled on the wire.
"""

from __future__ import annotations

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from topology.store import Conflict, Event, EventKind, Record, Txn


def span(prefix: str) -> tuple[bytes, bytes]:
    """Give the range of keys that begin with the prefix."""
    start = prefix.encode()
    trimmed = start.rstrip(b"\xff")
    if not trimmed:
        return start or b"\0", b"\0"
    return start, trimmed[:-1] + bytes((trimmed[-1] + 1,))


def txn_request(txn: Txn) -> rpc_pb2.TxnRequest:
    """Spell a transaction: on failure it reads every compared key, to tell what is there instead."""
    return rpc_pb2.TxnRequest(
        compare=[
            rpc_pb2.Compare(
                key=each.key.encode(),
                target=rpc_pb2.Compare.MOD,
                result=rpc_pb2.Compare.EQUAL,
                mod_revision=each.mod_revision,
            )
            for each in txn.compares
        ],
        success=[
            *(
                rpc_pb2.RequestOp(
                    request_put=rpc_pb2.PutRequest(key=key.encode(), value=value, lease=txn.lease)
                )
                for key, value in txn.puts
            ),
            *(
                rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key.encode()))
                for key in txn.deletes
            ),
        ],
        failure=[
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=each.key.encode()))
            for each in txn.compares
        ],
    )


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
    return kv.key.decode(errors="backslashreplace")


def event_of(event: kv_pb2.Event) -> Event:
    """Translate an event."""
    if event.type == kv_pb2.Event.DELETE:
        return Event(EventKind.DELETE, key_of(event.kv), event.kv.mod_revision)
    return Event(EventKind.PUT, key_of(event.kv), event.kv.mod_revision, record_of(event.kv))
