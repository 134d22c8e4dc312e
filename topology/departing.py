"""Departures before they happen: who is about to leave a cell, which names go along, and which names a cell
refuses.

A transfer announces its owners here and waits until every sidecar of the source has heard of it; sidecars
refuse what `fence` lists. Documents of the topology, so that whoever reads a View has them. Pure.
`etcd Event -> View -> Snapshot`, and the third road for what plans them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from topology.codec import encode
from topology.keys import Keyspace
from topology.model import Document, Stamp
from topology.plan import as_seen
from topology.store import Compare, Txn
from topology.view import View

DEPARTING: Final = "departing"
NAMES: Final = "departed-claims"
NAMES_AT_ONCE: Final = 1_000  # of a document; a name has at most 512 bytes
GIVEN_UP_AFTER: Final = timedelta(minutes=2)
"""Longer than an announcement is waited for. What is older was left by a service that died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departing:
    """An owner that a transfer is about to take away: until it is gone, its source refuses writes for it.

    `move` is the move that it is announced for, if any: then it stands for as long as that one needs it.
    """

    owner: str
    transfer: str
    from_cell: int
    to_cell: int
    epoch: int
    stamp: Stamp
    move: str = ""


@dataclass(frozen=True, slots=True)
class Barred:
    """What a cell says to a request for a name: its owner is in another cell, or is `moving` there."""

    owner: str
    cell_id: int
    epoch: int
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Fence:
    """All names that left some cell, by their name: where their owner is, and who is leaving which cell."""

    gone: Mapping[str, Barred]
    leaving: Mapping[int, Mapping[str, Barred]]

    def of_cell(self, cell_id: int) -> dict[str, Barred]:
        """List what one cell refuses."""
        found = {name: bar for name, bar in self.gone.items() if bar.cell_id != cell_id}
        return found | dict(self.leaving.get(cell_id, {}))


def departing(view: View) -> dict[str, Departing]:
    """Read who is about to leave; what is not ours to read is left out."""
    found: dict[str, Departing] = {}
    for (kind, name), document in view.documents.items():
        if kind == DEPARTING and (each := departing_of(name, document.body, document.stamp)) is not None:
            found[name] = each
    return found


def departing_of(owner: str, body: Mapping[str, Any], stamp: Stamp) -> Departing | None:
    """Read one; None where it is none."""
    try:
        return Departing(
            owner=owner,
            transfer=str(body["transfer"]),
            from_cell=int(body["from_cell"]),
            to_cell=int(body["to_cell"]),
            epoch=int(body["epoch"]),
            stamp=stamp,
            move=str(body.get("move", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def fence(view: View) -> Fence:
    """List what has left and what is leaving. Of two departures with one name the later one counts."""
    moving, gone = departing(view), dict[str, Barred]()
    leaving: dict[int, dict[str, Barred]] = {}
    for owner, epoch, names in _listed(view):
        wish, left = moving.get(owner), view.departed.get(owner)
        if left is not None and left.epoch >= epoch:
            gone.update(dict.fromkeys(names, Barred(owner, left.to_cell, left.epoch)))
        elif wish is not None and wish.epoch == epoch:
            bar = Barred(owner, wish.to_cell, epoch, moving=True)
            leaving.setdefault(wish.from_cell, {}).update(dict.fromkeys(names, bar))
    return Fence(gone, leaving)


def left_cells(view: View) -> Mapping[int, frozenset[int]]:
    """Name the cells that owners have left or are leaving, each with the cells where those are now."""
    moving, found = departing(view), dict[int, set[int]]()
    for (kind, name), document in view.documents.items():
        source = document.body.get("from_cell") if kind == NAMES else None
        if isinstance(source, int):
            owner, epoch = _owner_of(name)
            left, wish = view.departed.get(owner), moving.get(owner)
            to = found.setdefault(source, set())
            if left is not None and left.epoch >= epoch:
                to.add(left.to_cell)
            elif wish is not None and wish.epoch == epoch:
                to.add(wish.to_cell)
    return {source: frozenset(to) for source, to in found.items()}


class FenceOf:
    """The fence of the newest View, made anew only where something of it changed."""

    def __init__(self) -> None:
        self._view = View()
        self._fence = Fence({}, {})

    def __call__(self, view: View) -> Fence:
        """Give it."""
        before, self._view = self._view, view
        if view.documents is not before.documents or view.departed is not before.departed:
            self._fence = fence(view)
        return self._fence


def announced(keyspace: Keyspace, wish: Departing, revision: int) -> tuple[str, Txn]:
    """Plan the announcement of an owner, as its document was seen (0: not there). Gives its key too."""
    key = keyspace.document(DEPARTING, wish.owner)
    body: dict[str, Any] = {
        "transfer": wish.transfer,
        "from_cell": wish.from_cell,
        "to_cell": wish.to_cell,
        "epoch": wish.epoch,
    }
    if wish.move:
        body["move"] = wish.move
    document = Document(kind=DEPARTING, name=wish.owner, body=body, stamp=wish.stamp)
    return key, Txn(compares=(Compare(key, revision),), puts=((key, encode(document)),))


def named(keyspace: Keyspace, wish: Departing, names: Collection[str], seen: Compare) -> Iterator[Txn]:
    """Plan the names that go along with an owner; each write compares the announcement."""
    ordered = sorted(names)
    for at in range(0, len(ordered), NAMES_AT_ONCE):
        name = f"{wish.owner}/{wish.epoch}/{at // NAMES_AT_ONCE}"
        some = ordered[at : at + NAMES_AT_ONCE]
        document = Document(
            kind=NAMES, name=name, body={"from_cell": wish.from_cell, "claims": some}, stamp=wish.stamp
        )
        yield Txn(compares=(seen,), puts=((keyspace.document(NAMES, name), encode(document)),))


def names_below(keyspace: Keyspace, owner: str, epoch: int) -> str:
    """Spell what the keys of the names of one departure begin with."""
    return keyspace.document(NAMES, f"{owner}/{epoch}/0")[:-1]


def plan_strike(view: View, gone: Mapping[str, Barred], cell_id: int, names: Collection[str]) -> Txn | None:
    """Plan that names which a cell claims anew are refused there no more; None where none was.

    `gone` is the View's fence.
    """
    back = {name for name in names if name in gone and gone[name].cell_id != cell_id}
    if not back:
        return None
    puts, compares = [], []
    for (kind, name), document in view.documents.items():
        claims = document.body.get("claims") if kind == NAMES else None
        if isinstance(claims, list) and not back.isdisjoint(claims):
            key = view.keyspace.document(kind, name)
            body = {**document.body, "claims": [claim for claim in claims if claim not in back]}
            puts.append((key, encode(Document(kind=kind, name=name, body=body, stamp=document.stamp))))
            compares.append(as_seen(view, key))
    return Txn(compares=tuple(compares), puts=tuple(puts))


def orphans(view: View, most: int) -> Iterable[str]:
    """List keys of names that nobody refuses any more: their departure was forgotten, or never happened."""
    moving = departing(view)
    found: list[str] = []
    for kind, name in view.documents:
        if kind != NAMES or len(found) == most:
            continue
        owner, epoch = _owner_of(name)
        left, wish = view.departed.get(owner), moving.get(owner)
        if (left is None or left.epoch < epoch) and (wish is None or wish.epoch != epoch):
            found.append(view.keyspace.document(kind, name))
    return found


def _listed(view: View) -> list[tuple[str, int, tuple[str, ...]]]:
    """Give the names of each departure, in the order in which they were written."""
    found = []
    for (kind, name), document in view.documents.items():
        claims = document.body.get("claims") if kind == NAMES else None
        if isinstance(claims, list):
            owner, epoch = _owner_of(name)
            names = tuple(claim for claim in claims if isinstance(claim, str))
            found.append((view.document_revision(kind, name), owner, epoch, names))
    found.sort(key=lambda each: each[0])
    return [(owner, epoch, names) for _, owner, epoch, names in found]


def _owner_of(name: str) -> tuple[str, int]:
    owner, _, rest = name.rpartition("/")[0].rpartition("/")
    return owner, int(rest) if rest.isdecimal() else 0
