"""One change, from a wish to a commit: list, make the View, plan, commit; again where others only passed by.

The command and the service hand it a store and a planning function. It never decides what may be written.
Third road: the call that plans a `Txn` and commits it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from topology.changes import differences
from topology.errors import Compacted, OutcomeUnknown, StoreUnavailable
from topology.keys import CellKey, Keyspace
from topology.model import Cell
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.store import Compare, Conflict, Listing, Store
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


async def nothing() -> tuple[Compare, ...]:
    """Compare nothing else."""
    return ()


async def apply(
    store: Store,
    keyspace: Keyspace,
    plan: Callable[[View], Outcome],
    relied_on: Callable[[], Awaitable[tuple[Compare, ...]]] = nothing,
) -> Applied | Refusal | Overtaken:
    """Make one change. `plan` may be called several times, each with a newer View, and must not have effects.

    Where another writer changed the very record that the plan is about, the outcome tells who and what; where
    it only passed by (another cell was added), the change is planned anew. A commit whose answer got lost is
    looked for.

    `relied_on` is asked before each attempt for what the plan leans on outside of the View.
    """
    seen: View | None = None
    planned: Outcome | None = None
    lost: OutcomeUnknown | None = None
    for _ in range(ATTEMPTS):
        more = await relied_on()
        listing = await _list(store, keyspace)
        view = from_listing(listing, keyspace)
        if seen is not None and isinstance(planned, Plan):
            if lost and (revision := _landed(listing, planned, keyspace, seen)):
                return Applied(revision=revision, cell=planned.cell, summary=planned.summary)
            if faster := _overtaken(seen, view, planned.keys):
                return faster
        seen, planned = view, plan(view)
        if not isinstance(planned, Plan):
            return planned
        try:
            outcome = await store.commit(replace(planned.txn, compares=(*planned.txn.compares, *more)))
        except OutcomeUnknown as error:
            # Committing once more is safe: whichever of the two comes second fails its compares.
            lost = error
            continue
        if not isinstance(outcome, Conflict):
            return Applied(revision=outcome.revision, cell=planned.cell, summary=planned.summary)
    raise lost or StoreUnavailable(f"other writers were faster {ATTEMPTS} times in a row: try again")


async def _list(store: Store, keyspace: Keyspace) -> Listing:
    for _ in range(ATTEMPTS):
        try:
            return await store.list(keyspace.root)
        except Compacted:  # between two pages of a long listing
            continue
    raise StoreUnavailable(f"history was compacted during {ATTEMPTS} listings in a row: try again")


def _landed(listing: Listing, plan: Plan, keyspace: Keyspace, before: View) -> int:
    """Find a commit whose answer got lost: all it wrote is there, stamp and all, what it deleted is gone.

    Gives its revision, or 0. The registry does not count: others may have rewritten it since.
    """
    found = {record.key: record for record in listing.records}
    wrote = [(found.get(key), value) for key, value in plan.txn.puts if key != keyspace.registry]
    if any(record is None or record.value != value for record, value in wrote):
        return 0
    if any(key in found for key in plan.txn.deletes):
        return 0
    newest = max((record.mod_revision for record, _ in wrote if record), default=listing.revision)
    return newest if newest > before.revision else 0


def _overtaken(seen: View, now: View, keys: tuple[str, ...]) -> Overtaken | None:
    """Tell what another writer did to the records that the change is about."""
    for key in keys:
        before, after = seen.mod_revisions.get(key, 0), now.mod_revisions.get(key, 0)
        if before == after:
            continue
        parsed = now.keyspace.parse(key)
        cell_id = parsed.id if isinstance(parsed, CellKey) else 0
        cell = now.cells.get(cell_id)
        changes = differences(seen.cells.get(cell_id), cell) or ("was written by another at the same moment",)
        return Overtaken(key=key, seen_revision=before, revision=after, changes=changes, cell=cell)
    return None
