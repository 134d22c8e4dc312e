"""The store port: a small keyspace with one revision, as etcd has it, and words for what goes in and out.

Adapters (`memory`, `etcd`) implement `Store`; the watcher reads from it and `apply` commits to it. Here are
only values and promises, which `tests/contract` checks by name. `etcd Event -> View -> Snapshot -> Response`:
the Event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

MAX_TXN_OPERATIONS: Final = 128  # etcd's default for compares and for operations, each
MAX_TXN_BYTES: Final = 1_000_000  # of keys and values; etcd's default for a whole request is 1.5 MiB


class Record(NamedTuple):
    """A key with its value; `version` counts the writes since it was created at `create_revision`."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int


class EventKind(StrEnum):
    """What happened to a key."""

    PUT = "PUT"
    DELETE = "DELETE"


class Event(NamedTuple):
    """One key written or deleted. `record` is what was written; a deletion has none."""

    kind: EventKind
    key: str
    mod_revision: int
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """All events of one revision below the watched prefix; none: a bookmark, nothing is missing so far."""

    revision: int
    events: tuple[Event, ...] = ()

    @property
    def is_bookmark(self) -> bool:
        """Tell whether it only says how far the watch has come."""
        return not self.events


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything below a prefix at one revision, in the order of the keys."""

    revision: int
    records: tuple[Record, ...]


class Compare(NamedTuple):
    """A key must have been written last at `mod_revision`; 0: it must not exist."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Txn:
    """Writes that happen together, at one revision, if every compare holds; or not at all.

    With a lease, what is put lives as long as the lease; a key that is put again without one lives on.
    """

    compares: tuple[Compare, ...] = ()
    puts: tuple[tuple[str, bytes], ...] = ()
    deletes: tuple[str, ...] = ()
    lease: int = 0

    def __post_init__(self) -> None:
        written = [key for key, _ in self.puts] + list(self.deletes)
        if len(set(written)) != len(written):
            raise ValueError("a transaction writes each key once")
        if max(len(written), len(self.compares)) > MAX_TXN_OPERATIONS:
            raise ValueError(f"a transaction has at most {MAX_TXN_OPERATIONS} compares and as many writes")
        if sum(len(key) + len(value) for key, value in self.puts) > MAX_TXN_BYTES:
            raise ValueError(f"a transaction writes at most {MAX_TXN_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction happened, and the store is at this revision since."""

    revision: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing happened: these compared keys are not as expected. A key that is not there has no record."""

    keys: tuple[str, ...]
    records: tuple[Record, ...]


class Store(Protocol):
    """A keyspace with one revision that rises with every change.

    A caller may not assume that two calls reach the same server, that a watch lives long, or that a revision
    seen once can still be read later: it may be compacted. Raises `StoreUnavailable` and `StoreRefused` from
    every method.
    """

    async def list(self, prefix: str, revision: int | None = None) -> Listing:
        """Give everything below the prefix at one revision: the newest that is committed, or the one named.

        Raises `Compacted` or `Rewound` where the named revision is no longer, or not yet, there.
        """
        ...

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Give every change below the prefix after a revision, in order, for as long as the store can.

        The first batch is a bookmark at `after`: it says that the watch stands. From then on it is

        - Ordered: revisions rise;
        - Unique: no event comes twice;
        - Atomic: the events of one revision come in one batch;
        - Reliable: no event is left out;
        - Resumable: a watch after revision R goes on right behind R, or says that it can't;
        - Bookmarkable: a bookmark at R comes after every event up to R.

        It never ends by itself: it raises `StoreUnavailable` (watch again after the last revision) or
        `ListAgain`. The caller closes it (`aclose`) to be rid of it.
        """
        ...

    async def commit(self, txn: Txn) -> Committed | Conflict:
        """Do the transaction if its compares hold. Raises `OutcomeUnknown` where no answer came, `LeaseGone`
        where it puts something under a lease that is over.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Running watches end with `StoreUnavailable`."""
        ...


class GroupingStore(Store, Protocol):
    """A store that does several transactions at one revision."""

    async def commit_together(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        """Do those of the transactions whose compares hold, all at one revision; the others are in nobody's
        way. They must not write what another of them compares or writes, but for deleting the same, and put
        nothing under a lease.

        Raises as `commit` does, and then for all of them.
        """
        ...


class LeasingStore(Store, Protocol):
    """A store with leases: keys that end with whoever wrote them."""

    async def grant(self, seconds: int) -> int:
        """Give a new lease that runs out so many seconds after it was last kept alive, at the earliest."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Let a lease run from now again. Raises `LeaseGone` where it is over."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease now, with all keys under it; one that is over already is no error."""
        ...
