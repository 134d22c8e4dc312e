"""What no two cells may share, dead or alive: ids, session prefixes and sequences; and who holds what.

The View asks it which of two contradicting records stands, planning asks it before anything is written. It is
told of cells and tombstones, never of keys. `etcd Event -> View -> Snapshot -> Response`: keeps
contradictions out of the View.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from topology.model import Cell, Problem, Retired, SequenceRange

Holder = Cell | Retired


def same_holding(one: Holder, other: Holder) -> bool:
    """Tell whether two records claim the same id, session prefix and sequences."""
    return _holding(one) == _holding(other)


class Register:
    """Who holds which id, session prefix and sequences. Asking costs the logarithm of what it holds."""

    def __init__(self, holders: Iterable[Holder] = ()) -> None:
        self._holders: dict[int, Holder] = {}
        self._prefixes: dict[str, int] = {}
        self._longer: dict[str, list[int]] = {}
        self._ranges: list[tuple[int, int, int]] = []
        for holder in holders:
            self.add(holder)

    def add(self, holder: Holder) -> None:
        """Note a holder that clashes with none of the others; it replaces what its id held before."""
        self.discard(holder.id)
        self._holders[holder.id] = holder
        self._prefixes[holder.session_prefix] = holder.id
        for shorter in _shorter(holder.session_prefix):
            self._longer.setdefault(shorter, []).append(holder.id)
        for held in holder.sequence_ranges:
            insort(self._ranges, (held.minval, held.maxval, holder.id))

    def discard(self, cell_id: int) -> None:
        """Forget what an id holds."""
        holder = self._holders.pop(cell_id, None)
        if holder is None:
            return
        del self._prefixes[holder.session_prefix]
        for shorter in _shorter(holder.session_prefix):
            self._longer[shorter].remove(cell_id)
        for held in holder.sequence_ranges:
            self._ranges.remove((held.minval, held.maxval, cell_id))

    def get(self, cell_id: int) -> Holder | None:
        """Give whoever holds the id."""
        return self._holders.get(cell_id)

    def clashes(self, holder: Holder) -> tuple[Problem, ...]:
        """Say what the holder would share with others; it may replace its like of the same id."""
        return tuple(self._clashes(holder))

    def _clashes(self, holder: Holder) -> Iterator[Problem]:
        same = self._holders.get(holder.id)
        if same is not None and type(same) is not type(holder):
            yield Problem(
                field="id", message=f"is that of {_named(same)}: ids are never used again, take a new one"
            )
        for other in self._prefix_holders(holder.session_prefix):
            if other.id != holder.id:
                yield Problem(
                    field="session_prefix",
                    message=f"{holder.session_prefix!r} can't be told from {other.session_prefix!r} of "
                    f"{_named(other)}: take another one",
                )
        for at, sequence in enumerate(holder.sequence_ranges):
            for minval, maxval, owner in self._overlapping(sequence):
                if owner != holder.id:
                    yield Problem(
                        field=f"sequence_ranges[{at}]",
                        message=f"{sequence.minval} to {sequence.maxval} overlaps {minval} to {maxval} of "
                        f"{_named(self._holders[owner])}: start above {self._highest()}",
                    )

    def _prefix_holders(self, prefix: str) -> Iterator[Holder]:
        # A cookie is `<prefix>-<rest>`: with cell-1 and cell-1-b both in use, `cell-1-b-…` could be either's.
        for held in (prefix, *_shorter(prefix)):
            if held in self._prefixes:
                yield self._holders[self._prefixes[held]]
        for owner in sorted(self._longer.get(prefix, ())):
            yield self._holders[owner]

    def _overlapping(self, sequence: SequenceRange) -> Iterator[tuple[int, int, int]]:
        # What is held never overlaps, so that it is in the same order by either end.
        at = max(0, bisect_left(self._ranges, (sequence.minval,)) - 1)
        while at < len(self._ranges) and self._ranges[at][0] <= sequence.maxval:
            if self._ranges[at][1] >= sequence.minval:
                yield self._ranges[at]
            at += 1

    def _highest(self) -> int:
        return self._ranges[-1][1]


def _holding(holder: Holder) -> tuple[int, str, tuple[SequenceRange, ...]]:
    return (holder.id, holder.session_prefix, holder.sequence_ranges)


def _shorter(prefix: str) -> Iterator[str]:
    parts = prefix.split("-")
    return ("-".join(parts[:count]) for count in range(1, len(parts)))


def _named(holder: Holder) -> str:
    return f"cell {holder.id}" if isinstance(holder, Cell) else f"removed cell {holder.id}"
