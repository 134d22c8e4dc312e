"""Views in which owners are about to leave a cell, or have left it, made as the gate and a transfer make
them.
"""

from __future__ import annotations

from tests.topology.samples import STAMP
from topology.codec import encode
from topology.departing import Departing, announced, named
from topology.keys import Keyspace
from topology.model import Departure
from topology.store import Batch, Compare, Event, EventKind, Record, Txn
from topology.view import View, fold

KEYS = Keyspace("/cellplane/v1")


def wish(owner: str = "NAMESPACE/42", epoch: int = 2, source: int = 1, to: int = 2) -> Departing:
    return Departing(owner=owner, transfer="t", from_cell=source, to_cell=to, epoch=epoch, stamp=STAMP)


def done(view: View, *txns: Txn) -> View:
    for txn in txns:
        at = view.revision + 1
        puts = [Event(EventKind.PUT, key, at, Record(key, value, at, at, 1)) for key, value in txn.puts]
        view = fold(view, Batch(at, (*puts, *(Event(EventKind.DELETE, key, at) for key in txn.deletes))))
    return view


def announce(view: View, one: Departing, *names: str) -> View:
    key, txn = announced(KEYS, one, view.document_revision("departing", one.owner))
    view = done(view, txn)
    return done(view, *named(KEYS, one, names, Compare(key, view.revision)))


def leave(view: View, one: Departing) -> View:
    departure = Departure(
        owner=one.owner, from_cell=one.from_cell, to_cell=one.to_cell, epoch=one.epoch, stamp=STAMP
    )
    key = KEYS.document("departing", one.owner)
    return done(view, Txn(puts=((KEYS.departure(one.owner), encode(departure)),), deletes=(key,)))
