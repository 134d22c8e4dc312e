"""Generations: 16,384 keys of the topology, one of which is rewritten whenever claims are dropped or moved.

The planning of claims writes them in the transaction that drops or moves, the View shows at which revision
each was written last, and whoever remembers a lookup forgets it when the slot of its key rises. They say
nothing of what happened. Third road: a part of the `Txn`; it comes back in a View.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from topology.claims.model import Bucket
from topology.codec import SCHEMA, stamp_body, to_json
from topology.keys import SLOTS, Keyspace
from topology.model import Stamp

_PRIME: Final = (
    16_777_213  # the largest below 2^24: 31 times it is exact in the doubles that Lua reckons with
)


def bucket_name(bucket: Bucket) -> str:
    """Spell a claim as Envoy does: ROUTES/acme."""
    return f"{bucket.type.name}/{bucket.value}"


def slot(bucket: Bucket) -> int:
    """Give the slot of a claim, below `SLOTS`. Lua inside Envoy reckons the same."""
    found = 0
    for byte in bucket_name(bucket).encode():
        found = (found * 31 + byte) % _PRIME
    return found % SLOTS


def slots(buckets: Iterable[Bucket]) -> tuple[int, ...]:
    """Give the slots of claims, each once."""
    return tuple(sorted({slot(bucket) for bucket in buckets}))


def rewritten(keyspace: Keyspace, buckets: Iterable[Bucket], stamp: Stamp) -> tuple[tuple[str, bytes], ...]:
    """Give what is put where these claims are dropped or moved. Nobody compares these keys."""
    return written(keyspace, slots(buckets), stamp)


def written(keyspace: Keyspace, touched: Iterable[int], stamp: Stamp) -> tuple[tuple[str, bytes], ...]:
    """Give what is put to write these slots anew."""
    value = to_json({"schema": SCHEMA, **stamp_body(stamp)})
    return tuple((keyspace.generation(each), value) for each in touched)
