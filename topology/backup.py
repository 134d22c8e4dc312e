"""A backup: every record of some keyspaces at one revision, as lines of JSON with a checksum; and the way
back.

`cellplane topology backup` and `restore` hand it a store and where each space lies. It writes only where
nothing else lives. Third road, for what was once committed: a `Txn` puts it back.

    {"format": 1, "revision": 812, "records": 2}
    {"space": "topology", "key": "cells/4", "value": "{…}"}
    {"space": "claims", "key": "records/ROUTES/acme", "base64": "…"}    where a value is no text
    {"sha256": "…"}                                                     of all the lines above
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from topology.claims.keys import ClaimKeyspace
from topology.errors import OutcomeUnknown
from topology.keys import Keyspace
from topology.moves.codec import moves_root
from topology.placement_records import placements_root
from topology.store import MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Compare, Conflict, Store, Txn

FORMAT: Final = 1
_ATTEMPTS: Final = 5
_BATCH_BYTES: Final = MAX_TXN_BYTES // 2
# Cells come last: until they are there nobody routes by what is restored half.
_LAST: Final = "cells/"
# These say that nothing has been begun since they were written, which a copy of them can't say.
_LEFT_OUT: Final = {"claims": "quiet/"}


@dataclass(frozen=True, slots=True)
class Kept:
    """One record: the space that it is of, its key within the space, its value."""

    space: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Backup:
    """All records of some spaces, as they were at one revision."""

    revision: int
    records: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Damaged:
    """Why a backup is not to be used."""

    reason: str


@dataclass(frozen=True, slots=True)
class Occupied:
    """What is in the way of a restore: keys that hold something else, the first of them and how many."""

    keys: tuple[str, ...]
    count: int


def spaces(keyspace: Keyspace) -> Mapping[str, str]:
    """Say what is kept, and where it lies. What ends with its writer, such as the fleet, is not worth
    keeping.
    """
    return {
        "topology": keyspace.root,
        "claims": ClaimKeyspace.beside(keyspace).root,
        "placements": placements_root(keyspace),
        "moves": moves_root(keyspace),
    }


async def take(store: Store, spaces: Mapping[str, str]) -> Backup:
    """Read all spaces (name to prefix) at one revision. Raises what the store raises."""
    revision: int | None = None
    records: list[Kept] = []
    for space, prefix in spaces.items():
        listing = await store.list(prefix, revision)
        revision = listing.revision
        found = (Kept(space, each.key.removeprefix(prefix), each.value) for each in listing.records)
        records += (each for each in found if not each.key.startswith(_LEFT_OUT.get(space, ())))
    return Backup(revision or 0, tuple(records))


def lines_of(backup: Backup) -> Iterator[bytes]:
    """Spell a backup, a line at a time."""
    checksum = hashlib.sha256()
    head = {"format": FORMAT, "revision": backup.revision, "records": len(backup.records)}
    for entry in (head, *map(_entry, backup.records)):
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        checksum.update(line)
        yield line
    yield json.dumps({"sha256": checksum.hexdigest()}).encode() + b"\n"


def read(lines: Iterable[bytes]) -> Backup | Damaged:
    """Read a backup; nothing of one that is damaged or cut short is given."""
    checksum, found, head, given = hashlib.sha256(), [], None, None
    number = revision = 0
    try:
        for number, line in enumerate(lines, 1):
            if given is not None:
                return Damaged(f"goes on in line {number}, behind its checksum")
            entry = json.loads(line)
            if head is None:
                if entry["format"] != FORMAT:
                    return Damaged(f"is of format {entry['format']!r}: this version reads {FORMAT}")
                revision, head = int(entry["revision"]), entry
            elif "sha256" in entry:
                given = entry["sha256"]
                continue
            else:
                found.append(_kept(entry))
            checksum.update(line)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Damaged("is no backup" if head is None else f"is damaged in line {number}, or cut short there")
    if head is None or given is None:
        return Damaged("is cut short: its checksum is missing")
    fits = given == checksum.hexdigest() and head.get("records") == len(found)
    twice = [key for key, count in Counter((each.space, each.key) for each in found).items() if count > 1]
    if not fits or twice:
        space, key = twice[0] if twice else ("", "")
        words = f"has {key} of {space} twice" if fits else "does not match its checksum"
        return Damaged(f"{words}: it was changed since it was taken")
    return Backup(revision, tuple(found))


async def missing(store: Store, spaces: Mapping[str, str], backup: Backup) -> tuple[Kept, ...] | Occupied:
    """Give what is not there yet: all of it, or the rest where a restore was cut off. Anything else
    occupies.
    """
    present: dict[str, bytes] = {}
    for prefix in spaces.values():
        present |= {each.key: each.value for each in (await store.list(prefix)).records}
    absent = []
    for record in backup.records:
        value = present.get(_key(spaces, record))
        if value == record.value:
            del present[_key(spaces, record)]
        elif value is None:
            absent.append(record)
    if present:
        return Occupied(tuple(sorted(present)[:10]), len(present))
    return tuple(absent)


async def restore(store: Store, spaces: Mapping[str, str], records: Iterable[Kept]) -> int | Occupied:
    """Write records, each only where its key is free; give the last revision. Harmless if cut off and
    repeated.
    """
    revision = 0
    for batch in _batches(sorted(records, key=lambda each: each.key.startswith(_LAST))):
        puts = tuple((_key(spaces, each), each.value) for each in batch)
        outcome = await _put(store, puts)
        if isinstance(outcome, Occupied):
            return outcome
        revision = outcome
    return revision


async def _put(store: Store, puts: tuple[tuple[str, bytes], ...]) -> int | Occupied:
    txn = Txn(compares=tuple(Compare(key, 0) for key, _ in puts), puts=puts)
    lost: OutcomeUnknown | None = None
    for _ in range(_ATTEMPTS):
        try:
            outcome = await store.commit(txn)
        except OutcomeUnknown as error:
            lost = error
            continue
        if not isinstance(outcome, Conflict):
            return outcome.revision
        if lost and {each.key: each.value for each in outcome.records} == dict(puts):
            return max(each.mod_revision for each in outcome.records)
        return Occupied(outcome.keys[:10], len(outcome.keys))
    raise lost or AssertionError("every attempt ends, or loses its answer")


def _batches(records: Iterable[Kept]) -> Iterator[list[Kept]]:
    batch: list[Kept] = []
    size = 0
    for record in records:
        more = len(record.key.encode()) + len(record.value) + 200
        if batch and (len(batch) == MAX_TXN_OPERATIONS or size + more > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


def _key(spaces: Mapping[str, str], record: Kept) -> str:
    return f"{spaces[record.space]}{record.key}"


def _entry(record: Kept) -> dict[str, Any]:
    try:
        value = {"value": record.value.decode()}
    except UnicodeDecodeError:
        value = {"base64": base64.b64encode(record.value).decode()}
    return {"space": record.space, "key": record.key, **value}


def _kept(entry: Mapping[str, Any]) -> Kept:
    raw = entry.get("base64")
    value = entry["value"].encode() if raw is None else base64.b64decode(raw, validate=True)
    return Kept(str(entry["space"]), str(entry["key"]), value)
