"""Addresses that hide their secret."""

from __future__ import annotations

import pytest

from topology.claims_postgresql.address import Address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@db:5432/claims", "postgresql://ada@db:5432/claims"),
        ("postgres://ada@one,two/claims?password=secret", "postgresql://ada@one,two/claims"),
        ("postgresql:///claims?host=/run/postgresql", "postgresql:///claims"),
    ],
)
def test_an_address_is_shown_without_its_secret(url: str, shown: str) -> None:
    address = Address(url, "secret")
    assert str(address) == shown
    assert "secret" not in repr(address)
    assert address.has_password == ("secret" in url)


@pytest.mark.parametrize("url", ["", "etcd://a/b", "postgresql://host", "host/claims"])
def test_what_is_no_address_is_told_what_one_looks_like(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://USER@HOST:PORT/DATABASE"):
        Address(url)
