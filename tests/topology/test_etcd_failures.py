"""What etcd says, in our words; and which of its refusals a new token mends."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from topology.errors import Compacted, LeaseGone, Rewound, StoreError, StoreRefused, StoreUnavailable
from topology.etcd_failures import closed_by_others, is_stale_token, raise_as_ours


@pytest.mark.parametrize(
    ("code", "words", "ours"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Compacted),
        (grpc.StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision", Rewound),
        (grpc.StatusCode.OUT_OF_RANGE, "something else", StoreRefused),
        (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader", StoreUnavailable),
        (grpc.StatusCode.UNKNOWN, "raft proposal dropped", StoreUnavailable),
        (grpc.StatusCode.UNKNOWN, "not a primary lessor", StoreUnavailable),
        (grpc.StatusCode.UNKNOWN, "something else", StoreRefused),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", StoreUnavailable),
        (grpc.StatusCode.CANCELLED, "", StoreUnavailable),
        (grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", StoreRefused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", StoreRefused),
        (grpc.StatusCode.UNIMPLEMENTED, "", StoreRefused),
        (grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found", LeaseGone),
        (grpc.StatusCode.NOT_FOUND, "etcdserver: user name not found", StoreRefused),
    ],
)
def test_what_etcd_says_in_our_words(code: grpc.StatusCode, words: str, ours: type[StoreError]) -> None:
    nothing = grpc.aio.Metadata()
    with pytest.raises(ours) as caught:
        raise_as_ours(grpc.aio.AioRpcError(code, nothing, nothing, details=words))
    assert type(caught.value) is ours
    assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
    assert ours is not StoreRefused or str(caught.value) == (words or code.name)


@pytest.mark.parametrize(
    ("words", "stale"),
    [
        ("etcdserver: invalid auth token", True),
        ("etcdserver: revision of auth store is old", True),
        ("etcdserver: user name is empty", True),
        ("etcdserver: permission denied", False),
    ],
)
def test_which_refusals_a_new_token_mends(words: str, stale: bool) -> None:
    assert is_stale_token(words) is stale


def test_the_end_of_a_channel_that_another_closed_is_no_cancellation() -> None:
    with pytest.raises(StoreUnavailable, match="the connection was closed"), closed_by_others:
        raise grpc.aio.UsageError("Channel is closed.")
