"""The fleet for people: who comes first, what is left out, and what a reader must know."""

from __future__ import annotations

from typing import Any

import pytest

from cellplane.fleet_record import NodeRecord
from cellplane.fleet_report import (
    Filter,
    age,
    fleet_table,
    holds,
    is_bad,
    left_out,
    rejections,
    replica_lines,
    summary,
    type_rows,
    warnings,
    worst_first,
)

NACK = {"at": 1.0, "version": "7", "names": ["bad"], "message": "Error adding/updating cluster(s) bad: no"}


def status(state: str = "SYNCED", **more: Any) -> dict[str, Any]:
    return {
        "state": state, "since": 150.0, "subscribed": 0, "wildcard": True, "sent_version": "7",
        "acked_version": "7", "responses_sent": 1, "resources_sent": 3, "acks": 1, "nacks": 0,
        "last_nack": NACK if state == "REJECTED" else None, **more,
    }  # fmt: skip


def node(name: str, settled: int = 7, region: str = "eu", envoy: str = "1.40.0", **types: Any) -> NodeRecord:
    body = {
        "id": name, "group": "edge", "cluster": "edge", "region": region, "zone": "", "version": envoy,
        "connected_at": 100.0, "settled_revision": settled, "settled_at": 101.0, "streams": ["delta ADS"],
        "types": types or {"cluster": status()}, "held": [],
    }  # fmt: skip
    return NodeRecord(body=body, replica="a", target=7)


BAD = node("bad", cluster=status(), route=status("REJECTED", acked_version="6", nacks=1))
LATE = node("late", settled=5)
GOOD = node("good")


def test_the_worst_come_first_and_the_furthest_behind_of_those() -> None:
    ordered = worst_first([GOOD, node("later", settled=2), LATE, BAD, node("also-good")])
    assert [each.id for each in ordered] == ["bad", "later", "late", "also-good", "good"]
    assert is_bad([GOOD, BAD])
    assert not is_bad([GOOD, LATE])


def test_the_summary_counts_and_names_a_mix_of_envoys() -> None:
    assert summary([], 7) == ["0 nodes at revision 7: none is connected"]
    assert summary([GOOD], 7) == ["1 node at revision 7: 1 SYNCED"]
    assert summary([GOOD, BAD, LATE, node("old", envoy="1.39.1")], 7) == [
        "4 nodes at revision 7: 1 REJECTED, 1 STALE, 2 SYNCED",
        "Envoy versions: 1.39.1 (1), 1.40.0 (3)",
    ]


def test_replicas_are_told_where_there_are_several() -> None:
    a = {"replica": "a", "nodes": 3, "revision": 9, "ready": True, "stale": False, "written_at": None}
    b = {"replica": "b", "nodes": 2, "revision": 7, "ready": False, "stale": True, "written_at": 90.0}
    assert replica_lines([a], 9, 100.0) == []
    assert replica_lines([a, b], 9, 100.0) == [
        "replica a: 3 nodes, revision 9",
        "replica b: 2 nodes, revision 7 (2 behind), NOT READY, STALE, told 10s ago",
    ]


def test_a_row_per_node_and_a_column_per_type() -> None:
    table = fleet_table([BAD, LATE], now=220.0)
    assert table.columns == (
        "NODE", "GROUP", "REGION", "ENVOY", "REPLICA", "STREAM", "STATE", "LAG", "CLUSTER", "ROUTE"
    )  # fmt: skip
    assert table.rows == [
        ("bad", "edge", "eu", "1.40.0", "a", "2m 0s", "REJECTED", "0", "SYNCED 1m 10s", "REJECTED 1m 10s"),
        ("late", "edge", "eu", "1.40.0", "a", "2m 0s", "STALE", "2", "SYNCED 1m 10s", "-"),
    ]
    assert set(table.may_drop) <= set(table.columns)
    assert not {"NODE", "STATE", "LAG"} & set(table.may_drop)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (Filter(), ["bad", "late", "good", "us"]),
        (Filter(group="edge", region="us"), ["us"]),
        (Filter(group="other"), []),
        (Filter(state="STALE"), ["late"]),
        (Filter(node="oo"), ["good"]),
        (Filter(type="route"), ["bad"]),
        (Filter(type="cluster", state="REJECTED"), []),
        (Filter(type="route", state="REJECTED"), ["bad"]),
    ],
)
def test_filters(chosen: Filter, names: list[str]) -> None:
    nodes = [BAD, LATE, GOOD, node("us", region="us")]
    assert [each.id for each in nodes if chosen.takes(each)] == names


def test_what_is_left_out_is_counted() -> None:
    assert left_out([BAD], [BAD, LATE, GOOD]) == "… and 2 more (1 STALE, 1 SYNCED); --all shows them."
    assert left_out([BAD], [BAD]) == ""


def test_one_node_in_full() -> None:
    assert type_rows(BAD, now=220.0) == [
        ("cluster", "SYNCED", "1m 10s", "all", "7", "7", "3", "1", "0"),
        ("route", "REJECTED", "1m 10s", "all", "7", "6", "3", "1", "1"),
    ]
    assert rejections(BAD) == ["route bad at 7: Error adding/updating cluster(s) bad: no"]
    hold = {"type": "cluster", "name": "c", "version": "v1", "message": "no", "scope": "group"}
    held = NodeRecord(body={**GOOD.body, "held": [hold, {**hold, "scope": "node"}]}, replica="a", target=7)
    assert holds(held) == ["cluster c v1 (whole group): no", "cluster c v1 (this node): no"]


HELD_WARNING = (
    "HELD: push ab (half is gone); nothing newer but quarantines goes out until it is released or the "
    "topology is mended. See `cellplane pushes held`."
)
FROZEN_WARNING = (
    "FROZEN by ada at now (holidays): nothing goes out to any Envoy, endpoints and quarantines included, "
    "until `cellplane pushes resume`."
)
READY = {"ready": True, "stale": False, "etcd": "connected", "held": None, "refused": []}


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (READY, []),
        (
            {"ready": False, "etcd": "gone"},
            ["The control plane is not ready and refuses Envoys; etcd: gone."],
        ),
        (
            {**READY, "stale": True},
            ["STALE: etcd is not followed (connected); the revision may be out of date."],
        ),
        (
            {**READY, "held": {"id": "ab", "reason": "half is gone"}},
            [HELD_WARNING],
        ),
        (
            {**READY, "frozen": {"by": "ada", "at": "now", "reason": "holidays"}},
            [FROZEN_WARNING],
        ),
        ({**READY, "refused": ["x names y"]}, ["REFUSED: x names y"]),
        ({**READY, "rules_problem": "bad"}, ["RULES: the ruleset in the store cannot be read: bad."]),
        ({**READY, "save_problem": "disk full"}, ["NOT SAVED: disk full."]),
        (
            {**READY, "report_problem": "etcd is away"},
            ["NOT REPORTED: etcd is away; other replicas do not see these Envoys."],
        ),
    ],
)
def test_what_a_reader_must_know(report: dict[str, Any], told: list[str]) -> None:
    assert warnings(report) == told


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (59.9, "59s"), (60, "1m 0s"), (3700, "1h 1m"), (90000, "1d 1h")]
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text
