from __future__ import annotations

from envoy.classification import BUCKETS, ClassificationKey, KeyType
from topology.claims.model import BucketType


def test_every_key_but_those_of_cells_has_its_bucket() -> None:
    local = {KeyType.CELL_ID, KeyType.SESSION_PREFIX, KeyType.FIRST_CELL}
    assert BUCKETS.keys() == set(KeyType) - local
    assert set(BUCKETS.values()) == set(BucketType)


def test_keys_are_shown() -> None:
    assert str(ClassificationKey(KeyType.ROUTE, "acme")) == "route acme"
    assert str(ClassificationKey(KeyType.FIRST_CELL, "")) == "first_cell"


def test_a_key_of_many_has_each_value() -> None:
    assert ClassificationKey(KeyType.ROUTE, "a  b ", many=True).values == ("a", "b")
    assert ClassificationKey(KeyType.ROUTE, "a b").values == ("a b",)
    assert ClassificationKey(KeyType.ROUTE, " ", many=True).values == ()
