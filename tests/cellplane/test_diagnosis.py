"""What is well and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cellplane.diagnosis import (
    EtcdMember,
    Finding,
    Mark,
    certificates_of,
    fails,
    of_certificate,
    of_clock,
    of_fleet,
    of_member,
    of_readiness,
)
from tests.runbook_pages import pages

NOW = datetime(2026, 11, 28, tzinfo=UTC)
QUICK, SLOW = "3.5.21, answered in 4 ms", "3.5.9, answered in 700 ms"
METRICS = """\
# TYPE cellplane_certificate_expires_timestamp_seconds gauge
cellplane_certificate_expires_timestamp_seconds{use="xds"} 12.0
other 1
"""
READY = {"ready": True, "revision": 7, "etcd": "connected", "stale": False}


def marks(findings: list[Finding]) -> list[tuple[Mark, str]]:
    for finding in findings:
        assert bool(finding.remedy) == (finding.mark is not Mark.OK), finding
        if "runbooks/" in finding.remedy:
            assert finding.remedy.partition("runbooks/")[2].removesuffix(".md") in pages()
    return [(finding.mark, finding.said) for finding in findings]


@pytest.mark.parametrize(
    ("member", "loses_data", "expected"),
    [
        (EtcdMember(endpoint="a", version="3.5.21", seconds=0.004), False, [(Mark.OK, QUICK)]),
        (EtcdMember(endpoint="a", problem="refused"), False, [(Mark.BAD, "refused")]),
        (EtcdMember(endpoint="a", version="3.5.9", seconds=0.7), False, [(Mark.NOTE, SLOW)]),
        (
            EtcdMember(endpoint="a", version="3.5.1", has_leader=False),
            True,
            [
                (Mark.OK, "3.5.1, answered in 0 ms"),
                (Mark.BAD, "has no leader"),
                (Mark.NOTE, "3.5.1 can lose committed data when it is killed"),
            ],
        ),
        (
            EtcdMember(endpoint="a", size=1_900_000_000, errors=("memberID:1 alarm:NOSPACE",)),
            False,
            [
                (Mark.OK, "version unknown, answered in 0 ms"),
                (Mark.BAD, "memberID:1 alarm:NOSPACE"),
                (Mark.NOTE, "1.9 GB are used, of 2.1 GB if nobody set another quota"),
            ],
        ),
    ],
)  # fmt: skip
def test_a_member_of_etcd(member: EtcdMember, loses_data: bool, expected: list[tuple[Mark, str]]) -> None:
    assert marks(list(of_member(member, loses_data))) == expected


@pytest.mark.parametrize(
    ("ahead", "mark", "said"),
    [
        (1.5, Mark.OK, "within 2 s of ours"),
        (-30.0, Mark.BAD, "30.0 s behind ours"),
        (2.5, Mark.BAD, "2.5 s ahead of ours"),
    ],
)
def test_a_clock(ahead: float, mark: Mark, said: str) -> None:
    assert marks([of_clock("a", ahead)]) == [(mark, said)]


@pytest.mark.parametrize(
    ("left", "mark", "said"),
    [
        (None, Mark.BAD, "cannot be read"),
        (timedelta(days=-1), Mark.BAD, "ended 2026-11-27 00:00 UTC"),
        (timedelta(days=3), Mark.BAD, "ends 2026-12-01 00:00 UTC, in 3 days"),
        (timedelta(days=20), Mark.NOTE, "ends 2026-12-18 00:00 UTC, in 20 days"),
        (timedelta(days=90), Mark.OK, "ends 2027-02-26 00:00 UTC, in 90 days"),
    ],
)
def test_a_certificate(left: timedelta | None, mark: Mark, said: str) -> None:
    ends = None if left is None else NOW + left
    assert marks([of_certificate("xds", ends, NOW)]) == [(mark, said)]


def test_certificates_in_metrics() -> None:
    assert certificates_of(METRICS) == {"xds": 12.0}


def test_what_a_control_plane_says_of_itself() -> None:
    assert marks(list(of_readiness(READY))) == [(Mark.OK, "ready at revision 7")]
    bad: dict[str, Any] = {
        "ready": False, "etcd": "not connected: x", "stale": True, "held": {"id": "a"},
        "frozen": {"by": "ada"},
        "refused": ["b"], "rules_problem": "c", "save_problem": "d", "report_problem": "e",
    }  # fmt: skip
    assert marks(list(of_readiness(bad))) == [
        (Mark.BAD, "refuses Envoys; etcd: not connected: x"),
        (Mark.BAD, "stale: not connected: x"),
        (Mark.BAD, "held: {'id': 'a'}"),
        (Mark.NOTE, "frozen: {'by': 'ada'}"),
        (Mark.BAD, "refused: ['b']"),
        (Mark.BAD, "rules_problem: c"),
        (Mark.NOTE, "save_problem: d"),
        (Mark.NOTE, "report_problem: e"),
    ]


def node(name: str, state: str = "SYNCED", settled: int = 7, envoy: str = "1.40.0") -> dict[str, Any]:
    return {"id": name, "state": state, "settled_revision": settled, "target_revision": 7, "envoy": envoy}


def replica(name: str, revision: int = 7, written_at: float | None = None) -> dict[str, Any]:
    return {"replica": name, "revision": revision, "written_at": written_at}


def test_how_far_the_fleet_stands_apart() -> None:
    well = {"revision": 7, "nodes": [node("a")], "replicas": [replica("x")], "problem": None}
    assert marks(list(of_fleet(well, 100.0))) == [(Mark.OK, "Envoys: 1; control planes: 1")]
    nodes = [node(f"n{at}", "REJECTED", 5, f"1.4{at}.0") for at in range(7)]
    bad = {"revision": 7, "nodes": nodes, "replicas": [replica("x"), replica("y", 5, 130.0)], "problem": "p"}
    assert marks(list(of_fleet(bad, 100.0))) == [
        (Mark.OK, "Envoys: 7; control planes: 2"),
        (Mark.NOTE, "p"),
        (Mark.BAD, "7 reject what they were sent: n0, n1, n2, n3, n4 and 2 more"),
        (Mark.NOTE, "7 lack what is published: n0, n1, n2, n3, n4 and 2 more"),
        (Mark.NOTE, "Envoys are of several versions: 1.40.0, 1.41.0, 1.42.0, 1.43.0, 1.44.0 and 2 more"),
        (Mark.NOTE, "is 2 revisions behind the newest"),
        (Mark.BAD, "30.0 s ahead of ours"),
    ]


def test_only_what_is_bad_fails() -> None:
    note = Finding(check="a", mark=Mark.NOTE, said="b", remedy="c")
    assert not fails([note])
    assert fails([note, Finding(check="a", mark=Mark.BAD, said="b", remedy="c")])
