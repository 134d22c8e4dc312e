"""Moves on a store: begun once for each owner, read, rewritten by whoever read them last.

The service begins moves and passes orders on, the leader writes what became of them, each write compared
with what was read, and the leader's with its leadership. Third road: commits the `Txn`.

    /cellplane/v1-moves/records/9b2f…                a move, and its audit record when it has ended
    /cellplane/v1-moves/owners/ORGANIZATION/42       the move that an owner is in
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from topology.codec import SCHEMA, Undecodable, stamp_body, to_json
from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.fields import Fields, MalformedError, parse
from topology.keys import Keyspace
from topology.leader import Leadership
from topology.moves.codec import decode_move, encode_move, moves_root
from topology.moves.model import Move
from topology.store import Committed, Compare, Conflict, Record, Store, Txn

log = logging.getLogger("topology.moves")

ATTEMPTS: Final = 5
KEPT: Final = 500
"""So many moves that have ended are kept."""


@dataclass(frozen=True, slots=True)
class SeenMove:
    """A move and the revision at which it was written."""

    move: Move
    revision: int


@dataclass(frozen=True, slots=True)
class Busy:
    """An owner is in another move."""

    owner: str
    move: str

    def __str__(self) -> str:
        return f"{self.owner} is in move {self.move}: wait for it, or abort it"


class MoveBook:
    """All moves of one installation."""

    def __init__(self, store: Store, keyspace: Keyspace) -> None:
        self._store = store
        self.root = f"{moves_root(keyspace)}records/"
        self._owners = f"{moves_root(keyspace)}owners/"

    async def begin(self, move: Move) -> SeenMove | Busy:
        """Put a move on record, once however often it is sent, and never two of one owner."""
        holder = to_json({"schema": SCHEMA, "move": move.id, **stamp_body(move.stamp)})
        txn = Txn(
            compares=(
                Compare(self._key(move.id), 0),
                *(Compare(self._owner(each), 0) for each, _ in move.owners),
            ),
            puts=(
                (self._key(move.id), encode_move(move)),
                *((self._owner(each), holder) for each, _ in move.owners),
            ),
        )
        for _ in range(ATTEMPTS):
            try:
                outcome = await self._store.commit(txn)
            except OutcomeUnknown:
                continue  # committing again is safe: the second of the two finds the first
            if isinstance(outcome, Committed):
                return SeenMove(move, outcome.revision)
            if (known := await self.read(move.id)) is not None:
                return known
            if (busy := await self.busy(each for each, _ in move.owners)) is not None:
                return busy
        raise StoreUnavailable(f"move {move.id} could not be begun: try again")

    async def busy(self, owners: Iterable[str]) -> Busy | None:
        """Name the first owner that is in a move."""
        keys = {self._owner(owner): owner for owner in owners}
        for record in await self._fetch(keys):
            try:
                held_by = Fields(parse(record.value)).text("move")
            except MalformedError as error:
                raise StoreRefused(f"what lies at {record.key} can't be read: {error}") from error
            return Busy(keys[record.key], held_by)
        return None

    async def read(self, move_id: str) -> SeenMove | None:
        """Look a move up, as it is now."""
        for record in await self._fetch((self._key(move_id),)):
            return self.seen(record)
        return None

    async def list(self) -> tuple[SeenMove, ...]:
        """Give all moves on record that can be read, the newest first."""
        found = []
        for record in (await self._store.list(self.root)).records:
            try:
                found.append(self.seen(record))
            except StoreRefused as error:
                log.warning("move_unreadable error=%s", error)
        return tuple(sorted(found, key=lambda each: each.move.stamp.updated_at, reverse=True))

    async def rewrite(self, seen: SeenMove, move: Move, leader: Leadership | None = None) -> SeenMove | None:
        """Write what became of a move; None where another was faster, or leads by now: look again.

        With its end the owners are let go.
        """
        key = self._key(move.id)
        ends = move.ended and not seen.move.ended
        txn = Txn(
            compares=(Compare(key, seen.revision),),
            puts=((key, encode_move(move)),),
            deletes=tuple(self._owner(owner) for owner, _ in move.owners) if ends else (),
        )
        if leader is not None:
            txn = leader.fenced(txn)
        try:
            outcome = await self._store.commit(txn)
        except OutcomeUnknown:
            return None  # whether it is written, the next look shows
        return SeenMove(move, outcome.revision) if isinstance(outcome, Committed) else None

    async def change(self, move_id: str, change: Callable[[Move], Move]) -> SeenMove | None:
        """Change a move that others may be changing too; None where there is none. `change` may raise."""
        for _ in range(ATTEMPTS):
            seen = await self.read(move_id)
            if seen is None:
                return None
            if (written := await self.rewrite(seen, change(seen.move))) is not None:
                return written
        raise StoreUnavailable(f"move {move_id} is being changed by others: try again")

    async def forget(self, leader: Leadership) -> None:
        """Drop the oldest moves that have ended, beyond those that are kept."""
        ended = [each for each in await self.list() if each.move.ended]
        for old in ended[KEPT:]:
            key = self._key(old.move.id)
            await self._store.commit(
                leader.fenced(Txn(compares=(Compare(key, old.revision),), deletes=(key,)))
            )

    def seen(self, record: Record) -> SeenMove:
        """Read a record. Raises StoreRefused where it can't be read: a person mends that."""
        move = decode_move(record.key.removeprefix(self.root), record.value)
        if isinstance(move, Undecodable):
            raise StoreRefused(f"the move at {record.key} can't be read: {move.reason}")
        return SeenMove(move, record.mod_revision)

    async def _fetch(self, keys: Iterable[str]) -> tuple[Record, ...]:
        outcome = await self._store.commit(Txn(compares=tuple(Compare(key, 0) for key in keys)))
        return outcome.records if isinstance(outcome, Conflict) else ()

    def _key(self, move_id: str) -> str:
        return f"{self.root}{move_id}"

    def _owner(self, owner: str) -> str:
        return f"{self._owners}{owner}"
