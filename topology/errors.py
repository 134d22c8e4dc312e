"""What can go wrong between topology and its store; what an operator may get wrong is a value instead.

    TopologyError
    └── StoreError
        ├── StoreUnavailable        nobody answered in time: try again later
        │   └── OutcomeUnknown      the same, of a commit that may have happened
        ├── StoreRefused            the store answered, and said no: trying again does not help by itself
        ├── LeaseGone               a lease has run out, and every key that lived by it: take a new one
        └── ListAgain               a watch, or a read at a revision, cannot go on from where it was
            ├── Compacted           the history it needs has been thrown away
            ├── Rewound             the store is behind it: restored from a backup, or another store
            └── Torn                a revision came in two pieces

The adapters raise them, the watcher and the command catch them.
`etcd Event -> View -> Snapshot -> Response`, its first arrow.
"""

from __future__ import annotations


class TopologyError(Exception):
    """The root of the tree."""


class StoreError(TopologyError):
    """Something between us and the store."""


class StoreUnavailable(StoreError):
    """Nobody answered in time, or nobody could be reached."""


class OutcomeUnknown(StoreUnavailable):
    """A commit was sent and no answer came: it may have happened. Look before trying again."""


class StoreRefused(StoreError):
    """The store said no: credentials, permission, size, space."""


class LeaseGone(StoreError):
    """The lease has run out or was given back. Nothing was written; its keys are gone."""


class ListAgain(StoreError):
    """The watch has ended for good; list, and watch from there."""


class Compacted(ListAgain):
    """The revision asked for is older than the history that the store keeps, which begins after
    `compact_revision`.

    0 where the store did not say.
    """

    def __init__(self, compact_revision: int = 0) -> None:
        upto = f" up to revision {compact_revision}" if compact_revision else ""
        super().__init__(f"history{upto} has been compacted: list again")
        self.compact_revision = compact_revision


class Rewound(ListAgain):
    """A revision that the store gave before is not there: a backup was restored, or another store answers."""

    def __init__(self, after: int, revision: int = 0) -> None:
        now = f"the store is at revision {revision}" if revision else "the store is not the same any more"
        super().__init__(f"{now}, and revision {after} was seen before: list again")
        self.after = after
        self.revision = revision


class Torn(ListAgain):
    """More events of a revision came after the revision had been delivered as whole."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"revision {revision} came in two pieces: list again")
        self.revision = revision
