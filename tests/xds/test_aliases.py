"""What becomes of a virtual host when an alias of it goes or moves."""

from __future__ import annotations

from tests.xds.configuration import snapshot
from tests.xds.test_ledger import ledger_of
from xds.aliases import has_otherwise, replaced, strays
from xds.copies import ABSENT
from xds.resource import CLUSTER, VIRTUAL_HOST, Resource


def host(name: str, *aliases: str) -> Resource:
    return Resource.of(VIRTUAL_HOST, name, f"\n{chr(len(name))}{name}".encode(), aliases=aliases)


ONE = host("r/one", "r/a", "r/b")


def test_a_host_stays_where_another_name_of_it_was_asked_for() -> None:
    now = snapshot(2, host("r/one", "r/b"))
    has = ONE.under("r/a")
    assert has_otherwise(ledger_of(VIRTUAL_HOST, "r/a", "r/b"), has, now)
    assert has_otherwise(ledger_of(VIRTUAL_HOST, "r/a", "r/one"), has, now)
    assert not has_otherwise(ledger_of(VIRTUAL_HOST, "r/a"), has, now)
    assert not has_otherwise(ledger_of(VIRTUAL_HOST, "r/a", "r/b"), has, snapshot(2))
    # Only who came by an alias can have it otherwise.
    assert not has_otherwise(ledger_of(VIRTUAL_HOST, "r/one"), ONE, now)
    assert not has_otherwise(ledger_of(VIRTUAL_HOST, "r/a"), ABSENT, now)


def test_what_an_alias_stood_for_goes_when_it_stands_for_something_else() -> None:
    other = host("r/two", "r/a")
    now = snapshot(2, host("r/one", "r/b"), other)
    given, has = other.under("r/a"), ONE.under("r/a")
    assert replaced(ledger_of(VIRTUAL_HOST, "r/a"), given, has, now) == "r/one"
    assert replaced(ledger_of(VIRTUAL_HOST, "r/a", "r/b"), given, has, now) == ""
    assert replaced(ledger_of(VIRTUAL_HOST, "r/a"), given, other.under("r/a"), now) == ""
    assert replaced(ledger_of(VIRTUAL_HOST, "r/a"), given, ABSENT, now) == ""


def test_what_a_client_has_and_asks_for_by_no_name_is_a_stray() -> None:
    now = snapshot(2, host("r/one", "r/b"), host("r/two", "r/a"))
    told = {"r/one": "1", "r/two": "1", "r/three": "1"}
    assert strays(ledger_of(VIRTUAL_HOST, "r/a"), told, now) == ["r/one", "r/three"]
    assert strays(ledger_of(VIRTUAL_HOST, "r/a", "r/b", "r/three"), told, now) == []
    assert strays(ledger_of(CLUSTER, "a"), {"b": "1"}, now) == []
