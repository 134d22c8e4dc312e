"""`cellplane placements …` against a Topology Service."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.cellplane.cli.test_claims import topology
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.samples import cell

__all__ = ["topology"]  # a fixture
Run = Callable[..., Result]


@pytest.fixture
def run(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CELLPLANE_TOPOLOGY", topology.address)
    monkeypatch.setenv("CELLPLANE_USER", "ada")
    topology.do(topology.stage.put(cell(1, capacity=1, region="eu"), cell(2, region="us")))

    def run(*arguments: str, expect: Exit = Exit.OK) -> Result:
        result = CliRunner().invoke(cellplane, ["placements", *arguments])
        assert result.exit_code == expect, f"{result.exit_code}: {result.output} {result.exception!r}"
        return result

    return run


def test_a_newcomer_is_placed(run: Run) -> None:
    dry = run("place", "signup-1", "--region", "eu", "--dry-run")
    assert dry.stdout == (
        "would: cell 1 is ACTIVE, the only one that can take it; 1 of 1 places are taken then\n"
    )
    assert dry.stderr == "not cell 2: is in region us, not eu\n"
    done = run("place", "signup-1", "--region", "eu", "--owner", "organization/42", "--reason", "signup")
    assert "Reserved for signup-1 at revision " in done.stdout
    again = run("place", "signup-1", "--region", "eu", "--owner", "organization/42", "-o", "json")
    assert (json.loads(again.stdout)["cellId"], json.loads(again.stdout)["repeated"]) == ("1", True)
    shown = run("get", "signup-1").stdout
    assert "cell    1\n" in shown
    assert "owner   ORGANIZATION/42\n" in shown
    assert " by ada\n" in shown
    assert json.loads(run("get", "signup-1", "-o", "json").stdout)["reason"] == "signup"
    run("get", "nobody", expect=Exit.NOT_FOUND)


def test_no_room_is_a_refusal(run: Run) -> None:
    run("place", "signup-1", "--region", "eu")
    full = run("place", "signup-2", "--region", "eu", expect=Exit.REFUSED)
    assert "cell 1 is full (1 of 1); cell 2 is in region us, not eu" in full.stderr


def test_places_are_counted_and_released(run: Run) -> None:
    run("place", "signup-1", "--region", "eu")
    listed = json.loads(run("list", "-o", "json").stdout)["cells"]
    assert [(each["cellId"], each["placed"]) for each in listed] == [("1", "1"), ("2", "0")]
    assert "no limit" in run("list").stdout
    run("release", "signup-1", expect=Exit.REFUSED)
    assert run("release", "signup-1", "--yes").stdout == "signup-1: a place in cell 1 is free.\n"
    assert run("release", "signup-1", "--yes").stdout == "signup-1: nobody was placed by that key.\n"
