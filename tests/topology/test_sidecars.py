"""Records of sidecars, as control planes write them and a transfer reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.topology.samples import STAMP
from topology.keys import Keyspace
from topology.plan import Plan, Refusal
from topology.sidecars import Sidecar, SidecarKeys, encode_sidecar, plan_forgetting_sidecar, unacknowledged
from topology.store import Record
from topology.view import View

KEYS = SidecarKeys.beside(Keyspace("/cellplane/v1"))
ONE = Sidecar(
    node="pod/7",
    cell_id=4,
    settled=12,
    connected=True,
    behind=False,
    at="2026-03-01T12:00:00Z",
    replica="a",
)


def record(value: bytes, key: str = "/cellplane/v1-sidecars/4/pod%2F7") -> Record:
    return Record(key, value, 1, 1, 1)


def test_a_record_reads_as_it_was_written() -> None:
    assert KEYS.sidecar(4, "pod/7") == "/cellplane/v1-sidecars/4/pod%2F7"
    assert KEYS.read(record(encode_sidecar(ONE))) == ONE


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", encode_sidecar(replace(ONE, cell_id=5))])
def test_one_that_cannot_be_read_is_behind(value: bytes) -> None:
    odd = KEYS.read(record(value))
    assert (odd.node, odd.cell_id, odd.behind) == ("pod/7", 4, True)
    assert unacknowledged([odd], 0) == ("pod/7 (cut off since an unknown time)",)


def test_one_that_is_forgotten_is_not_waited_for_until_it_comes_again() -> None:
    forgotten = {"4/pod/7": "2026-03-01T12:00:01Z"}
    assert unacknowledged([ONE], 99, forgotten) == ()
    assert unacknowledged([replace(ONE, at="2026-03-01T12:00:02Z")], 99, forgotten) == ("pod/7",)
    assert unacknowledged([replace(ONE, cell_id=5)], 99, forgotten) == ("pod/7",)


@pytest.mark.parametrize("name", ["pod-1", "/pod-1", "4/", "four/pod-1"])
def test_a_forgotten_sidecar_is_named_with_its_cell_and_a_reason(name: str) -> None:
    refused = plan_forgetting_sidecar(View(), name, {}, STAMP)
    assert isinstance(refused, Refusal)
    assert refused.problems[0].field == "name"
    without = plan_forgetting_sidecar(View(), "4/pod-1", {}, replace(STAMP, reason=""))
    assert isinstance(without, Refusal)
    assert isinstance(plan_forgetting_sidecar(View(), "4/pod-1", {"ignored": 1}, STAMP), Plan)


def test_who_has_not_acknowledged_is_named_connected_or_not() -> None:
    gone = replace(ONE, node="gone", connected=False, settled=11)
    refused = replace(ONE, node="no", behind=True, settled=99)
    assert unacknowledged([ONE, gone, refused], 12) == ("gone (cut off since 2026-03-01T12:00:00Z)", "no")
    assert unacknowledged([ONE, replace(gone, settled=12)], 12) == ()
