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


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://db:abc/claims", "'abc' for a port: write a number from 1 to 65535"),
        ("postgresql://one:5432,two:99999/claims", "'99999' for a port"),
        ("postgresql://[::1]:0/claims", "'0' for a port"),
        ("postgresql://[::1/claims", "can't be read: check its brackets"),
        ("postgresql://db/claims?sslmode=on", "sslmode=on: write one of disable, allow, prefer, require"),
    ],
)
def test_what_the_driver_would_stumble_over_is_told_before(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Address(url)


def test_several_hosts_may_have_ports_or_none() -> None:
    address = Address(
        "postgresql://ada@one:5433,two,[::1]:5434/claims?sslmode=verify-full&sslrootcert=/a.pem"
    )
    assert address.files == {"sslrootcert": "/a.pem"}
