"""What the console shows of a moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cellplane.console_state import state_json
from cellplane.fleet_node import node_body
from cellplane.fleet_record import NodeRecord
from cellplane.fleet_report import Filter
from cellplane.fleet_wide import ReplicaRecord, WholeFleet
from cellplane.held_versions import REJECTED, body_of
from tests.cellplane.fleets import connected, response, synced
from tests.cellplane.pushing import NOW, view_of
from tests.cellplane.views import cell
from topology.model import CellState
from topology.quarantine import Quarantined, QuarantineKind
from topology.view import View
from xds.hold_record import HoldRecord, RejectedVersion, Rejection
from xds.resource import CLUSTER
from xds.status import Fleet

READY: dict[str, Any] = {
    "ready": True, "stale": False, "revision": 7, "published_seconds_ago": 1.0, "etcd": "connected",
    "held": None, "frozen": None, "refused": [], "rules_problem": None, "save_problem": None,
    "report_problem": None,
}  # fmt: skip
HELD = HoldRecord(
    key=(CLUSTER, "cell-2"),
    versions={"v2": RejectedVersion(rejections=(Rejection("edge-2", "1.40.0", "no such thing"),), held=True)},
)


def fleet_of(*names: str) -> WholeFleet:
    fleet = Fleet()
    for name in names:
        synced(fleet, name)
    replica = ReplicaRecord(name="a", lease="1", revision=7, body={"replica": "a"}, written_at=None)
    nodes = tuple(NodeRecord(body=node_body(node, ()), replica="a", target=7) for node in fleet.nodes())
    return WholeFleet(replicas=(replica,), nodes=nodes)


def shown(view: View | None, fleet: WholeFleet | None = None, **more: Any) -> dict[str, Any]:
    return state_json(view, fleet or fleet_of(), READY | more, Filter(), NOW)


def test_shares_are_of_what_nobody_owns() -> None:
    view = view_of(
        7,
        cell(1, weight=75),
        cell(2, weight=25),
        cell(3, CellState.CORDONED),
        cell(4, CellState.DRAINING, weight=100),
    )
    cells = {each["id"]: each for each in shown(view)["cells"]}
    # The drain of 10 s is half over.
    assert [cells[at]["weight"] for at in (1, 2, 3, 4)] == [75, 25, 0, 50]
    assert [round(cells[at]["share"], 3) for at in (1, 2, 3, 4)] == [0.5, 0.167, 0.0, 0.333]
    assert cells[4]["drain_seconds_left"] == 5.0
    assert cells[1]["drain_seconds_left"] is None


def test_a_cell_offers_the_moves_that_a_button_may_make() -> None:
    view = view_of(7, cell(1), cell(2, CellState.QUARANTINED), cell(3, CellState.DRAINED))
    moves = [each["moves"] for each in shown(view)["cells"]]
    assert moves == [["CORDONED", "QUARANTINED"], ["ACTIVE"], ["CANARY"]]


def test_what_is_wrong_with_a_cell() -> None:
    view = view_of(
        7,
        cell(1, weight=0),
        cell(2, endpoints=()),
        cell(3, CellState.QUARANTINED),
        cell(4),
    )
    key = view.keyspace.cell(4)
    odd = Quarantined(
        key=key, kind=QuarantineKind.UNDECODABLE, reason="x", create_revision=1, mod_revision=2, raw=b""
    )
    document = shown(replace(view, quarantined={key: odd}))
    assert [each["problems"] for each in document["cells"]] == [
        ["weight 0: nothing new comes"],
        ["has no endpoint"],
        ["answers 503 to what it owns"],
        ["its record cannot be read: the last good one serves"],
    ]
    assert document["quarantined"][0]["key"] == key


def test_a_rejected_cluster_is_told_at_its_cell_with_envoys_words() -> None:
    fleet = Fleet()
    stream, sent = connected(fleet, "edge-2"), response("7")
    stream.sent(sent)
    held = [{"type": "cluster", "name": "cell-2", "version": "v2", "scope": "group", "message": "no"}]
    nodes = tuple(
        NodeRecord(body={**node_body(node, ()), "held": held}, replica="a", target=7)
        for node in fleet.nodes()
    )
    kept: Any = {f"{REJECTED}__edge/cluster/cell-2": body_of("edge", HELD)}
    view = view_of(7, cell(1), cell(2), **kept)
    document = shown(view, WholeFleet(replicas=(), nodes=nodes))
    assert [each["problems"] for each in document["cells"]] == [[], ["rejected by 1 Envoy"]]
    (notice,) = document["notices"]
    assert notice["kind"] == "rejected"
    assert "no such thing" in notice["text"]
    assert len(notice["id"]) == 8


def test_notices_begin_with_the_worst() -> None:
    frozen = {"by": "ada", "at": "2026-11-22T10:00:01.5Z", "reason": "fire"}
    held = {"id": "0a1b2c3d", "reason": "5 of 6 clusters lost"}
    fleet = replace(fleet_of(), problem="etcd is away")
    document = shown(
        None, fleet, ready=False, frozen=frozen, held=held, stale=True, refused=["a"], rules_problem="b",
        save_problem="c", report_problem="d",
    )  # fmt: skip
    assert [each["kind"] for each in document["notices"]] == [
        "not_ready", "frozen", "held", "stale", "refused", "rules_problem", "save_problem", "report_problem",
        "fleet",
    ]  # fmt: skip
    assert document["notices"][1]["text"].startswith("by ada at 2026-11-22 10:00 UTC: fire. Nothing goes out")
    assert document["notices"][2]["id"] == "0a1b2c3d"
    assert document["cells"] == []
    assert shown(view_of(7, cell(1)))["notices"] == []


def test_a_wave_is_told_while_it_goes_and_when_it_is_halted() -> None:
    going = {"id": "0a1b2c3d", "state": "GOING", "nodes": 3, "of": 40, "percent": 10.0}
    (notice,) = shown(view_of(7, cell(1)), wave=going)["notices"]
    assert notice["kind"] == "wave_going"
    assert notice["text"] == "3 of 40 Envoys have it, of the 10 % that it takes in now."
    halted = {"id": "0a1b2c3d", "state": "HALTED", "reason": "2 nodes rejected it"}
    (notice,) = shown(view_of(7, cell(1)), wave=halted)["notices"]
    assert (notice["kind"], notice["id"]) == ("wave_halted", "0a1b2c3d")
    assert notice["text"].startswith("2 nodes rejected it. All are back")
    assert shown(view_of(7, cell(1)), wave={"state": "READY"})["notices"] == []


def test_thousands_of_nodes_are_counted_and_a_few_are_told() -> None:
    fleet = fleet_of(*(f"edge-{number}" for number in range(60)))
    document = state_json(view_of(7), fleet, READY, Filter(node="edge-1"), NOW, most_nodes=5)["fleet"]
    assert (document["nodes"], document["matching"], len(document["shown"])) == (60, 11, 5)
    assert document["states"] == {"SYNCED": 60}
    assert document["replicas"][0]["replica"] == "a"
