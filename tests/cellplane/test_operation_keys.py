"""Where replicas keep what they tell of themselves: beside the topology, and read back from a key."""

from __future__ import annotations

import pytest

from cellplane.operation_keys import FleetKeys, PushKeys
from topology.keys import Keyspace

KEYS = FleetKeys.beside(Keyspace("/cellplane/v1"))


def test_keys_lie_beside_the_topologys_own() -> None:
    assert KEYS.root == "/cellplane/v1-fleet/"
    assert not KEYS.root.startswith(Keyspace("/cellplane/v1").root)
    assert KEYS.about(0x694D8) == "/cellplane/v1-fleet/694d8/about"
    assert KEYS.part(0x694D8, 3) == "/cellplane/v1-fleet/694d8/nodes/0003"


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("/cellplane/v1-fleet/694d8/about", ("694d8", True)),
        ("/cellplane/v1-fleet/694d8/nodes/0003", ("694d8", False)),
        ("/cellplane/v1-fleet/694d8/other", None),
        ("/cellplane/v1-fleet//about", None),
        ("/cellplane/v1/cells/1", None),
    ],
)
def test_a_key_says_whose_it_is(key: str, meaning: tuple[str, bool] | None) -> None:
    assert KEYS.parse(key) == meaning


PUSHES = PushKeys.beside(Keyspace("/cellplane/v1"))
NAME = "0000000000001234-3fa9c2d1"


def test_a_push_and_what_a_replica_saw_of_it() -> None:
    assert PUSHES.record(NAME) == f"/cellplane/v1-pushes/records/{NAME}"
    assert PUSHES.acks(NAME, "a/b") == f"/cellplane/v1-pushes/acks/{NAME}/a%2Fb"
    assert PUSHES.parse(PUSHES.record(NAME)) == (NAME, "")
    assert PUSHES.parse(PUSHES.acks(NAME, "a/b")) == (NAME, "a/b")


@pytest.mark.parametrize(
    "key", ["records/", f"records/{NAME}/x", f"acks/{NAME}", f"other/{NAME}", "../v1/cells/1"]
)
def test_other_keys_mean_nothing(key: str) -> None:
    assert PUSHES.parse(f"/cellplane/v1-pushes/{key}") is None
    assert PUSHES.parse(key) is None
