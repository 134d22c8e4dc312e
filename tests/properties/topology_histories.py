"""Histories of a small keyspace for Hypothesis: what may be written, and what it is written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.topology.samples import STAMP, cell
from topology.codec import encode
from topology.keys import Keyspace
from topology.model import Cell, CellState, Document, Retired, SequenceRange
from topology.store import Batch, Event, EventKind, Listing, Record

SPACE = Keyspace()
Write = tuple[str, bytes | None]  # a key with its new value; None deletes it


@dataclass
class Keys:
    """What etcd would hold: enough of it to make batches and listings."""

    revision: int = 100
    records: dict[str, Record] = field(default_factory=dict)

    def commit(self, writes: Sequence[Write]) -> Batch:
        """Write all at one revision."""
        self.revision += 1
        events = []
        for key, value in dict(writes).items():
            before = self.records.pop(key, None)
            if value is not None:
                created, version = (
                    (before.create_revision, before.version + 1) if before else (self.revision, 1)
                )
                self.records[key] = Record(key, value, created, self.revision, version)
                events.append(Event(EventKind.PUT, key, self.revision, self.records[key]))
            elif before is not None:
                events.append(Event(EventKind.DELETE, key, self.revision))
        return Batch(self.revision, tuple(events))

    def listing(self) -> Listing:
        """List all, in the order of the keys."""
        return Listing(self.revision, tuple(self.records[key] for key in sorted(self.records)))


def own_cell(cell_id: int, state: CellState, weight: int) -> Cell:
    """Make a cell that shares nothing with any other."""
    own = (SequenceRange(minval=cell_id * 100, maxval=cell_id * 100 + 99),)
    return cell(cell_id, state, weight=weight, sequence_ranges=own)


def tombstone(cell_id: int) -> Retired:
    """Make the tombstone of such a cell."""
    gone = own_cell(cell_id, CellState.DECOMMISSIONED, 0)
    return Retired(
        id=cell_id,
        name=gone.name,
        session_prefix=gone.session_prefix,
        sequence_ranges=gone.sequence_ranges,
        stamp=STAMP,
    )


IDS = st.integers(1, 5)
STATES = st.sampled_from(CellState)

good_writes: st.SearchStrategy[list[Write]] = st.one_of(
    st.builds(
        lambda cell_id, state, weight: [(SPACE.cell(cell_id), encode(own_cell(cell_id, state, weight)))],
        IDS,
        STATES,
        st.integers(0, 3),
    ),
    st.builds(
        lambda cell_id: [
            (SPACE.cell(cell_id), None),
            (SPACE.retired(cell_id + 5), encode(tombstone(cell_id + 5))),
        ],
        IDS,
    ),
    st.builds(lambda cell_id: [(SPACE.cell(cell_id), None)], IDS),
    st.builds(
        lambda name, number: [
            (
                SPACE.document("rules", name),
                encode(Document(kind="rules", name=name, body={"n": number}, stamp=STAMP)),
            )
        ],
        st.sampled_from(["current", "next"]),
        st.integers(0, 2),
    ),
    st.just([(SPACE.document("rules", "next"), None)]),
    st.just([(SPACE.registry, b"{}")]),
    # Keys that never held anything good.
    st.builds(lambda value: [(SPACE.cell(9), value)], st.sampled_from([b"", b"garbage", None])),
    st.just([("/cellplane/v1/what/is/this", b"?")]),
)

contested_writes: st.SearchStrategy[list[Write]] = st.one_of(
    good_writes,
    st.builds(
        lambda cell_id, prefix, start: [
            (
                SPACE.cell(cell_id),
                encode(
                    cell(
                        cell_id,
                        session_prefix=prefix,
                        sequence_ranges=(SequenceRange(minval=start, maxval=start + 30),),
                    )
                ),
            )
        ],
        IDS,
        st.sampled_from(["cell-1", "cell-2", "cell-3", "cell", "other"]),
        st.integers(100, 400),
    ),
    st.builds(lambda cell_id, value: [(SPACE.cell(cell_id), value)], IDS, st.sampled_from([b"?", b"{}"])),
    st.builds(lambda cell_id: [(SPACE.retired(cell_id), encode(tombstone(cell_id)))], IDS),
    st.builds(lambda cell_id: [(SPACE.retired(cell_id), None)], IDS),
)


def histories(writes: st.SearchStrategy[list[Write]]) -> st.SearchStrategy[list[list[Write]]]:
    """Make histories: a list of commits, each of one to three wishes."""
    commits = st.lists(writes, min_size=1, max_size=3).map(
        lambda wishes: [write for wish in wishes for write in wish]
    )
    return st.lists(commits, max_size=25)
