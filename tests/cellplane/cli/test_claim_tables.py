"""`cellplane topology migrate` on a real PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.postgresql_server import NEEDS_POSTGRESQL, PASSWORD, PostgresServer


def migrate(url: str, *arguments: str, expect: Exit = Exit.OK) -> Result:
    result = CliRunner().invoke(
        cellplane, ["topology", "migrate", *arguments], env={"CELLPLANE_CLAIM_STORE": url}
    )
    assert result.exit_code == expect, result.output
    assert PASSWORD not in result.output
    return result


@NEEDS_POSTGRESQL
def test_steps_are_shown_then_applied_then_there(postgresql: PostgresServer) -> None:
    url = asyncio.run(postgresql.schema())
    for _ in range(2):
        shown = migrate(url, "--dry-run").output
        assert "-- 1: claims, leases and the log of changes\n" in shown
        assert "CREATE UNIQUE INDEX CONCURRENTLY claims_bucket ON claims" in shown
    assert migrate(url).output.splitlines()[:2] == [
        "Applied 1: claims, leases and the log of changes.",
        "Applied 2: a claim is unique in its bucket.",
    ]
    assert migrate(url).output == migrate(url, "--dry-run").output == "The tables are up to date.\n"


@NEEDS_POSTGRESQL
def test_who_may_not_is_told(postgresql: PostgresServer) -> None:
    wrong = migrate(postgresql.url(password="wrong"), expect=Exit.REFUSED)
    assert "password authentication failed" in wrong.stderr


def test_nobody_there() -> None:
    gone = migrate(f"postgresql://ada:{PASSWORD}@127.0.0.1:1/claims", expect=Exit.UNAVAILABLE)
    assert "postgresql://ada@127.0.0.1:1/claims: PostgreSQL can't be reached" in gone.stderr


def test_where_is_asked_for() -> None:
    result = CliRunner().invoke(cellplane, ["topology", "migrate"])
    assert result.exit_code == Exit.USAGE
    assert "--claim-store" in result.stderr


def test_the_driver_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "topology.claims_postgresql.connection", None)
    missing = migrate("postgresql://ada@db/claims", expect=Exit.USAGE)
    assert "pip install 'cellplane[postgresql]'" in missing.stderr
