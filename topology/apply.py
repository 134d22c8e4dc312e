"""One change, from a wish to a commit: list, make the View, plan, commit; again where others only passed by.

The command and the service hand it a store and a planning function. It never decides what may be written.
Third road: the call that plans a `Txn` and commits it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from topology.changes import differences
from topology.errors import Compacted, OutcomeUnknown, StoreUnavailable
from topology.keys import CellKey, Keyspace
from topology.model import Cell
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.store import Conflict, Listing, Store
from topology.view import View, from_listing

__all__ = ["Applied", "Overtaken", "Plan", "Refusal", "apply", "read_view"]

ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The change is committed, at this revision. `cell` is the cell afterwards, `summary` what was done."""

    revision: int
    cell: Cell | None
    summary: tuple[str, ...] = ()


async def read_view(store: Store, keyspace: Keyspace) -> View:
    """List the keyspace once and make its View."""
    return from_listing(await _list(store, keyspace), keyspace)


async def apply(
    store: Store, keyspace: Keyspace, plan: Callable[[View], Outcome]
) -> Applied | Refusal | Overtaken:
    """Make one change. `plan` may be called several times, each with a newer View, and must not have effects.

    Where another writer changed the very record that the plan is about, the outcome tells who and what; where
    it only passed by (another cell was added), the change is planned anew. A commit whose answer got lost is
    looked for.
    """
    view = await read_view(store, keyspace)
    for _ in range(ATTEMPTS):
        planned = plan(view)
        if not isinstance(planned, Plan):
            return planned
        try:
            outcome = await store.commit(planned.txn)
        except OutcomeUnknown:
            revision = await _landed(store, keyspace, planned, view)
            if revision is None:
                raise
            return Applied(revision=revision, cell=planned.cell, summary=planned.summary)
        if not isinstance(outcome, Conflict):
            return Applied(revision=outcome.revision, cell=planned.cell, summary=planned.summary)
        newer = await read_view(store, keyspace)
        for key in planned.keys:
            if newer.mod_revisions.get(key, 0) != view.mod_revisions.get(key, 0):
                return _overtaken(view, newer, key)
        view = newer
    raise StoreUnavailable(f"other writers were faster {ATTEMPTS} times in a row: try again")


async def _list(store: Store, keyspace: Keyspace) -> Listing:
    for _ in range(ATTEMPTS):
        try:
            return await store.list(keyspace.root)
        except Compacted:  # between two pages of a long listing
            continue
    raise StoreUnavailable(f"history was compacted during {ATTEMPTS} listings in a row: try again")


async def _landed(store: Store, keyspace: Keyspace, plan: Plan, before: View) -> int | None:
    """Find a commit whose answer got lost: all it wrote is there, stamp and all, what it deleted is gone."""
    listing = await _list(store, keyspace)
    found = {record.key: record for record in listing.records}
    # Others may have rewritten the registry since.
    wrote = [(found.get(key), value) for key, value in plan.txn.puts if key != keyspace.registry]
    if any(record is None or record.value != value for record, value in wrote):
        return None
    if any(key in found for key in plan.txn.deletes):
        return None
    revisions = [record.mod_revision for record, _ in wrote if record is not None]
    newest = max(revisions, default=listing.revision)
    return newest if newest > before.revision else None


def _overtaken(view: View, newer: View, key: str) -> Overtaken:
    parsed = view.keyspace.parse(key)
    before = view.cells.get(parsed.id) if isinstance(parsed, CellKey) else None
    now = newer.cells.get(parsed.id) if isinstance(parsed, CellKey) else None
    changes = differences(before, now) or ("was written by another at the same moment",)
    return Overtaken(
        key=key,
        seen_revision=view.mod_revisions.get(key, 0),
        revision=newer.mod_revisions.get(key, 0),
        changes=changes,
        cell=now,
    )
