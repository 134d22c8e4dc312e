"""Backups: one revision, a checksum, and a way back that never writes over anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from tests.topology.claims.samples import NOON
from tests.topology.moves.rig import MOVE, OTHER_MOVE, wish
from topology.backup import Backup, Damaged, Kept, Occupied, lines_of, missing, read, restore, spaces, take
from topology.claims import plan
from topology.claims.keys import ClaimKeyspace
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.moves import machine
from topology.moves.book import Busy, MoveBook, SeenMove
from topology.store import Txn

SPACES = {"topology": "/a/", "claims": "/a-claims/"}
ELSEWHERE = {"topology": "/b/", "claims": "/b-claims/"}
BINARY = b"\xff\x00"


async def filled() -> MemoryStore:
    store = MemoryStore()
    await store.commit(Txn(puts=(("/a/cells/1", b"{}"), ("/a/rules/current", "{ä}".encode()))))
    await store.commit(Txn(puts=(("/a-claims/records/x", BINARY), ("/ab/other", b"?"))))
    return store


async def test_what_is_taken_comes_back() -> None:
    store = await filled()
    backup = await take(store, SPACES)
    assert backup == Backup(
        (await store.list("/a/")).revision,
        (
            Kept("topology", "cells/1", b"{}"),
            Kept("topology", "rules/current", "{ä}".encode()),
            Kept("claims", "records/x", BINARY),
        ),
    )
    assert read(lines_of(backup)) == backup
    rest = await missing(store, ELSEWHERE, backup)
    assert rest == backup.records
    assert await restore(store, ELSEWHERE, rest) == (await store.list("/b/")).revision
    assert (await take(store, ELSEWHERE)).records == backup.records
    assert await missing(store, ELSEWHERE, backup) == ()


async def test_what_holds_only_since_it_was_written_is_left_out() -> None:
    store, keyspace = await filled(), Keyspace("/a")
    before = await take(store, spaces(keyspace))
    await store.commit(plan.quiet(ClaimKeyspace.beside(keyspace), [1]))
    assert (await take(store, spaces(keyspace))).records == before.records


async def test_moves_go_on_where_they_stood() -> None:
    store, here, there = MemoryStore(), Keyspace("/a"), Keyspace("/b")
    begun = await MoveBook(store, here).begin(machine.begun(wish(), NOON))
    assert isinstance(begun, SeenMove)
    backup = await take(store, spaces(here))
    assert [each.space for each in backup.records] == ["moves", "moves"]
    await restore(store, spaces(there), backup.records)
    restored = await MoveBook(store, there).read(MOVE)
    assert restored is not None
    assert restored.move == begun.move
    assert await MoveBook(store, there).begin(machine.begun(wish(OTHER_MOVE), NOON)) == Busy(
        "ORGANIZATION/42", MOVE
    )


async def test_all_is_of_one_revision() -> None:
    store = await filled()
    list_ = store.list

    async def racing(prefix: str, revision: int | None = None) -> object:
        if prefix == "/a-claims/":
            await store.commit(Txn(puts=(("/a-claims/records/late", b""),)))
        return await list_(prefix, revision)

    store.list = racing  # type: ignore[method-assign, assignment]
    assert [each.key for each in (await take(store, SPACES)).records if each.space == "claims"] == [
        "records/x"
    ]


def cut(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"cells/1", b"cells/2"), *lines[2:]]


def dropped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def longer(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def newer(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"format": 1', b'"format": 2'), *lines[1:]]


def twice(lines: list[bytes]) -> list[bytes]:
    head = json.loads(lines[0])
    return signed(
        [json.dumps(head | {"records": head["records"] + 1}).encode() + b"\n", *lines[1:-1], lines[1]]
    )


def without_revision(lines: list[bytes]) -> list[bytes]:
    return signed([lines[0].replace(b'"revision"', b'"version"'), *lines[1:-1]])


def signed(lines: list[bytes]) -> list[bytes]:
    """Give lines a checksum that fits, as somebody might who edits a backup."""
    return [*lines, json.dumps({"sha256": hashlib.sha256(b"".join(lines)).hexdigest()}).encode() + b"\n"]


def cut_within(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2][:9]]


def nonsense(_: list[bytes]) -> list[bytes]:
    return [b"[1, 2]\n"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "is cut short"),
        (changed, "does not match its checksum"),
        (dropped, "does not match its checksum"),
        (longer, "behind its checksum"),
        (newer, "is of format 2: this version reads 1"),
        (nonsense, "is no backup"),
        (without_revision, "is no backup"),
        (twice, "has cells/1 of topology twice"),
        (cut_within, "is damaged in line 3, or cut short there"),
        (lambda _: [], "is cut short"),
    ],
)
async def test_what_is_damaged_is_not_used(damage: Callable[[list[bytes]], list[bytes]], words: str) -> None:
    found = read(damage(list(lines_of(await take(await filled(), SPACES)))))
    assert isinstance(found, Damaged)
    assert words in found.reason


async def test_nothing_is_written_over() -> None:
    store = await filled()
    backup = await take(store, SPACES)
    for key, value in (("/b/cells/1", b"other"), ("/b-claims/records/more", b"")):
        other = MemoryStore()
        await other.commit(Txn(puts=((key, value),)))
        assert await missing(other, ELSEWHERE, backup) == Occupied((key,), 1)
    await store.commit(Txn(puts=(("/b/cells/1", b"late"),)))
    assert await restore(store, ELSEWHERE, backup.records) == Occupied(("/b/cells/1",), 1)


async def test_a_restore_that_was_cut_off_goes_on_and_cells_come_last() -> None:
    records = tuple(Kept("topology", f"cells/{number}", b"c") for number in range(1, 200))
    records += tuple(Kept("claims", f"records/{number}", b"x" * 9000) for number in range(100))
    backup = Backup(7, records)
    store = MemoryStore()
    store.inject(Faults(errors={"commit": []}, lose_answers=1))
    commit, left = store.commit, 2

    async def failing(txn: Txn) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreUnavailable("gone")
        return await commit(txn)

    store.commit = failing  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await restore(store, SPACES, records)
    half = await take(store, SPACES)
    assert {each.space for each in half.records} == {"claims"}
    store.commit = commit  # type: ignore[method-assign]
    rest = await missing(store, SPACES, backup)
    assert isinstance(rest, tuple)
    assert 0 < len(rest) < len(records)
    assert isinstance(await restore(store, SPACES, rest), int)
    assert await missing(store, SPACES, backup) == ()
