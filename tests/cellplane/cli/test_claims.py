"""`cellplane claims …` against a Topology Service: looking up, listing, classifying."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.cellplane.cli.topology_thread import Topology, topology_in_a_thread

Claims = Callable[..., Result]


@pytest.fixture
def topology() -> Iterator[Topology]:
    with topology_in_a_thread() as topology:
        yield topology


@pytest.fixture
def claims(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Run `cellplane claims …`, expect an exit code, and let the service catch up."""
    monkeypatch.setenv("CELLPLANE_TOPOLOGY", topology.address)
    monkeypatch.setenv("CELLPLANE_USER", "ada")

    def run(*arguments: str, expect: Exit = Exit.OK) -> Result:
        result = CliRunner().invoke(cellplane, ["claims", *arguments])
        assert result.exit_code == expect, f"{result.exit_code}: {result.output} {result.exception!r}"
        topology.caught_up()
        return result

    return run


def test_a_claim_is_shown(claims: Claims) -> None:
    claims("create", "--cell", "2", "routes", "acme", "--subject", "organization/42")
    shown = claims("get", "ROUTES", "acme").stdout
    assert "cell     2 at cell-2.example.com\n" in shown
    assert "status   ACTIVE\n" in shown
    assert "subject  ORGANIZATION 42\n" in shown
    record = json.loads(claims("get", "routes", "acme", "-o", "json").stdout)
    assert (record["cellId"], record["metadata"]["bucket"]) == ("2", {"type": "ROUTES", "value": "acme"})


def test_a_claim_that_nobody_has(claims: Claims) -> None:
    assert 'nobody claims ROUTES "acme"' in claims("get", "ROUTES", "acme", expect=Exit.NOT_FOUND).stderr


def test_claims_are_listed(claims: Claims) -> None:
    assert claims("list", "--cell", "2").stdout == "Cell 2 claims nothing.\n"
    claims("create", "--cell", "2", "ROUTES", "b", "a")
    claims("create", "--cell", "2", "USER_IDS", "7")
    listed = json.loads(claims("list", "--cell", "2", "-o", "json").stdout)
    assert [each["metadata"]["bucket"]["value"] for each in listed] == ["a", "b", "7"]
    assert "ROUTES a" in claims("list", "--cell", "2").stdout
    assert "ROUTES a" not in claims("list", "--cell", "2", "--bucket", "user_ids").stdout
    assert claims("list", "--cell", "2", "--source", "RAILS_TABLE_USERS").stdout == "Cell 2 claims nothing.\n"


def test_long_lists_come_whole(claims: Claims) -> None:
    names = [f"n{number}" for number in range(900)]
    for part in (names[:450], names[450:]):
        claims("create", "--cell", "2", "ROUTES", *part)
    claims("create", "--cell", "2", "USERNAMES", *names[:300])
    listed = json.loads(claims("list", "--cell", "2", "-o", "json").stdout)
    assert len(listed) == 1200


def test_leases_are_listed(claims: Claims) -> None:
    assert claims("leases", "--cell", "2").stdout == "Cell 2 has no open lease.\n"
    assert json.loads(claims("leases", "--cell", "2", "-o", "json").stdout) == []


def test_a_request_is_classified(claims: Claims) -> None:
    claims("create", "--cell", "2", "ROUTES", "acme")
    assert claims("classify", "ROUTES=nobody", "routes=acme").stdout == "cell-2.example.com\n"
    answer = json.loads(claims("classify", "ROUTES=acme", "-o", "json").stdout)
    assert answer == {"address": "cell-2.example.com"}
    claims("classify", "ROUTES=nobody", expect=Exit.NOT_FOUND)
    assert "write BUCKET=VALUE" in claims("classify", "acme", expect=Exit.USAGE).stderr
