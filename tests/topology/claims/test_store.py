"""The claim store port: whoever implements it has its methods, argument by argument."""

from __future__ import annotations

import inspect

import pytest

from topology.claims.store import Changes, ClaimStore
from topology.claims.stored import StoredClaims

METHODS = ("begin", "quiet", "commit", "rollback", "get", "settle", "list", "watch")


@pytest.mark.parametrize("name", METHODS)
def test_an_adapter_has_every_method_as_the_port_says(name: str) -> None:
    port, adapter = getattr(ClaimStore, name), getattr(StoredClaims, name)
    assert inspect.signature(adapter) == inspect.signature(port)


def test_the_port_has_no_other_methods() -> None:
    assert {name for name in vars(ClaimStore) if not name.startswith("_")} == set(METHODS)


def test_changes_without_entries_are_a_bookmark() -> None:
    assert Changes(5).entries == ()
