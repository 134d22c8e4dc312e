"""The topology as one value at one revision: what serves, what is gone, and what could not be let in.

The watcher folds batches into it and hands each View on, planning reads it. It never raises on what it finds
in the store, and nobody edits it in place. `etcd Event -> View -> Snapshot -> Response`.

What stands where the store holds a mistake: the last good record of a key keeps serving until the key is
mended or deleted, and of two records that contradict each other the one that was let in first. Only where
nothing is known of before (a first listing) does the elder stand, by create revision. So two replicas may
differ over a mistake until it is mended; over what planning writes they never differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

from topology.codec import Undecodable, decode
from topology.keys import (
    CellKey,
    DepartureKey,
    DocumentKey,
    GenerationKey,
    Keyspace,
    RegistryKey,
    RetiredKey,
    UnknownKey,
)
from topology.model import Cell, Departure, Document, Retired
from topology.quarantine import Quarantined, QuarantineKind
from topology.store import Batch, Event, EventKind, Listing, Record
from topology.uniqueness import Holder, Register, same_holding

__all__ = ["EMPTY", "QuarantineKind", "Quarantined", "View", "fold", "from_listing"]

RAW_KEPT: Final = 4096
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything below one keyspace at one revision. `stale`: from a file, not yet confirmed by the store.

    A record that did not change keeps its identity from View to View, and so does a mapping none of whose
    records did: compare with `is`. `departed`: owners that left a cell, by their names. `generations`: at
    which revision a slot (see `claims.generations`) was written last.
    """

    keyspace: Keyspace = field(default_factory=Keyspace)
    revision: int = 0
    cells: Mapping[int, Cell] = field(default_factory=dict)
    retired: Mapping[int, Retired] = field(default_factory=dict)
    documents: Mapping[tuple[str, str], Document] = field(default_factory=dict)
    departed: Mapping[str, Departure] = field(default_factory=dict)
    generations: Mapping[int, int] = field(default_factory=dict)
    quarantined: Mapping[str, Quarantined] = field(default_factory=dict)
    mod_revisions: Mapping[str, int] = field(default_factory=dict)
    stale: bool = False

    def cell_revision(self, cell_id: int) -> int:
        """Give the revision at which the cell's key was last written; 0 where there is none."""
        return self.mod_revisions.get(self.keyspace.cell(cell_id), 0)

    def document_revision(self, kind: str, name: str) -> int:
        """Give the revision at which the document's key was last written; 0 where there is none."""
        return self.mod_revisions.get(self.keyspace.document(kind, name), 0)


EMPTY: Final = View()


def from_listing(listing: Listing, keyspace: Keyspace, previous: View | None = None) -> View:
    """Make the View of a listing; what did not change since the previous one keeps its identity."""
    base = previous if previous is not None and previous.keyspace == keyspace else View(keyspace=keyspace)
    listed = {record.key for record in listing.records}
    events = [
        Event(EventKind.DELETE, key, listing.revision) for key in base.mod_revisions if key not in listed
    ] + [Event(EventKind.PUT, record.key, record.mod_revision, record) for record in listing.records]
    return replace(_absorb(base, events, listing.revision), stale=False)


def fold(view: View, batch: Batch) -> View:
    """Give the View after a batch. A batch at or below the View's revision changes nothing."""
    if batch.revision <= view.revision:
        return view
    if batch.is_bookmark:
        return replace(view, revision=batch.revision)
    return _absorb(view, batch.events, batch.revision)


def _absorb(view: View, events: Iterable[Event], revision: int) -> View:
    draft = _Draft(view)
    ordered = sorted(events, key=lambda event: event.kind is not EventKind.DELETE)
    for event in ordered:  # deletions first: a removed cell makes way for its own tombstone
        if event.record is None:
            draft.delete(event.key)
        else:
            draft.put(event.record)
    draft.settle()
    return View(
        keyspace=view.keyspace,
        revision=revision,
        cells=_sealed(draft.cells, view.cells),
        retired=_sealed(draft.retired, view.retired),
        documents=_sealed(draft.documents, view.documents),
        departed=_sealed(draft.departed, view.departed),
        generations=_sealed(draft.generations, view.generations),
        quarantined=_sealed(draft.quarantined, view.quarantined),
        mod_revisions=MappingProxyType(draft.mod_revisions),
        stale=view.stale,
    )


def _sealed(records: dict[Any, _Value], before: Mapping[Any, _Value]) -> Mapping[Any, _Value]:
    """Seal a mapping, in the order of its keys however it came about; one that is as before stays."""
    if isinstance(before, MappingProxyType) and records == before:
        return before
    ordered = sorted(records)
    if ordered != list(records):
        records = {key: records[key] for key in ordered}
    return MappingProxyType(records)


class _Draft:
    """The View in the making. Holders whose claims are new wait until all is read, then are settled."""

    def __init__(self, view: View) -> None:
        self._keyspace = view.keyspace
        self._freed = False
        self._waiting: dict[str, tuple[Record, Holder]] = {}
        self.cells = dict(view.cells)
        self.retired = dict(view.retired)
        self.documents = dict(view.documents)
        self.departed = dict(view.departed)
        self.generations = dict(view.generations)
        self.quarantined = dict(view.quarantined)
        self.mod_revisions = dict(view.mod_revisions)

    def delete(self, key: str) -> None:
        self.mod_revisions.pop(key, None)
        self.quarantined.pop(key, None)
        match self._keyspace.parse(key):
            case CellKey(cell_id):
                self._freed |= self.cells.pop(cell_id, None) is not None
            case RetiredKey(cell_id):
                self._freed |= self.retired.pop(cell_id, None) is not None
            case DocumentKey(kind, name):
                self.documents.pop((kind, name), None)
            case DepartureKey(owner):
                self.departed.pop(owner, None)
            case GenerationKey(slot):
                self.generations.pop(slot, None)
            case RegistryKey() | UnknownKey():
                pass

    def put(self, record: Record) -> None:
        self.mod_revisions[record.key] = record.mod_revision
        self.quarantined.pop(record.key, None)
        key = self._keyspace.parse(record.key)
        match key:
            case RegistryKey():
                pass  # only its revision counts
            case GenerationKey(slot):
                self.generations[slot] = record.mod_revision
            case UnknownKey(reason):
                self._quarantine(record, QuarantineKind.UNKNOWN_KEY, reason)
            case _:
                match decode(key, record.value):
                    case Undecodable(reason):
                        self._quarantine(record, QuarantineKind.UNDECODABLE, reason)
                    case Document() as document:
                        _keep(self.documents, (document.kind, document.name), document)
                    case Departure() as departure:
                        _keep(self.departed, departure.owner, departure)
                    case Cell() | Retired() as holder:
                        self._hold(record, holder)

    def _hold(self, record: Record, holder: Holder) -> None:
        if isinstance(holder, Cell):
            current: Holder | None = self.cells.get(holder.id)
        else:
            current = self.retired.get(holder.id)
        if current is not None and same_holding(current, holder):
            self._admit(holder)
        else:
            self._waiting[record.key] = (record, holder)

    def _admit(self, holder: Holder) -> None:
        if isinstance(holder, Cell):
            _keep(self.cells, holder.id, holder)
        else:
            _keep(self.retired, holder.id, holder)

    def settle(self) -> None:
        """Let in what contradicts nothing that stands, the elder first, until nothing more can come in."""
        if not self._waiting and not self._freed:
            return
        waiting = {key: (record, holder) for key, (record, holder) in self._waiting.items()}
        contested = [
            (was.create_revision, key, was.record)
            for key, was in self.quarantined.items()
            if was.record is not None
        ]
        contested += [(record.create_revision, key, holder) for key, (record, holder) in waiting.items()]
        contested.sort(key=lambda entry: entry[:2])
        register = Register((*self.cells.values(), *self.retired.values()))
        progress = True
        while progress:
            progress = False
            for entry in tuple(contested):
                _, key, holder = entry
                if not register.clashes(holder):
                    register.add(holder)
                    self._admit(holder)
                    self.quarantined.pop(key, None)
                    contested.remove(entry)
                    progress = True
        for _, key, holder in contested:
            reason = "; ".join(str(problem) for problem in register.clashes(holder))
            if key in waiting:
                self._quarantine(waiting[key][0], QuarantineKind.CONTRADICTION, reason, holder)
            else:
                self.quarantined[key] = replace(self.quarantined[key], reason=reason)

    def _quarantine(
        self, record: Record, kind: QuarantineKind, reason: str, holder: Holder | None = None
    ) -> None:
        self.quarantined[record.key] = Quarantined(
            key=record.key,
            kind=kind,
            reason=reason,
            create_revision=record.create_revision,
            mod_revision=record.mod_revision,
            raw=record.value[:RAW_KEPT],
            record=holder,
        )


def _keep(records: dict[_Key, _Value], key: _Key, record: _Value) -> None:
    """Put a record in, unless an equal one is there already: that one keeps its identity."""
    if records.get(key) != record:
        records[key] = record
