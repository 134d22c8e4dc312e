"""What a process wrote itself is known again by its bytes, and only then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tests.topology.claims.samples import LEASE_1, batch, lease, record, route
from topology.claims.codec import decode_record, encode_lease, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, Record
from topology.claims.own_writes import OwnWrites
from topology.claims.store import Begun, Changes
from topology.claims.stored import StoredClaims
from topology.codec import Undecodable
from topology.keys import Keyspace
from topology.memory import MemoryStore

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
KEY, VALUE = KEYS.record(route("a")), encode_record(record("a"))


def test_what_was_written_is_known_once() -> None:
    own = OwnWrites()
    own.note(((KEYS.lease(LEASE_1), encode_lease(lease())), (KEY, VALUE)), (lease(), record("a")))
    assert own.take(KEY, bytes(bytearray(VALUE))) == record("a")
    assert own.take(KEY, VALUE) is None
    assert own.take(KEYS.lease(LEASE_1), encode_lease(lease())) == lease()


def test_another_value_or_another_key_is_not_known() -> None:
    own = OwnWrites()
    own.note(((KEY, VALUE),), (record("a"),))
    assert own.take(KEY, VALUE + b" ") is None
    assert own.take(KEYS.record(route("b")), VALUE) is None


def test_no_more_is_kept_than_a_writer_whose_watch_is_away_may() -> None:
    own = OwnWrites(most=2)
    names = ("a", "b", "c")
    values = [(KEYS.record(route(name)), encode_record(record(name))) for name in names]
    own.note(values, [record(name) for name in names])
    assert [own.take(*each) for each in values] == [None, record("b"), record("c")]


async def test_a_watch_reads_what_others_wrote_and_knows_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def decode(bucket: Bucket, value: bytes) -> Record | Undecodable:
        read.append(bucket.value)
        return decode_record(bucket, value)

    monkeypatch.setattr("topology.claims.entries.decode_record", decode)
    store = MemoryStore()
    ours, theirs = StoredClaims(store, KEYS), StoredClaims(store, KEYS)
    async with aclosing(ours.watch(store.revision)) as watch:
        assert not (await anext(watch)).entries
        told = []
        for claims, name in ((ours, "mine"), (theirs, "theirs")):
            begun = await claims.begin(batch(1, [name]), "CELL-1")
            assert isinstance(begun, Begun)
            await claims.commit(1, begun.lease.uuid, "CELL-1")
            told += [await _next(watch), await _next(watch)]
    assert read == ["theirs", "theirs"]
    async with aclosing(theirs.watch(told[0].cursor - 1)) as watch:
        await anext(watch)
        assert [await _next(watch) for _ in told] == told


async def _next(watch: AsyncGenerator[Changes, None]) -> Changes:
    while not (changes := await anext(watch)).entries:
        pass
    return changes
