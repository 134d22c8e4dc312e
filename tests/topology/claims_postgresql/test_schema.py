"""Migrations are numbered, never changed once they are out, and never hold up writers."""

from __future__ import annotations

from topology.claims_postgresql.schema import MIGRATIONS, NEWEST


def test_what_has_been_applied_somewhere_is_never_changed() -> None:
    assert [(step.number, step.checksum) for step in MIGRATIONS] == [
        (1, "b42b167604e2a87f"),
        (2, "15125aef3468b4d5"),
        (3, "664a4e1735fe0cf6"),
        (4, "ddaba6f3cae8488b"),
        (5, "e29f3677534be7eb"),
        (6, "c29da042db86e562"),
    ]
    assert len(MIGRATIONS) == NEWEST


def test_an_index_on_a_table_in_use_is_built_beside_its_writers() -> None:
    for step in MIGRATIONS[1:]:
        if "INDEX" in step.statement:
            assert step.index
            assert f"INDEX CONCURRENTLY {step.index} ON" in step.statement
        else:
            assert not step.index
