"""View + rules + settings -> Snapshot, doing work for what changed only.

The control plane hands in each new View and publishes what comes out; it calls again after
`next_change_seconds`, because a draining cell's share falls by itself. Pure: the moment is an argument. What
did not change keeps its objects: a cell its cluster and endpoints, a type its whole mapping, by which the
next stage sees that there is nothing to do. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from envoy.certificates import files_in_force
from envoy.clusters import fixed_cluster
from envoy.edge import EdgeSettings
from envoy.ext_proc_cluster import ext_proc_clusters
from envoy.listeners import listeners
from envoy.redirect import redirect_listener
from envoy.routes import RouteTable, route_table
from envoy.ruleset import Ruleset, ends, ruleset_at
from envoy.secrets import secrets
from envoy.shadow import shown_parts
from envoy.standing import Standing, cluster_name
from envoy.tls_names import Named, tls_listeners
from envoy.tracing import collector_cluster
from envoy.translated import Translated, translated, unchanged
from topology.departing import left_cells
from topology.model import Cell, Departure, Document
from topology.overrides import Overrides, overrides_of
from topology.view import View
from topology.zones import Drains, zone_drains
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource
from xds.snapshot import Snapshot

_NOTHING: Final = Snapshot(0, {})


@dataclass(frozen=True, slots=True)
class Memo:
    """What the next translation may use again. `moving`: cells that change with time."""

    settings: EdgeSettings
    cells: Mapping[int, Translated]
    standings: Mapping[int, Standing]
    moving: tuple[int, ...]
    listeners: Mapping[str, Resource]
    routes: RouteTable
    fixed: Mapping[str, Resource]
    named: Mapping[str, Named]
    documents: Mapping[tuple[str, str], Document]
    departed: Mapping[str, Departure]
    left: Mapping[int, frozenset[int]]
    drains: Drains
    overrides: Overrides
    passed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Translation:
    """A Snapshot, and in how many seconds it changes by itself (None: not).

    `rules` are the names of the rules that it was made by, those too whose time is over.
    """

    snapshot: Snapshot
    next_change_seconds: float | None
    memo: Memo
    rules: tuple[str, ...]


def translate(
    view: View, ruleset: Ruleset, settings: EdgeSettings, now: datetime, previous: Translation | None
) -> Translation:
    """Make the Snapshot of a View at a moment. The same input gives the same one, whatever came before."""
    memo = previous.memo if previous is not None and previous.memo.settings == settings else None
    known: Mapping[int, Translated] = memo.cells if memo else {}
    waits = [(end - now).total_seconds() for end in ends(ruleset) if end > now]
    rules = tuple(rule.name for rule in ruleset.rules)
    ruleset = ruleset_at(ruleset, now)
    documents = view.documents
    drains = memo.drains if memo and memo.documents is documents else zone_drains(view)
    orders = memo.overrides if memo and memo.documents is documents else overrides_of(documents)
    passed = orders.passed(now)
    touched = _touched(view.cells, drains, memo) | (passed ^ (memo.passed if memo else passed))
    fresh = {
        cell_id: translated(
            view.cells[cell_id],
            drains.get(cell_id, ()),
            settings,
            now,
            known.get(cell_id),
            passed=cell_id in passed,
        )
        for cell_id in touched
        if cell_id in view.cells
    }
    cells = {cell_id: fresh.get(cell_id) or known[cell_id] for cell_id in view.cells} if touched else known
    standings = _standings(cells, touched, memo)
    same = memo and memo.documents is documents and memo.departed is view.departed
    left = memo.left if memo and same else left_cells(view)
    shown = shown_parts(view)
    routes = route_table(
        ruleset, standings, settings, memo.routes if memo else None, view.generations, left, shown
    )
    listeners = memo.listeners if memo else _listeners(settings)
    fixed = _fixed(ruleset, settings, memo)
    before = previous.snapshot if memo and previous is not None else _NOTHING
    gone: dict[str, Resource | None] = {cluster_name(each): None for each in touched - fresh.keys()}
    clusters = gone | {cluster_name(each): made.cluster for each, made in fresh.items()} | dict(fixed)
    if memo:
        clusters |= dict.fromkeys(memo.fixed.keys() - fixed.keys())
    assignments = gone | {cluster_name(each): made.endpoints for each, made in fresh.items()}
    named = _named(cells, memo)
    if memo is None or named is not memo.named:
        gone = dict.fromkeys(memo.named if memo else ())
        clusters |= gone | {name: each.cluster for name, each in named.items()}
        assignments |= gone | {name: each.endpoints for name, each in named.items()}
    moving = tuple(each for each, made in fresh.items() if made.next_change_seconds is not None)
    ends_of_states = (orders.next_change_seconds(now), *(fresh[each].next_change_seconds for each in moving))
    waits += [wait for wait in ends_of_states if wait is not None]
    after = Memo(
        settings,
        cells,
        standings,
        moving,
        listeners,
        routes,
        fixed,
        named,
        documents,
        view.departed,
        left,
        drains,
        orders,
        passed,
    )
    return Translation(
        snapshot=Snapshot(
            view.revision,
            {
                CLUSTER: _patched(before.of_type(CLUSTER), clusters),
                ENDPOINT: _patched(before.of_type(ENDPOINT), assignments),
                LISTENER: _patched(before.of_type(LISTENER), listeners),
                ROUTE: _patched(before.of_type(ROUTE), {routes.resource.name: routes.resource}),
                SECRET: _patched(before.of_type(SECRET), _secrets(view, settings, before)),
            },
        ),
        next_change_seconds=min(waits, default=None),
        memo=after,
        rules=rules,
    )


def _touched(cells: Mapping[int, Cell], drains: Drains, memo: Memo | None) -> set[int]:
    """List the cells that came, changed, went, or change with time."""
    if memo is None:
        return set(cells)
    known = memo.cells
    touched = {
        cell_id
        for cell_id, cell in cells.items()
        if (before := known.get(cell_id)) is None or before.cell is not cell
    }
    touched.update(known.keys() - cells.keys(), memo.moving)
    if drains is not memo.drains:
        touched.update((memo.drains.keys() & known.keys()) | (drains.keys() & cells.keys()))
    return touched


def _fixed(ruleset: Ruleset, settings: EdgeSettings, memo: Memo | None) -> Mapping[str, Resource]:
    """Make the clusters that are no cells; the same objects for the same ruleset."""
    if memo is not None and memo.routes.ruleset == ruleset:
        return memo.fixed
    made = [fixed_cluster(each, settings) for each in ruleset.clusters]
    if settings.lookups:
        made += ext_proc_clusters(settings.lookups)
    if settings.tracing:
        made.append(collector_cluster(settings.tracing))
    return {resource.name: resource for resource in made}


def _listeners(settings: EdgeSettings) -> Mapping[str, Resource]:
    made = (*listeners(settings), *redirect_listener(settings), *tls_listeners(settings))
    return {each.name: each for each in made}


def _secrets(view: View, settings: EdgeSettings, before: Snapshot) -> Mapping[str, Resource]:
    """Make the secrets; the same objects where their files are the same."""
    if settings.tls is None:
        return {}
    known = before.of_type(SECRET)
    made = secrets(files_in_force(view, settings.tls))
    return {each.name: unchanged(each, known.get(each.name)) or each for each in made}


def _named(cells: Mapping[int, Translated], memo: Memo | None) -> Mapping[str, Named]:
    """Gather the names of all cells; the same objects where nothing changed.

    One that two cells have belongs to the one with the lower id, whoever had it first.
    """
    before: Mapping[str, Named] = memo.named if memo else {}
    found: dict[str, Named] = {}
    for cell_id in sorted(cell_id for cell_id, made in cells.items() if made.names):
        for each in cells[cell_id].names:
            found.setdefault(each.cluster.name, each)
    return before if memo is not None and found == before else found


def _standings(
    cells: Mapping[int, Translated], touched: Iterable[int], memo: Memo | None
) -> Mapping[int, Standing]:
    if memo is not None:
        changed = (
            (cells[each].standing if each in cells else None) is not memo.standings.get(each)
            for each in touched
        )
        if not any(changed):
            return memo.standings
    return {cell_id: made.standing for cell_id, made in cells.items()}


def _patched(
    before: Mapping[str, Resource], changes: Mapping[str, Resource | None]
) -> Mapping[str, Resource]:
    """Give the mapping after changes (None: gone); the same object where they change nothing."""
    if all(before.get(name) is resource for name, resource in changes.items()):
        return before
    after = dict(before)
    for name, resource in changes.items():
        if resource is None:
            after.pop(name, None)
        else:
            after[name] = resource
    return after
