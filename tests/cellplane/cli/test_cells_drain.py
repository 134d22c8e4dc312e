"""`cellplane cells drain` and its like, and `cellplane zones`, against a Topology Service."""

from __future__ import annotations

import json

import pytest

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.conftest import Run
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.samples import cell
from topology.model import Endpoint

ZONES = (
    Endpoint(host="10.0.2.1", port=80, zone="a", weight=1),
    Endpoint(host="10.0.2.2", port=80, zone="b", weight=1),
)


@pytest.fixture(autouse=True)
def three_cells(service: Topology) -> None:
    service.do(service.stage.put(cell(1), cell(2, endpoints=ZONES), cell(3, weight=50)))


def state(run: Run, cell_id: int) -> str:
    return str(json.loads(run("cells", "get", str(cell_id), "-o", "json").stdout)["state"])


def test_a_drain_shows_two_numbers_and_who_is_to_be_moved(run: Run, service: Topology) -> None:
    run("claims", "create", "--cell", "2", "ROUTES", "acme", "acme/web", "--subject", "organization/42")
    service.caught_up()
    shown = run("cells", "drain", "2", "--dry-run").stdout
    assert "would: cell 2: ACTIVE → DRAINING\n" in shown
    assert "unowned share: 40.0 %\nowners left: 1\nclaims of theirs: 2\n" in shown
    assert "to be moved by: cellplane moves start ORGANIZATION/42 --to 1\n" in shown
    assert "undo: cellplane cells undrain 2\n" in shown
    assert state(run, 2) == "ACTIVE"
    assert "needs --yes" in run("cells", "drain", "2", expect=Exit.REFUSED).stderr
    done = run("cells", "drain", "2", "--over", "0s", "--yes", "--admin", "http://127.0.0.1:1")
    assert "unowned share: 0.0 %; owners left: 1" in done.stdout
    assert "1 owners are left; the commands above move them." in done.stdout
    assert "does not tell its counters" in done.stderr
    found = json.loads(run("cells", "undrain", "2", "-o", "json").stdout)
    assert (found["done"], found["undo"], state(run, 2)) == (True, "cellplane cells drain 2", "ACTIVE")
    assert "only what drains" in run("cells", "undrain", "2", expect=Exit.REFUSED).stderr


def test_what_the_rest_cannot_carry_is_refused_however_it_is_asked(run: Run) -> None:
    run("cells", "set-weight", "1", "500")
    for command in (("drain", "1"), ("set-state", "1", "DRAINING")):
        refused = run("cells", *command, "--yes", expect=Exit.REFUSED)
        assert "the other cells would get 4.3 times" in refused.stderr
    run("cells", "drain", "1", "--force", "--yes", "--no-wait")
    assert state(run, 1) == "DRAINING"
    run("cells", "drain", "9", expect=Exit.NOT_FOUND)
    assert "is no duration" in run("cells", "drain", "2", "--over", "soon", expect=Exit.USAGE).stderr
    assert (
        "--over is a drain's"
        in run("cells", "set-state", "2", "CORDONED", "--over", "5m", expect=Exit.USAGE).stderr
    )


def test_a_drain_that_somebody_ends_is_not_waited_for(run: Run) -> None:
    run("cells", "drain", "2", "--yes", "--no-wait")
    again = run("cells", "drain", "2", "--yes", "--no-wait", expect=Exit.REFUSED)
    assert "DRAINING" in again.stderr


def test_quarantine_and_cordon_print_the_way_back(run: Run) -> None:
    assert "needs --yes" in run("cells", "quarantine", "2", expect=Exit.REFUSED).stderr
    assert "undo: cellplane cells set-state 2 ACTIVE" in run("cells", "quarantine", "2", "--yes").stdout
    assert state(run, 2) == "QUARANTINED"
    assert "needs --yes" in run("cells", "cordon", "3", expect=Exit.REFUSED).stderr
    assert "would: cell 3: ACTIVE → CORDONED" in run("cells", "cordon", "3", "--dry-run").stdout
    assert "undo: cellplane cells set-state 3 ACTIVE" in run("cells", "cordon", "3", "--yes").stdout
    assert state(run, 3) == "CORDONED"


def test_a_zone_is_evacuated_and_brought_back(run: Run) -> None:
    dry = run("zones", "drain", "2/b", "--over", "10m", "--dry-run").stdout
    assert "share of its cell: 50.0 %, to zero over 600 s\nundo: cellplane zones undrain 2/b\n" in dry
    assert "needs --yes" in run("zones", "drain", "2/b", expect=Exit.REFUSED).stderr
    done = run("zones", "drain", "2/b", "--over", "0s", "--yes", "--reason", "a fire").stdout
    assert "share of 2/b: 0.0 %" in done
    (zone,) = [each for each in json.loads(run("zones", "list", "-o", "json").stdout) if each["zone"] == "b"]
    assert zone == {"cell": 2, "zone": "b", "share": 0.0, "share_at_rest": 0.5, "drained": "100 %"}
    assert "100 %" in run("zones", "list").stdout
    refused = run("zones", "drain", "2/a", "--yes", expect=Exit.REFUSED)
    assert "nothing of cell 2 would be left" in refused.stderr
    run("zones", "undrain", "2/b")
    run("zones", "undrain", "2/b", expect=Exit.REFUSED)
    run("zones", "drain", "2", expect=Exit.USAGE)
