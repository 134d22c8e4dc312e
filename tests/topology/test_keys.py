from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.keys import (
    CellKey,
    DepartureKey,
    DocumentKey,
    GenerationKey,
    Keyspace,
    ParsedKey,
    RegistryKey,
    RetiredKey,
    UnknownKey,
)

SPACE = Keyspace()


def test_keys_are_spelled_in_one_place() -> None:
    assert SPACE.root == "/cellplane/v1/"
    assert SPACE.cells() == "/cellplane/v1/cells/"
    assert SPACE.cell(4) == "/cellplane/v1/cells/4"
    assert SPACE.retired(4) == "/cellplane/v1/retired/4"
    assert SPACE.registry == "/cellplane/v1/registry"
    assert SPACE.document("rules", "current") == "/cellplane/v1/rules/current"
    assert SPACE.document("pushes-held", "edge/eu 1") == "/cellplane/v1/pushes-held/edge%2Feu%201"
    assert SPACE.generation(7) == "/cellplane/v1/generations/00007"
    assert SPACE.departure("ORGANIZATION/42") == "/cellplane/v1/departed/ORGANIZATION/42"
    assert Keyspace("/staging").cell(1) == "/staging/cells/1"


@pytest.mark.parametrize(
    ("rest", "parsed"),
    [
        ("cells/4", CellKey(4)),
        ("cells/2147483647", CellKey(2147483647)),
        ("retired/17", RetiredKey(17)),
        ("registry", RegistryKey()),
        ("rules/current", DocumentKey("rules", "current")),
        ("pushes-good/edge%2Feu", DocumentKey("pushes-good", "edge/eu")),
        ("pushes-released/%C3%A4", DocumentKey("pushes-released", "ä")),
        ("generations/00000", GenerationKey(0)),
        ("generations/16383", GenerationKey(16383)),
        ("departed/ORGANIZATION/42", DepartureKey("ORGANIZATION/42")),
    ],
)
def test_a_key_is_understood(rest: str, parsed: ParsedKey) -> None:
    assert SPACE.parse(f"/cellplane/v1/{rest}") == parsed


@pytest.mark.parametrize(
    "key",
    [
        "/cellplane/v1",
        "/cellplane/v1/",
        "/cellplane/v10/cells/4",
        "/other/cells/4",
        "/cellplane/v1/cells/",
        "/cellplane/v1/cells/04",
        "/cellplane/v1/cells/0",
        "/cellplane/v1/cells/-1",
        "/cellplane/v1/cells/four",
        "/cellplane/v1/cells/4/x",
        "/cellplane/v1/cells/2147483648",
        "/cellplane/v1/cells/99999999999999",
        "/cellplane/v1/cells/4\n",
        "/cellplane/v1/cells/٤",
        "/cellplane/v1/Cells/4",
        "/cellplane/v1/rules/",
        "/cellplane/v1/rules/a b",
        "/cellplane/v1/rules/%2f",
        "/cellplane/v1/rules/%FF",
        "/cellplane/v1/unheard-of/thing",
        "/cellplane/v1/generations/16384",
        "/cellplane/v1/generations/7",
        "/cellplane/v1/generations/00007/x",
        "/cellplane/v1/departed/ORGANIZATION",
        "/cellplane/v1/departed/ORGANIZATION/0",
        "/cellplane/v1/departed/ORGANIZATION/042",
        "/cellplane/v1/departed/organization/42",
        "/cellplane/v1/departed/ORGANIZATION/42/x",
        "/cellplane/v1/departed/42",
    ],
)
def test_what_is_no_key_of_ours_is_told_why(key: str) -> None:
    parsed = SPACE.parse(key)
    assert isinstance(parsed, UnknownKey)
    assert parsed.reason


@pytest.mark.parametrize("prefix", ["", "cellplane", "/cellplane/", "/a//b", "/a b", "/"])
def test_a_bad_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="no key prefix"):
        Keyspace(prefix)


@pytest.mark.parametrize(("kind", "name"), [("rule", "current"), ("rules", ""), ("cells", "4")])
def test_a_document_has_a_known_kind_and_a_name(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="no document"):
        SPACE.document(kind, name)


@pytest.mark.parametrize("owner", ["", "ORGANIZATION", "ORGANIZATION/0", "acme", "ORGANIZATION/42/7"])
def test_a_departure_is_an_owners(owner: str) -> None:
    with pytest.raises(ValueError, match="is no owner"):
        SPACE.departure(owner)


@given(st.text(min_size=1).filter(lambda name: not any("\ud800" <= letter <= "\udfff" for letter in name)))
def test_any_name_survives_its_key(name: str) -> None:
    key = SPACE.document("rules", name)
    assert SPACE.parse(key) == DocumentKey("rules", name)
    assert key.isascii()
    assert "/" not in key.removeprefix("/cellplane/v1/rules/")
