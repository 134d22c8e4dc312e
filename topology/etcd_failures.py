"""etcd's errors turned into ours, once.

`etcd_connection` passes every call through it. It knows what etcd says and what it means, and opens nothing.
`etcd Event -> View -> Snapshot -> Response`: the wire below the Event.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, NoReturn

import grpc
import grpc.aio

from topology.call_words import plain
from topology.errors import Compacted, LeaseGone, Rewound, StoreError, StoreRefused, StoreUnavailable

# What etcd says, word for word: https://github.com/etcd-io/etcd/blob/release-3.5/api/v3rpc/rpctypes/error.go
_COMPACTED: Final = "required revision has been compacted"
_FUTURE: Final = "required revision is a future revision"
_NO_LEASE: Final = "requested lease not found"
NO_AUTH: Final = "authentication is not enabled"
STALE_TOKENS: Final = ("invalid auth token", "revision of auth store is old", "user name is empty")
# Said while the leader changes, and without a code: nothing was written, and a moment later it works.
_BETWEEN_LEADERS: Final = ("raft proposal dropped", "not a primary lessor")
_GONE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)


class _ClosedByOthers(AbstractContextManager[None]):
    """Turns the end of a channel that another caller closed into `StoreUnavailable`.

    gRPC ends what waits on it as if the task had been cancelled, although nobody cancelled us: a task that
    lets that through ends without a word.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise StoreUnavailable("the connection was closed") from None
        elif isinstance(error, grpc.aio.UsageError):
            raise StoreUnavailable("the connection was closed") from error


closed_by_others: Final = _ClosedByOthers()


def is_stale_token(words: str) -> bool:
    """Tell whether etcd means that the token has expired, which a new one mends."""
    return any(stale in words for stale in STALE_TOKENS)


def raise_as_ours(error: grpc.aio.AioRpcError) -> NoReturn:
    """Raise what a failed call means in our words."""
    words = plain(error.details() or error.code().name)
    ours: StoreError
    if error.code() is grpc.StatusCode.OUT_OF_RANGE and _COMPACTED in words:
        ours = Compacted()
    elif error.code() is grpc.StatusCode.OUT_OF_RANGE and _FUTURE in words:
        ours = Rewound(0)
    elif error.code() is grpc.StatusCode.NOT_FOUND and _NO_LEASE in words:
        ours = LeaseGone(words)
    elif error.code() in _GONE or any(said in words for said in _BETWEEN_LEADERS):
        ours = StoreUnavailable(words)
    else:
        ours = StoreRefused(words)
    raise ours from error
