"""What a wave is about, and what passes it: two Views compared as far as Envoys are told of them.

The publisher asks what may reach everybody while some nodes try the rest; the leader asks whether what is
tried was written again meanwhile. Pure: Views in, a View or a yes out (`View -> Snapshot`).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from cellplane.push_change import NO_STAMP
from cellplane.rules_in_force import KIND, NAME
from envoy.certificates import KIND as CERTIFICATES
from envoy.certificates import NAME as EDGE_CERTIFICATE
from envoy.clusters import is_resolved_by_envoy
from envoy.shadow import KIND as SHADOW
from envoy.shadow import NAME as CANDIDATE
from topology.model import Cell, CellState, Document
from topology.view import View

TOLD: Final = ((KIND, NAME), (CERTIFICATES, EDGE_CERTIFICATE), (SHADOW, CANDIDATE))
"""Documents of which Envoys hear in waves. Overrides and zones' evacuations are an operator's urgent word."""


def past_wave(base: View, newest: View) -> View:
    """Give the View that all had last, with what is newer and waits for no wave.

    That is: endpoints that EDS carries, quarantines and their end, overrides, and whatever concerns claims.
    Rules and candidates for them, certificates, other fields of cells, and cells that came or went are as
    they were.
    """
    cells = {cell_id: _past(known, newest.cells.get(cell_id)) for cell_id, known in base.cells.items()}
    revisions = dict(newest.mod_revisions)
    for cell_id in cells.keys() | newest.cells.keys():
        if cells.get(cell_id) is not newest.cells.get(cell_id):
            _take(revisions, base, base.keyspace.cell(cell_id))
    unlike = _unlike(base, newest)
    for key in unlike:
        _take(revisions, base, base.keyspace.document(*key))
    _take(revisions, base, base.keyspace.registry)
    documents = newest.documents  # a translation looks by identity first
    if unlike:
        kept = {key: base.documents[key] for key in unlike if key in base.documents}
        documents = {key: each for key, each in newest.documents.items() if key not in unlike} | kept
    return replace(newest, cells=cells, documents=documents, mod_revisions=revisions)


def is_overtaken(base: View, tried: View, newest: View) -> bool:
    """Tell whether something that is tried beyond the base was written again, or taken back, since."""
    for cell_id in base.cells.keys() | tried.cells.keys():
        one, now = tried.cells.get(cell_id), newest.cells.get(cell_id)
        if not _same(base.cells.get(cell_id), one) and not _same(one, now):
            return True
    return any(key in _unlike(tried, newest) for key in _unlike(base, tried))


def concerns_sidecars(base: View, tried: View) -> bool:
    """Tell whether sidecars too are told of what is tried: of rules."""
    return (KIND, NAME) in _unlike(base, tried)


def essence(view: View) -> View:
    """Give what is to be kept of a View so that another replica can serve it."""
    keys = {view.keyspace.cell(cell_id) for cell_id in view.cells}
    keys |= {view.keyspace.registry, *(view.keyspace.document(*key) for key in TOLD)}
    revisions = {key: at for key, at in view.mod_revisions.items() if key in keys}
    return View(
        keyspace=view.keyspace,
        revision=view.revision,
        cells=view.cells,
        documents={key: view.documents[key] for key in TOLD if key in view.documents},
        mod_revisions=revisions,
    )


def adopted(kept: View, newest: View) -> View:
    """Give a View that was kept, with the very objects of the newest where these are equal: a translation
    sees by identity what did not change.
    """
    cells = {}
    for cell_id, cell in kept.cells.items():
        known = newest.cells.get(cell_id)
        # By identity first: thousands of cells are looked at with each change.
        cells[cell_id] = known if known is not None and (known is cell or known == cell) else cell
    documents = {
        key: newest.documents[key] if newest.documents.get(key) == each else each
        for key, each in kept.documents.items()
    }
    return replace(kept, cells=MappingProxyType(cells), documents=documents, stale=False)


def _past(known: Cell, now: Cell | None) -> Cell:
    if now is None or now is known:
        return known
    if _is_quarantine(known, now) or _same(known, now):
        return now
    return known if _is_by_name(known, now) else replace(known, endpoints=now.endpoints)


def _same(one: Cell | None, other: Cell | None) -> bool:
    """Tell whether no wave is about the difference between two records of a cell."""
    if one is None or other is None or one is other:
        return one is other
    if _is_quarantine(one, other):
        return True
    if _is_by_name(one, other) and one.endpoints != other.endpoints:
        return False
    return replace(one, endpoints=(), stamp=NO_STAMP) == replace(other, endpoints=(), stamp=NO_STAMP)


def _is_quarantine(one: Cell, other: Cell) -> bool:
    """Tell whether a cell was quarantined, or no longer is."""
    return one.state is not other.state and CellState.QUARANTINED in (one.state, other.state)


def _is_by_name(one: Cell, other: Cell) -> bool:
    """Tell whether Envoy has the endpoints from the cluster itself: EDS carries no names."""
    return is_resolved_by_envoy(one) or is_resolved_by_envoy(other)


def _unlike(one: View, other: View) -> list[tuple[str, str]]:
    """Name the documents that Envoys are told of and that differ."""
    return [key for key in TOLD if _body(one.documents.get(key)) != _body(other.documents.get(key))]


def _body(document: Document | None) -> object:
    return None if document is None else document.body


def _take(revisions: dict[str, int], base: View, key: str) -> None:
    """Let a key have the revision that it had in the base."""
    revisions.pop(key, None)
    if key in base.mod_revisions:
        revisions[key] = base.mod_revisions[key]
