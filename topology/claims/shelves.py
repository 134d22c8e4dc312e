"""Claims in order: by cell and table, within these by the rows' ids; and by owner, in no order.

The index keeps them beside its records. They hold no records, only where to find them. `Request ->
ClassificationKey -> Decision`: what listings read.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import Final

from topology.claims.model import Bucket, BucketType, Record, SourceType, Subject

_Place = tuple[bytes, int, str]
_Shelf = tuple[int, SourceType]
_MANY: Final = 64  # from so many on, going through a whole shelf costs less


class Shelves:
    """Buckets of cells, in the order of their source ids."""

    def __init__(self) -> None:
        self._places: dict[_Shelf, list[_Place]] = {}

    def fill(self, records: Iterable[Record]) -> None:
        """Hold exactly these."""
        self._places = {}
        for record in records:
            self._places.setdefault(_shelf(record), []).append(_place(record))
        for places in self._places.values():
            places.sort()

    def replace(self, before: Record | None, after: Record | None) -> None:
        """Move a record, from what it was to what it is. Most changes are of a lease alone, and leave it on
        its shelf, which may be long.
        """
        if before and after and _shelf(before) == _shelf(after) and _id(before) == _id(after):
            return
        if before:
            places = self._places[_shelf(before)]
            places.pop(bisect_right(places, _place(before)) - 1)
        if after:
            insort(self._places.setdefault(_shelf(after), []), _place(after))

    def replace_all(self, moves: Iterable[tuple[Record, Record]]) -> None:
        """Move many records, each from what it was to what it is: in one go through each shelf."""
        moves = tuple(moves)
        if len(moves) < _MANY:
            for before, after in moves:
                self.replace(before, after)
            return
        gone: dict[_Shelf, set[_Place]] = {}
        come: dict[_Shelf, list[_Place]] = {}
        for before, after in moves:
            gone.setdefault(_shelf(before), set()).add(_place(before))
            come.setdefault(_shelf(after), []).append(_place(after))
        for shelf, left in gone.items():
            self._places[shelf] = [place for place in self._places[shelf] if place not in left]
        for shelf, new in come.items():
            places = self._places.setdefault(shelf, [])
            places += new
            places.sort()

    def count(self, cell_id: int) -> int:
        """Count what a cell has."""
        return sum(len(places) for (owner, _), places in self._places.items() if owner == cell_id)

    def walk(
        self, cell_id: int, sources: Iterable[SourceType], after: bytes
    ) -> Iterator[tuple[bytes, Bucket]]:
        """Give what a cell has for rows of these tables behind a source id, with its own."""
        shelves = [self._places.get((cell_id, source), []) for source in sources]
        for source_id, kind, value in merge(*(_after(shelf, after) for shelf in shelves)):
            yield source_id, Bucket(BucketType(kind), value)


class Possessions:
    """Buckets of owners. One that has but one, as most users have, costs no set."""

    def __init__(self) -> None:
        self._buckets: dict[Subject, Bucket | set[Bucket]] = {}

    def add(self, subject: Subject, bucket: Bucket) -> None:
        """Note a bucket."""
        held = self._buckets.setdefault(subject, bucket)
        if isinstance(held, set):
            held.add(bucket)
        elif held != bucket:
            self._buckets[subject] = {held, bucket}

    def discard(self, subject: Subject, bucket: Bucket) -> None:
        """Forget a bucket."""
        held = self._buckets.get(subject)
        if isinstance(held, set):
            held.discard(bucket)
            if not held:
                del self._buckets[subject]
        elif held == bucket:
            del self._buckets[subject]

    def of(self, subject: Subject) -> tuple[Bucket, ...]:
        """Give an owner's buckets."""
        held = self._buckets.get(subject)
        if isinstance(held, set):
            return tuple(held)
        return () if held is None else (held,)


def _shelf(record: Record) -> _Shelf:
    return record.cell_id, record.metadata.source.type


def _id(record: Record) -> bytes:
    return record.metadata.source.id


def _place(record: Record) -> _Place:
    metadata = record.metadata
    kind, value = metadata.bucket
    return metadata.source.id, int(kind), value


def _after(places: list[_Place], source_id: bytes) -> Iterator[_Place]:
    """Give the places behind all those of a source id; no id: all."""
    if not source_id:
        return iter(places)
    # The first id that is greater is this one with a zero byte behind it.
    first = bisect_right(places, (source_id + b"\0", 0, ""))
    return (places[at] for at in range(first, len(places)))
