"""Zones that are evacuated: what is on record, what weights come of it, what may be planned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from tests.topology.samples import cell
from topology.model import Cell, Document, Endpoint, Stamp
from topology.plan import Plan, Refusal
from topology.view import View
from topology.zones import ZoneDrain, at_moment, next_change, plan_zone, zone_drains, zone_shares

KIND = "zones-drained"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = Stamp(updated_by="ada", updated_at="2026-03-01T12:00:00.000000Z", reason="a fire")


def two_zones(a: int = 1, b: int = 1) -> Cell:
    first = Endpoint(host="10.0.0.1", port=80, zone="a", weight=a)
    places = (first, Endpoint(host="10.0.0.2", port=80, zone="b", weight=b))
    return cell(2, endpoints=places)


def view(subject: Cell, **drained: Any) -> View:
    documents = {
        (KIND, f"2/{zone}"): Document(kind=KIND, name=f"2/{zone}", body=body, stamp=STAMP)
        for zone, body in drained.items()
    }
    return View(cells=MappingProxyType({2: subject}), documents=MappingProxyType(documents))


def test_what_is_on_record_is_read_and_the_rest_left_out() -> None:
    found = zone_drains(view(two_zones(), b={"seconds": 100}, c={"seconds": "soon"}))
    assert found == {2: (ZoneDrain("b", NOON, 100),)}


@pytest.mark.parametrize(
    ("after", "weights", "waits"),
    [(0, [10, 10], 10.0), (9, [10, 10], 1.0), (10, [10, 9], 10.0), (55, [10, 5], 5.0), (100, [10, 0], None)],
)
def test_its_share_falls_in_ten_steps(after: int, weights: list[int], waits: float | None) -> None:
    drains, now = (ZoneDrain("b", NOON, 100),), NOON + timedelta(seconds=after)
    assert [each.weight for each in at_moment(two_zones(), drains, now).endpoints] == weights
    assert next_change(two_zones(), drains, now) == waits


def test_at_once_and_a_zone_that_is_not_there() -> None:
    subject = two_zones()
    assert [each.weight for each in at_moment(subject, (ZoneDrain("b", NOON, 0),), NOON).endpoints] == [10, 0]
    assert at_moment(subject, (ZoneDrain("z", NOON, 0),), NOON) is subject
    assert next_change(subject, (), NOON) is None


def test_shares_follow_weights() -> None:
    assert zone_shares(two_zones(3, 1)) == {"a": 0.75, "b": 0.25}
    assert zone_shares(two_zones(0, 0)) == {"a": 0.0, "b": 0.0}


def test_an_evacuation_is_a_document_and_its_end_that_ones() -> None:
    planned = plan_zone(view(two_zones()), "2/b", {"seconds": 60, "force": False}, STAMP)
    assert isinstance(planned, Plan)
    assert b'"seconds": 60' in planned.txn.puts[0][1]
    ended = plan_zone(view(two_zones(), b={"seconds": 60}), "2/b", None, STAMP)
    assert isinstance(ended, Refusal), "it was not seen with a revision"


@pytest.mark.parametrize(
    ("name", "body", "subject", "drained", "words"),
    [
        ("2", {"seconds": 1}, two_zones(), {}, "'2' is no zone: write CELL/ZONE"),
        ("7/b", {"seconds": 1}, two_zones(), {}, "there is no cell 7"),
        ("2/z", {"seconds": 1}, two_zones(), {}, "cell 2 has no zone 'z': name one of a, b"),
        ("2/b", {"seconds": -1}, two_zones(), {}, "-1 is none: use 0 to"),
        ("2/b", {}, two_zones(), {}, "None is none"),
        ("2/b", {"seconds": 1}, two_zones(), {"a": {"seconds": 1}}, "nothing of cell 2 would be left"),
        ("2/b", {"seconds": 1}, two_zones(1, 2), {}, "would get 3.0 times what it has now"),
    ],
)
def test_what_is_refused(name: str, body: Any, subject: Cell, drained: Any, words: str) -> None:
    refused = plan_zone(view(subject, **drained), name, body, STAMP)
    assert isinstance(refused, Refusal)
    assert words in str(refused.problems[0])


def test_who_insists_gets_it() -> None:
    assert isinstance(plan_zone(view(two_zones(1, 2)), "2/b", {"seconds": 1, "force": True}, STAMP), Plan)
