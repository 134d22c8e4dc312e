"""`cellplane fleet`, as a person and as a program reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.root import cellplane
from tests.cellplane.cli.pages_thread import served
from tests.cellplane.test_fleet_diff import DUMP
from tests.cellplane.test_fleet_report import BAD, GOOD, LATE, READY, node

REPLICA = {"replica": "a", "nodes": 3, "revision": 7, "ready": True, "stale": False, "written_at": None}


def pages(*nodes: Any, problem: str | None = None) -> dict[str, Any]:
    fleet = {"revision": 7, "replicas": [REPLICA], "nodes": [each.to_json() for each in nodes]}
    return {"/v1/fleet/all": {**fleet, "problem": problem}, "/readyz": READY}


def run(laid_out: dict[str, Any], *arguments: str) -> Result:
    with served(laid_out) as url:
        return CliRunner().invoke(cellplane, ["fleet", *arguments, "--control-plane", url])


def test_the_summary_comes_first_and_the_worst_node_next() -> None:
    result = run(pages(GOOD, LATE, BAD), "status")
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert lines[0] == "3 nodes at revision 7: 1 REJECTED, 1 STALE, 1 SYNCED"
    assert [line.split()[0] for line in lines[-3:]] == ["bad", "late", "good"]
    assert result.exit_code == 1, "one has rejected something"


def test_a_filter_narrows_rows_and_exit_code_but_not_the_summary() -> None:
    result = run(pages(GOOD, LATE, BAD), "status", "--state", "stale")
    assert "3 nodes at revision 7" in result.output
    assert "late" in result.output
    assert "bad" not in result.output
    assert result.exit_code == 0


def test_a_type_that_there_is_not_is_told_from_one_that_no_node_has() -> None:
    unknown = run(pages(GOOD), "status", "--type", "nope")
    assert (unknown.exit_code, "'nope' is not one of 'cluster', 'endpoint'" in unknown.output) == (2, True)
    assert "No node matches." in run(pages(GOOD), "status", "--type", "secret").output


def test_a_large_fleet_shows_its_worst() -> None:
    many = [node(f"edge-{number:03d}") for number in range(80)]
    result = run(pages(*many, BAD), "status")
    assert "bad" in result.output
    assert "… and 31 more (31 SYNCED); --all shows them." in result.output
    assert "edge-079" in run(pages(*many), "status", "--all").output


def test_a_program_gets_everything_in_the_same_order() -> None:
    result = run(pages(GOOD, BAD, problem="etcd is away"), "status", "--output", "json")
    found = json.loads(result.stdout)
    assert [each["id"] for each in found["nodes"]] == ["bad", "good"]
    assert (found["problem"], found["control_plane"]["ready"]) == ("etcd is away", True)


def test_what_is_not_all_is_said_to_be_incomplete() -> None:
    assert "INCOMPLETE: etcd is away." in run(pages(GOOD, problem="etcd is away"), "status").output


def test_one_node_and_one_that_is_nowhere() -> None:
    shown = run(pages(GOOD, BAD), "show", "bad").output
    assert "rejected route bad at 7: Error adding/updating cluster(s) bad: no" in shown
    missing = run(pages(GOOD), "show", "bad")
    assert (missing.exit_code, "is not connected to any replica" in missing.output) == (6, True)


@pytest.mark.parametrize("laid_out", [{}, {"/v1/fleet/all": {"nodes": [{}]}, "/readyz": READY}])
def test_something_else_answers(laid_out: dict[str, Any]) -> None:
    result = run(laid_out, "status")
    assert (result.exit_code, "is no control plane of this version" in result.output) == (5, True)


def test_nobody_answers() -> None:
    result = CliRunner().invoke(cellplane, ["fleet", "status", "--control-plane", "http://127.0.0.1:1"])
    assert (result.exit_code, "no control plane answers at http://127.0.0.1:1" in result.output) == (5, True)


def test_a_diff_by_what_was_acknowledged() -> None:
    behind = run(pages(LATE, BAD), "diff", "late")
    assert (behind.exit_code, "settled revision 5 of 7" in behind.output) == (1, True)
    assert "sent 7, acknowledged 6" in run(pages(BAD), "diff", "bad").output
    good = run(pages(GOOD), "diff", "good")
    assert (good.exit_code, good.output) == (0, "good has all that it ought to have.\n")


def test_a_diff_by_what_the_envoy_says() -> None:
    clusters = {"cell-1": "v1", "cell-2": "v9", "ext-proc": "v1", "logs": "v1"}
    wanted = {"group": "edge", "revision": 7, "resources": {"cluster": clusters}}
    laid_out = {**pages(GOOD), "/v1/snapshots/edge?node=good": wanted, "/config_dump?include_eds": DUMP}
    with served(laid_out) as url:
        arguments = ["fleet", "diff", "good", "--admin", url, "--control-plane", url, "-o", "json"]
        result = CliRunner().invoke(cellplane, arguments)
    rows = json.loads(result.stdout)
    assert [(row["name"], row["difference"]) for row in rows if row["type"] == "cluster"] == [
        ("cell-2", "REJECTED"),
        ("cell-3", "EXTRA"),
    ]
    assert result.exit_code == 1
    nobody = run(laid_out, "diff", "good", "--admin", "127.0.0.1:1")
    assert (nobody.exit_code, "no Envoy's admin page answers" in nobody.output) == (5, True)
