"""Placements and counts as they are kept: JSON for people, with a schema number, beside the topology's keys.

`placements` reads and writes them. It does no I/O. Third road: what a `Txn` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from topology.codec import SCHEMA, read_stamp, stamp_body, to_json
from topology.errors import StoreRefused
from topology.fields import Fields, MalformedError, parse
from topology.keys import Keyspace
from topology.model import Stamp
from topology.placement import PlacementWish
from topology.store import Record

Kept = TypeVar("Kept")


def placements_root(keyspace: Keyspace) -> str:
    """Spell what all keys of placements begin with: they lie beside the topology's."""
    return f"{keyspace.prefix}-placements/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A newcomer's place on record."""

    wish: PlacementWish
    cell_id: int
    why: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Count:
    """How many a cell has, and the revision at which that was written."""

    placed: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Owned:
    """By which requests an owner has places, and the revision at which that was written."""

    requests: tuple[str, ...] = ()
    revision: int = 0


def encode_placement(placement: Placement) -> bytes:
    """Write a placement."""
    wish = placement.wish
    wished = {"key": wish.key, "region": wish.region, "ring": wish.ring, "owner": wish.owner}
    placed = {"cell_id": placement.cell_id, "why": placement.why}
    return to_json({"schema": SCHEMA, **wished, **placed, **stamp_body(placement.stamp)})


def encode_owned(owned: Owned, stamp: Stamp) -> bytes:
    """Write by which requests an owner has places."""
    return to_json({"schema": SCHEMA, "requests": list(owned.requests), **stamp_body(stamp)})


def encode_count(count: Count, stamp: Stamp) -> bytes:
    """Write how many a cell has."""
    return to_json({"schema": SCHEMA, "placed": count.placed, **stamp_body(stamp)})


def placement_of(fields: Fields) -> Placement:
    """Read a placement from its fields."""
    return Placement(
        wish=PlacementWish(
            key=fields.text("key"),
            region=fields.text("region"),
            ring=None if fields.is_null("ring") else fields.integer("ring"),
            owner=fields.text("owner"),
        ),
        cell_id=fields.integer("cell_id"),
        why=fields.text("why"),
        stamp=read_stamp(fields),
    )


def placed_of(fields: Fields) -> int:
    """Read how many a cell has from a count's fields."""
    placed = fields.integer("placed")
    read_stamp(fields)
    return placed


def requests_of(fields: Fields) -> tuple[str, ...]:
    """Read by which requests an owner has places."""
    requests = tuple(str(each) for each in fields.take("requests", list, "list"))
    read_stamp(fields)
    return requests


def read_kept(record: Record, read: Callable[[Fields], Kept]) -> Kept:
    """Read a record. Raises StoreRefused where it can't be read: a person mends that."""
    try:
        fields = _of_our_schema(Fields(parse(record.value)))
        found = read(fields)
        fields.end()
    except MalformedError as error:
        raise StoreRefused(f"what lies at {record.key} can't be read: {error}") from error
    return found


def _of_our_schema(fields: Fields) -> Fields:
    if (schema := fields.integer("schema")) != SCHEMA:
        raise MalformedError(f"schema: {schema} is not read by this version, which knows {SCHEMA}")
    return fields
