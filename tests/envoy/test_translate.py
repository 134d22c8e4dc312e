from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from envoy.edge import EdgeSettings
from envoy.rules import DEFAULT_RULESET
from envoy.translate import Translation, translate
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from tests.envoy import match_table, request_table
from tests.envoy.edge_rig import NOW, cell, view_of
from tests.envoy.rule_documents import parsed, rule
from topology.forms import format_utc
from topology.model import Cell, CellState, Document, Endpoint, Stamp
from topology.view import View
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, ResourceType

SETTINGS = EdgeSettings()
KINDS = (CLUSTER, ENDPOINT, LISTENER, ROUTE)


def go(view: View, previous: Translation | None = None) -> Translation:
    return translate(view, DEFAULT_RULESET, SETTINGS, NOW, previous)


def kept(before: Translation, after: Translation) -> set[ResourceType]:
    """List the types whose mapping is the same object."""
    return {kind for kind in KINDS if after.snapshot.of_type(kind) is before.snapshot.of_type(kind)}


def test_a_view_becomes_clusters_endpoints_listener_and_routes() -> None:
    view = view_of(
        cell(1),
        cell(2, CellState.PROVISIONING),
        cell(3, CellState.QUARANTINED),
        cell(4, CellState.DRAINED),
        cell(5, host="app.test"),
        revision=42,
    )
    made = go(view).snapshot
    assert made.revision == 42
    assert set(made.of_type(CLUSTER)) == {"cell-1", "cell-2", "cell-3", "cell-5"}
    assert set(made.of_type(ENDPOINT)) == {"cell-1", "cell-2", "cell-3"}
    assert (set(made.of_type(LISTENER)), set(made.of_type(ROUTE))) == ({"edge"}, {"edge"})
    assert made.problems() == ()


def test_an_empty_view_still_answers() -> None:
    made = go(view_of()).snapshot
    assert made.problems() == ()
    assert not made.of_type(CLUSTER)
    assert set(made.of_type(ROUTE)) == {"edge"}


def test_nothing_changed_keeps_everything_but_the_revision() -> None:
    one, two = cell(1), cell(2)
    before = go(view_of(one, two))
    after = go(view_of(one, two, revision=8), before)
    assert after.snapshot.revision == 8
    assert kept(before, after) == set(KINDS)


def test_an_endpoint_changes_one_assignment_and_nothing_else() -> None:
    one, two = cell(1), cell(2)
    before = go(view_of(one, two))
    after = go(view_of(one, cell(2, ports=(81,))), before)
    assert kept(before, after) == {CLUSTER, LISTENER, ROUTE}
    assert after.snapshot.get(ENDPOINT, "cell-1") is before.snapshot.get(ENDPOINT, "cell-1")
    assert after.snapshot.get(ENDPOINT, "cell-2") != before.snapshot.get(ENDPOINT, "cell-2")


def test_a_weight_or_a_state_changes_the_routes_only() -> None:
    one, two = cell(1), cell(2)
    before = go(view_of(one, two))
    for changed in (cell(2, weight=1), cell(2, CellState.CORDONED), cell(2, CellState.QUARANTINED)):
        assert kept(before, go(view_of(one, changed), before)) == {CLUSTER, ENDPOINT, LISTENER}


def test_a_new_author_changes_nothing() -> None:
    one = cell(1)
    before = go(view_of(one))
    stamp = replace(one.stamp, updated_by="somebody else")
    assert kept(before, go(view_of(replace(one, stamp=stamp)), before)) == set(KINDS)


def test_a_cell_that_goes_takes_its_resources_along() -> None:
    one, two = cell(1), cell(2)
    before = go(view_of(one, two))
    after = go(view_of(one), before)
    assert set(after.snapshot.of_type(CLUSTER)) == set(after.snapshot.of_type(ENDPOINT)) == {"cell-1"}
    assert after.snapshot.get(CLUSTER, "cell-1") is before.snapshot.get(CLUSTER, "cell-1")
    assert after.snapshot.problems() == ()


def test_rules_change_the_routes_only_and_settings_what_they_touch() -> None:
    view = view_of(cell(1))
    before = go(view)
    ruled = translate(view, request_table.ruleset(), SETTINGS, NOW, before)
    assert kept(before, ruled) == {CLUSTER, ENDPOINT, LISTENER}
    logged = translate(view, DEFAULT_RULESET, replace(SETTINGS, access_log=True), NOW, before)
    versions = [
        (kind, kind.name)
        for kind in KINDS
        if {each.version for each in logged.snapshot.of_type(kind).values()}
        == {each.version for each in before.snapshot.of_type(kind).values()}
    ]
    assert {kind for kind, _ in versions} == {CLUSTER, ENDPOINT}  # routes name the class, for the log


def test_a_drain_says_when_it_changes_and_moves_the_routes_only() -> None:
    view = view_of(cell(1), cell(2, CellState.DRAINING))
    before = go(view)
    assert before.next_change_seconds == 6.0
    still = translate(view, DEFAULT_RULESET, SETTINGS, NOW + timedelta(seconds=2), before)
    assert kept(before, still) == set(KINDS)
    assert still.next_change_seconds == 4.0
    moved = translate(view, DEFAULT_RULESET, SETTINGS, NOW + timedelta(seconds=6), still)
    assert kept(still, moved) == {CLUSTER, ENDPOINT, LISTENER}
    over = translate(view, DEFAULT_RULESET, SETTINGS, NOW + timedelta(seconds=30), moved)
    assert over.next_change_seconds is None
    assert go(view_of(cell(1))).next_change_seconds is None


STATES = st.sampled_from(CellState)
CELLS = st.dictionaries(
    st.integers(1, 12),
    st.builds(
        lambda state, weight, port, named: (state, weight, port, named),
        STATES,
        st.integers(0, 3),
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=8,
)


def build(cells: dict[int, tuple[CellState, int, int, bool]]) -> list[Cell]:
    return [
        cell(each, state, weight=weight, ports=(port,), host="app.test" if named else "10.0.0.1")
        for each, (state, weight, port, named) in sorted(cells.items())
    ]


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_what_came_before_never_shows(steps: list[dict[int, tuple[CellState, int, int, bool]]]) -> None:
    """A chain of translations ends where a single one does, and every step is whole."""
    previous: Translation | None = None
    known: dict[tuple[object, ...], Cell] = {}
    for step in steps:
        cells = [
            known.setdefault((each.id, each.state, each.weight, each.endpoints), each) for each in build(step)
        ]
        previous = go(view_of(*cells), previous)
        assert previous.snapshot.problems() == ()
        alone = go(view_of(*build(step)))
        for kind in KINDS:
            assert previous.snapshot.of_type(kind) == alone.snapshot.of_type(kind)


def test_a_rulesets_own_clusters_come_and_go_with_it() -> None:
    site = {"site": {"endpoints": [{"host": "10.0.0.1", "port": 80}]}}
    to_site = rule(action={"cluster": "site"})
    with_site, view = parsed(to_site, clusters=site), view_of(cell(1))
    first = translate(view, with_site, EdgeSettings(), NOW, None)
    assert set(first.snapshot.of_type(CLUSTER)) == {"cell-1", "fixed-site"}
    assert first.snapshot.problems() == ()
    again = translate(view_of(cell(1), cell(2)), with_site, EdgeSettings(), NOW, first)
    assert again.snapshot.of_type(CLUSTER)["fixed-site"] is first.snapshot.of_type(CLUSTER)["fixed-site"]
    after = translate(view, DEFAULT_RULESET, EdgeSettings(), NOW, again)
    assert set(after.snapshot.of_type(CLUSTER)) == {"cell-1"}
    assert after.snapshot.problems() == ()


def test_rules_and_their_lua_never_change_the_listener() -> None:
    first = translate(view_of(cell(1)), DEFAULT_RULESET, EdgeSettings(), NOW, None)
    after = translate(view_of(cell(1)), match_table.ruleset(), EdgeSettings(), NOW, first)
    assert after.snapshot.of_type(LISTENER) is first.snapshot.of_type(LISTENER)


def test_a_zone_that_is_evacuated_loses_its_weight_in_steps_and_nothing_else_changes() -> None:
    places = tuple(Endpoint(host=f"10.0.0.{at}", port=80, zone=zone) for at, zone in ((1, "a"), (2, "b")))
    view = view_of(cell(1), replace(cell(2), endpoints=places))
    stamp = Stamp(updated_by="ada", updated_at=format_utc(NOW), reason="")
    drain = Document(kind="zones-drained", name="2/b", body={"seconds": 100}, stamp=stamp)
    drained = replace(view, documents={("zones-drained", "2/b"): drain})
    before = go(view)

    def weights(at: Translation) -> list[int]:
        found = at.snapshot.get(ENDPOINT, "cell-2")
        assert found is not None
        zones = endpoint_pb2.ClusterLoadAssignment.FromString(found.body).endpoints
        return [each.load_balancing_weight.value for zone in zones for each in zone.lb_endpoints]

    assert weights(before) == [1, 1]
    begun = go(drained, before)
    assert (weights(begun), begun.next_change_seconds) == ([10, 10], 10.0)
    later = NOW
    for step, expected in ((1, [10, 9]), (9, [10, 1]), (10, [10])):
        later = NOW + timedelta(seconds=10 * step)
        begun = translate(drained, DEFAULT_RULESET, SETTINGS, later, begun)
        assert weights(begun) == expected
        assert kept(before, begun) == {CLUSTER, LISTENER, ROUTE}
    assert begun.next_change_seconds is None
    again = translate(view, DEFAULT_RULESET, SETTINGS, later, begun)
    assert weights(again) == [1, 1]
    assert again.snapshot.get(ENDPOINT, "cell-1") is before.snapshot.get(ENDPOINT, "cell-1")
