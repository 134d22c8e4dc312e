"""Lists of names are known by their bytes, shared, and forgotten when there are too many."""

from __future__ import annotations

import pytest

from pb.envoy.service.discovery.v3 import discovery_pb2
from xds import names as names_module
from xds.names import NameTable, start_of_names


def test_the_same_bytes_give_the_same_object() -> None:
    table = NameTable()
    assert table.get(b"block") is None
    names = ("a", "b")
    table.put(b"block", names)
    table.put(b"block", ("never", "mind"))
    # Equal bytes, as the next request brings them.
    assert table.get(bytes(bytearray(b"block"))) is names


def test_what_was_met_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "MOST_BYTES", 4 * (2 * 10 + 64))
    table = NameTable()
    for block in (b"1" * 10, b"2" * 10, b"3" * 10, b"4" * 10):
        table.put(block, (block.decode(),))
    table.get(b"1" * 10)
    table.put(b"5" * 10, ("5",))
    assert [table.get(block * 10) is not None for block in (b"1", b"2", b"3", b"4", b"5")] == [
        True,
        False,
        True,
        True,
        True,
    ]
    # One that alone would push out all others is not kept.
    table.put(b"6" * 200, ("6",))
    assert table.get(b"6" * 200) is None


@pytest.mark.parametrize("version", ["", "v", "v" * 127, "v" * 128, "v" * 70_000])
def test_names_begin_behind_version_and_node(version: str) -> None:
    request = discovery_pb2.DiscoveryRequest(version_info=version, resource_names=["a"], type_url="t")
    request.node.id = "n"
    data = request.SerializeToString()
    at = start_of_names(data)
    assert at is not None
    assert data[at:] == b"\x1a\x01a\x22\x01t"


@pytest.mark.parametrize(
    "data", [b"", b"\x22\x01t", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff", b"\x0a\x05ab", b"\x08\x01"]
)
def test_where_there_are_none_nothing_is_found(data: bytes) -> None:
    assert start_of_names(data) is None
