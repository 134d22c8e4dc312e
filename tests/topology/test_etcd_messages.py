from __future__ import annotations

import pytest

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from topology.etcd_messages import conflict_of, event_of, key_of, record_of, span, txn_request
from topology.store import Compare, Conflict, Event, EventKind, Record, Txn


@pytest.mark.parametrize(
    ("prefix", "start", "end"),
    [
        ("/cellplane/v1/", b"/cellplane/v1/", b"/cellplane/v10"),
        ("a", b"a", b"b"),
        ("aÿ", b"a\xc3\xbf", b"a\xc3\xc0"),
        ("", b"\0", b"\0"),
    ],
)
def test_a_prefix_is_a_range(prefix: str, start: bytes, end: bytes) -> None:
    assert span(prefix) == (start, end)


def test_a_transaction_is_spelled_out() -> None:
    txn = Txn((Compare("/a", 7), Compare("/b", 0)), (("/a", b"1"), ("/c", b"2")), ("/d",))
    request = txn_request(txn)
    assert [(each.key, each.mod_revision) for each in request.compare] == [(b"/a", 7), (b"/b", 0)]
    assert all(each.target == rpc_pb2.Compare.MOD for each in request.compare)
    assert all(each.result == rpc_pb2.Compare.EQUAL for each in request.compare)
    # An expected revision of 0 must be there on the wire: it means that the key is absent.
    assert request.compare[1].WhichOneof("target_union") == "mod_revision"
    assert [(each.request_put.key, each.request_put.value) for each in request.success[:2]] == [
        (b"/a", b"1"),
        (b"/c", b"2"),
    ]
    assert request.success[2].request_delete_range == rpc_pb2.DeleteRangeRequest(key=b"/d")
    assert [each.request_range.key for each in request.failure] == [b"/a", b"/b"]


def test_a_conflict_tells_what_is_there() -> None:
    txn = Txn((Compare("/a", 7), Compare("/b", 0), Compare("/c", 5)))
    there = kv_pb2.KeyValue(key=b"/b", value=b"x", create_revision=3, mod_revision=4, version=2)
    same = kv_pb2.KeyValue(key=b"/a", value=b"y", create_revision=7, mod_revision=7, version=1)

    def ranged(*kvs: kv_pb2.KeyValue) -> rpc_pb2.ResponseOp:
        return rpc_pb2.ResponseOp(response_range=rpc_pb2.RangeResponse(kvs=kvs))

    answer = rpc_pb2.TxnResponse(responses=[ranged(same), ranged(there), ranged()])
    assert conflict_of(txn, answer) == Conflict(("/b", "/c"), (Record("/b", b"x", 3, 4, 2),))


def test_records_and_events() -> None:
    kv = kv_pb2.KeyValue(key=b"/a", value=b"\xff", create_revision=3, mod_revision=9, version=4)
    assert record_of(kv) == Record("/a", b"\xff", 3, 9, 4)
    assert event_of(kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv)) == Event(
        EventKind.PUT, "/a", 9, record_of(kv)
    )
    gone = kv_pb2.KeyValue(key=b"/a", mod_revision=10)
    assert event_of(kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=gone)) == Event(EventKind.DELETE, "/a", 10)


def test_a_key_of_odd_bytes_can_be_shown() -> None:
    assert key_of(kv_pb2.KeyValue(key=b"/a\xff\xc3\xbc")) == "/a\\xffü"
