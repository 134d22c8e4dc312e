"""Rejected versions as documents: what is written is what is read, whoever wrote it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cellplane.held_versions import (
    MAX_BODY_BYTES,
    REJECTED,
    body_of,
    document_name,
    held_versions,
    hold_id,
)
from tests.cellplane.views import STAMP, view
from topology.model import Document
from topology.view import View
from xds.hold_record import HoldRecord, RejectedVersion, Rejection
from xds.resource import CLUSTER, ROUTE, Resource

KEY = (CLUSTER, "cell 1/ä")
GOOD = Resource.of(CLUSTER, "cell 1/ä", b"\x0a\x01a", [(ROUTE, "r")])
KNOWN = RejectedVersion(rejections=(Rejection("n1", "1.40.0", "no"),), held=True, alone=True)
RECORD = HoldRecord(key=KEY, versions={"0" * 16: KNOWN}, good=GOOD)


def view_with(*bodies: dict[str, Any]) -> View:
    documents = {
        (REJECTED, str(number)): Document(kind=REJECTED, name=str(number), body=body, stamp=STAMP)
        for number, body in enumerate(bodies)
    }
    return replace(view(1, ()), documents=documents)


def test_what_is_written_is_read() -> None:
    (found,) = held_versions(view_with(body_of("edge", RECORD)))
    assert (found.group, found.record) == ("edge", RECORD)
    assert found.record.good is not None
    assert found.record.good.references == GOOD.references
    assert found.id == hold_id("edge", KEY) == "ecc61961"
    assert document_name("edge", KEY) == "edge/cluster/cell 1/ä"


def test_a_large_good_version_is_not_kept() -> None:
    large = replace(RECORD, good=Resource.of(CLUSTER, KEY[1], b"x" * (MAX_BODY_BYTES + 1)))
    (found,) = held_versions(view_with(body_of("edge", large)))
    assert found.record.good is None


def test_a_good_version_that_is_not_what_it_says_is_not_used() -> None:
    body = body_of("edge", RECORD)
    body["good"]["version"] = "f" * 16
    (found,) = held_versions(view_with(body))
    assert found.record.good is None


DAMAGES: list[dict[str, Any]] = [
    {"type": "nonsense"},
    {"versions": []},
    {"versions": {"v": {}}},
    {"good": {"body": "!", "references": [], "version": ""}},
    {"good": 5},
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_ours_to_read_is_left_out(damage: dict[str, Any]) -> None:
    whole = body_of("edge", RECORD)
    assert len(held_versions(view_with(whole, {**whole, **damage}))) == 1
