"""What to do about leases that a crash left open: a table over the cell's own rows and the service's leases.

A cell runs it each minute over the leases that it has noted down and those that the service knows. The row's
existence proves that the local transaction was committed. It calls nobody. Third road: which leases to close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

STALE_AFTER: Final = timedelta(minutes=5)
"""Younger leases and rows are in flight: whoever began them is still at it."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The local transaction was committed and its lease was not: commit it, then delete the row."""

    lease: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """There is no row, so the local transaction was never committed: take the lease back."""

    lease: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The lease is closed, as far as is listed, and the row was left: commit it once more, which is harmless,
    and delete the row. That should be rare; log it.
    """

    lease: str


Action = Commit | Rollback | Forget


def actions(
    rows: Mapping[str, datetime],
    leases: Mapping[str, datetime],
    now: datetime,
    stale_after: timedelta = STALE_AFTER,
) -> tuple[Action, ...]:
    """Say what to do, oldest first. Both map a lease to when it was created.

    Read the leases before the rows: a row that is written in between then only looks younger than it is.
    """
    check_aware({"now": now, **rows})

    def is_stale(created_at: datetime) -> bool:
        return now - created_at >= stale_after

    found: list[tuple[datetime, Action]] = []
    for lease, created_at in rows.items():
        if is_stale(created_at):
            found.append((created_at, Commit(lease) if lease in leases else Forget(lease)))
    for lease, created_at in leases.items():
        if lease not in rows and is_stale(created_at):
            found.append((created_at, Rollback(lease)))
    return tuple(action for _, action in sorted(found, key=lambda each: (each[0], each[1].lease)))


def check_aware(moments: Mapping[str, datetime]) -> None:
    """Raise ValueError, with the name, for a moment that says not in which zone it is."""
    for name, moment in moments.items():
        if moment.tzinfo is None:
            raise ValueError(f"{name}: {moment} has no time zone: give one, such as datetime.now(UTC)")
