"""The six promises of a watch, each a check over a recording that says in words which one was broken.

They are etcd's (https://etcd.io/docs/v3.5/learning/api_guarantees/#watch-apis). A recording is what one watch
gave, in order; the history is what was really committed, oldest first, below the watched prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from topology.store import Batch, Event

PROMISES = {
    "Ordered": "the revisions of a watch rise",
    "Unique": "no event comes twice on a watch",
    "Atomic": "the events of one revision come in one batch, whole",
    "Reliable": "no event is left out between two that come",
    "Resumable": "a watch after a revision goes on with the very next event",
    "Bookmarkable": "a bookmark comes after every event up to its revision, and before all others",
}


class BrokenPromiseError(AssertionError):
    """A watch did what it promised not to do."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"broke {name} - {PROMISES[name]}: {found}")
        self.name = name


def check_ordered(batches: Sequence[Batch]) -> None:
    """See that revisions rise (a bookmark may repeat one), and that events carry their batch's."""
    last = 0
    for batch in batches:
        if batch.revision < last or (batch.revision == last and batch.events and last):
            raise BrokenPromiseError("Ordered", f"revision {batch.revision} after {last}")
        for event in batch.events:
            if event.mod_revision != batch.revision:
                raise BrokenPromiseError(
                    "Ordered", f"{event.key} of {event.mod_revision} in {batch.revision}"
                )
        last = batch.revision if batch.events else last


def check_unique(batches: Sequence[Batch]) -> None:
    """See that no key is written twice at one revision, in one batch or in two."""
    seen: set[tuple[str, int]] = set()
    for event in _events(batches):
        if (event.key, event.mod_revision) in seen:
            raise BrokenPromiseError("Unique", f"{event.key} at {event.mod_revision} again")
        seen.add((event.key, event.mod_revision))


def check_atomic(batches: Sequence[Batch], history: Sequence[Batch]) -> None:
    """See that each batch holds exactly what its revision changed."""
    committed = {batch.revision: batch.events for batch in history}
    for batch in batches:
        if batch.events and set(batch.events) != set(committed.get(batch.revision, ())):
            found, wanted = sorted(_keys(batch.events)), sorted(_keys(committed.get(batch.revision, ())))
            raise BrokenPromiseError("Atomic", f"revision {batch.revision} came as {found}, and was {wanted}")


def check_reliable(batches: Sequence[Batch], history: Sequence[Batch]) -> None:
    """See that everything committed between the first event and the last has come."""
    revisions = [batch.revision for batch in batches if batch.events]
    if not revisions:
        return
    came = {(event.key, event.mod_revision) for event in _events(batches)}
    for event in _events(history):
        if (
            revisions[0] <= event.mod_revision <= revisions[-1]
            and (event.key, event.mod_revision) not in came
        ):
            raise BrokenPromiseError("Reliable", f"{event.key} at {event.mod_revision} is missing")


def check_resumable(batches: Sequence[Batch], history: Sequence[Batch], after: int) -> None:
    """See that nothing at or before the revision comes, and the first that comes is the first behind it."""
    behind = [event.mod_revision for event in _events(history) if event.mod_revision > after]
    came = [event.mod_revision for event in _events(batches)]
    if not came:
        return
    if came[0] <= after:
        raise BrokenPromiseError("Resumable", f"revision {came[0]} comes again after {after}")
    if behind and came[0] != behind[0]:
        raise BrokenPromiseError("Resumable", f"after {after} comes {came[0]}, not {behind[0]}")


def check_bookmarkable(batches: Sequence[Batch], history: Sequence[Batch], after: int) -> None:
    """See that everything up to a bookmark's revision came before it, and nothing of it comes behind."""
    came: set[tuple[str, int]] = set()
    marked = after
    for batch in batches:
        if batch.events and batch.revision <= marked:
            raise BrokenPromiseError(
                "Bookmarkable", f"revision {batch.revision} came after bookmark {marked}"
            )
        came.update((event.key, event.mod_revision) for event in batch.events)
        if not batch.events:
            marked = max(marked, batch.revision)
            for event in _events(history):
                if after < event.mod_revision <= marked and (event.key, event.mod_revision) not in came:
                    found = f"bookmark {marked} came before {event.key} at {event.mod_revision}"
                    raise BrokenPromiseError("Bookmarkable", found)


def check_all(batches: Sequence[Batch], history: Sequence[Batch], after: int) -> None:
    """Check a recording of one watch for all six."""
    check_ordered(batches)
    check_unique(batches)
    check_atomic(batches, history)
    check_reliable(batches, history)
    check_resumable(batches, history, after)
    check_bookmarkable(batches, history, after)


def _events(batches: Sequence[Batch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


def _keys(events: Sequence[Event]) -> list[str]:
    return [event.key for event in events]
