"""How a node stands, in one word, and who comes first in the list."""

from __future__ import annotations

from typing import Any

import pytest

from cellplane.fleet_report import (
    age,
    fleet_rows,
    holds,
    node_state,
    rejections,
    summary,
    type_rows,
    type_state,
    warnings,
)

NACK = {"at": 1.0, "version": "7", "names": ["bad"], "message": "Error adding/updating cluster(s) bad: no"}


def status(**more: Any) -> dict[str, Any]:
    return {
        "subscribed": 0, "wildcard": True, "sent_version": "7", "acked_version": "7", "responses_sent": 1,
        "resources_sent": 3, "removals_sent": 0, "acks": 1, "nacks": 0, "last_nack": None, **more,
    }  # fmt: skip


def node(name: str, settled: int = 7, **types: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name, "group": "edge", "cluster": "edge", "region": "eu", "zone": "", "version": "1.40.0",
        "connected_at": 100.0, "settled_revision": settled, "settled_at": 101.0, "streams": ["delta ADS"],
        "types": types or {"cluster": status()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status(), "SYNCED"),
        (status(acked_version="6"), "STALE"),
        (status(last_nack=NACK, acked_version="6", nacks=1), "REJECTED"),
        (status(last_nack=NACK, sent_version="8", acked_version="8"), "SYNCED"),
        (status(responses_sent=0, sent_version="", acked_version=""), "SYNCED"),
        (status(responses_sent=0, sent_version="", acked_version="", wildcard=False), "NOT SENT"),
    ],
)
def test_a_type_stands(found: dict[str, Any], expected: str) -> None:
    assert type_state(found) == expected


def test_a_node_stands_as_its_worst_type_does() -> None:
    assert node_state(node("a"), 7) == "SYNCED"
    assert node_state(node("a", settled=5), 7) == "STALE"
    bad = status(last_nack=NACK, acked_version="6")
    assert node_state(node("a", cluster=status(), route=bad), 7) == "REJECTED"


def test_the_worst_come_first_and_the_sum_above() -> None:
    bad = status(last_nack=NACK, acked_version="6")
    fleet = {"nodes": [node("b"), node("a"), node("late", settled=4), node("sick", settled=4, cluster=bad)]}

    rows = fleet_rows(fleet, 7, now=3800.0)

    assert [(row[0], row[3], row[5]) for row in rows] == [
        ("sick", "REJECTED", "3"), ("late", "STALE", "3"), ("a", "SYNCED", "0"), ("b", "SYNCED", "0"),
    ]  # fmt: skip
    assert rows[0][6:] == ("1h 1m", "cluster")
    assert summary(fleet, 7) == "4 nodes at revision 7: 1 REJECTED, 1 STALE, 2 SYNCED"
    assert summary({"nodes": []}, 7) == "0 nodes at revision 7: none is connected"


def test_a_rejection_is_told_in_envoys_words() -> None:
    sick = node("sick", cluster=status(last_nack=NACK), listener=status())

    assert rejections(sick) == ["cluster bad at 7: Error adding/updating cluster(s) bad: no"]
    assert [row[:3] for row in type_rows(sick)] == [
        ("cluster", "REJECTED", "all"),
        ("listener", "SYNCED", "all"),
    ]


def test_a_reader_is_told_what_the_control_plane_lacks() -> None:
    well: dict[str, Any] = {
        "ready": True,
        "stale": False,
        "held": None,
        "refused": [],
        "rules_problem": None,
        "save_problem": None,
    }
    assert warnings(well) == []
    sick = {
        "ready": False, "stale": True, "etcd": "not connected: gone", "refused": ["route names no cluster"],
        "held": {"id": "0123abcd", "reason": "all clusters are gone"}, "rules_problem": "no JSON",
        "save_problem": "/x: No space left on device",
    }  # fmt: skip

    words = [line.split(" ")[0] for line in warnings(sick)]
    assert words == ["The", "STALE:", "HELD:", "REFUSED:", "RULES:", "NOT"]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, "0s"), (59, "59s"), (61, "1m 1s"), (3660, "1h 1m"), (90000, "1d 1h")]
)
def test_ages(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


def test_what_is_held_is_told_with_who_is_not_sent_it() -> None:
    hold = {"type": "cluster", "name": "a", "version": "0123", "message": "a: no", "scope": "group"}
    assert holds({"held": [hold, {**hold, "scope": "node"}]}) == [
        "cluster a 0123 (whole group): a: no",
        "cluster a 0123 (this node): a: no",
    ]
    assert holds({}) == []
