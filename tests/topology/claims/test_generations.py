"""Slots of claims, as whoever remembers lookups reckons them too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from tests.topology.claims.samples import route
from topology.claims.generations import rewritten, slot, slots
from topology.claims.model import Bucket, BucketType
from topology.keys import SLOTS, Keyspace
from topology.model import Stamp

LUA_SLOT = LuaRuntime(encoding=None).eval(
    b"function(text) local h = 0; "
    b"for at = 1, #text do h = (h * 31 + text:byte(at)) % 16777213 end; return h % 16384 end"
)
STAMP = Stamp(updated_by="CELL-1", updated_at="2026-03-01T12:00:00.000000Z", reason="a test")


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (Bucket(BucketType.ROUTES, "a"), 358),
        (Bucket(BucketType.ROUTES, "acme"), 6701),
        (Bucket(BucketType.PROJECT_IDS, "7"), 10439),
        (Bucket(BucketType.ROUTES, "äöü/✓"), 1685),
    ],
)
def test_a_slot_is_a_fixed_function_of_the_claim(bucket: Bucket, expected: int) -> None:
    assert slot(bucket) == expected


@given(st.sampled_from(BucketType), st.text().filter(lambda text: text.isprintable()))
def test_lua_reckons_the_same(kind: BucketType, value: str) -> None:
    assert LUA_SLOT(f"{kind.name}/{value}".encode()) == slot(Bucket(kind, value))


def test_slots_spread() -> None:
    counts = [0] * SLOTS
    for number in range(10 * SLOTS):
        counts[slot(route(f"group-{number}/project"))] += 1
    assert min(counts) > 0
    assert max(counts) < 30


def test_each_slot_is_written_once() -> None:
    buckets = [route("a"), route("a"), route("acme")]
    assert slots(buckets) == (358, 6701)
    keys = [key for key, _ in rewritten(Keyspace("/c"), buckets, STAMP)]
    assert keys == ["/c/generations/00358", "/c/generations/06701"]
    assert rewritten(Keyspace("/c"), (), STAMP) == ()
