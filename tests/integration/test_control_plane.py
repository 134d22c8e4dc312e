"""The control plane as a process, with a real etcd and a real Envoy: what it does when something is missing
or wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from grpc import aio

from cellplane.demo.ports import Ports
from cellplane.demo.sent import sent_by_type
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import UNOWNED, Answer, Ask, ask, path_ask, session_ask
from cellplane.fleet_diff import has_of
from pb.envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from tests.cellplane.views import STAMP
from tests.changes_under_traffic import begin
from tests.envoy_process import never_fell_back
from tests.processes import eventually
from topology.codec import encode
from topology.model import Cell, CellState, Endpoint
from topology.store import Txn
from xds.resource import CLUSTER


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path, Ports()) as stage:
        yield stage
        # Some tests do without an Envoy.
        with suppress(aiohttp.ClientError):
            await never_fell_back(stage.admin_url)


async def cellplane(stage: Stage, *arguments: str, expect: int = 0) -> str:
    """Run the command as a person does, and return what it says on both outputs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cellplane", *arguments,
        env={"PATH": "/usr/bin:/bin", "CELLPLANE_USER": "ada",
             "CELLPLANE_TOPOLOGY": stage.ports.topology_address,
             "CELLPLANE_ETCD": stage.etcd_endpoint, "CELLPLANE_CONTROL_PLANE": stage.status_url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    assert process.returncode == expect, output
    assert "Traceback" not in output
    return output


async def answer(stage: Stage, request: Ask) -> Answer:
    async with aiohttp.ClientSession() as session:
        return await ask(session, stage.edge_url, request)


async def ready(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = await stage.json(f"{stage.status_url}/readyz")
    return found


async def metric(stage: Stage, line: str) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stage.status_url}/metrics") as response,
    ):
        return line in (await response.text()).splitlines()


async def until(stage: Stage, **expected: Any) -> dict[str, Any]:
    """Wait until /readyz says this."""

    async def says() -> dict[str, Any]:
        found = await ready(stage)
        return found if all(found[name] == value for name, value in expected.items()) else {}

    return await eventually(says, f"/readyz with {expected}", within=20)


async def write(stage: Stage, *puts: tuple[str, bytes], deletes: tuple[str, ...] = ()) -> int:
    outcome = await stage.store.commit(Txn(puts=puts, deletes=deletes))
    return outcome.revision  # type: ignore[union-attr]  # nothing is compared


async def test_etcd_away_at_start_the_saved_view_is_served_and_marked_stale(
    stage: Stage, tmp_path: Path
) -> None:
    await begin(stage)

    published = (await ready(stage))["revision"]

    async def saved() -> bool:
        # Three cells are not all of it: rules came after them, and Envoy has those too.
        path = tmp_path / "state" / "view.json"
        return path.exists() and json.loads(path.read_text())["view"]["revision"] >= published

    await eventually(saved, "the saved View with all that was published")
    await stage.kill("control-plane")
    await stage.kill("etcd")
    await stage.start_control_plane()

    report = await until(stage, ready=True, stale=True)
    assert "not connected" in report["etcd"]
    assert await metric(stage, "cellplane_view_stale 1.0")
    listed = await cellplane(stage, "cells", "list")
    assert "STALE: as of revision" in listed
    assert "ACTIVE" in listed
    fleet = await stage.fleet(settled=1)
    assert sent_by_type(fleet).total() == 0, "what the Envoy has is what was saved"
    assert (await answer(stage, session_ask(2))).cell == 2

    await stage.start_etcd()
    await until(stage, ready=True, stale=False)
    assert sent_by_type(await stage.fleet()).total() == 0, "nothing is sent again"
    assert await metric(stage, "cellplane_view_stale 0.0")
    assert "STALE" not in await cellplane(stage, "cells", "list")


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
async def test_etcd_away_and_nothing_to_serve_streams_are_refused(
    stage: Stage, tmp_path: Path, damage: str
) -> None:
    if damage == "corrupt":
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "view.json").write_text('{"format": 1, "sha256": "0", "view": {}}')
    await stage.start_control_plane(wait_for="livez")

    report = await ready(stage)
    assert (report["ready"], report["revision"]) == (False, None)
    await stage.start_envoy(wait_ready=False)

    async def refused() -> bool:
        return await stage.envoy_stat("cluster.cellplane_xds.upstream_rq_total") > 0

    await eventually(refused, "Envoy's attempt")
    assert await stage.envoy_stat("cluster_manager.cds.update_success") == 0, "never an empty configuration"
    if damage == "corrupt":
        assert "saved_view_corrupt" in stage.log("control-plane")

    await begin_late(stage)
    await until(stage, ready=True, stale=False)
    await stage.fleet(settled=1)

    async def routed() -> bool:
        return (await answer(stage, UNOWNED)).status == 200

    await eventually(routed, "the first answer", within=20)


async def begin_late(stage: Stage) -> None:
    await stage.start_etcd()
    stub = await stage.start_cell(1)
    await write(stage, (stage.keyspace.cell(1), encode(active(1, stub.port))))


def active(cell_id: int, port: int, host: str = "127.0.0.1") -> Cell:
    return Cell(
        id=cell_id,
        name=f"cell-{cell_id}",
        state=CellState.ACTIVE,
        endpoints=(Endpoint(host=host, port=port),),
        stamp=STAMP,
    )


async def test_a_snapshot_that_lost_most_clusters_is_held_until_it_is_released(stage: Stage) -> None:
    await begin(stage)
    extra = {n: stage.keyspace.cell(n) for n in (4, 5, 6)}
    revision = await write(stage, *((key, encode(active(n, 9, f"127.0.0.{n}"))) for n, key in extra.items()))
    await stage.fleet(settled=revision)
    await eventually(lambda: metric_of_good(stage, 6), "the good count on record")

    gone = tuple(stage.keyspace.cell(n) for n in (2, 4, 5, 6))
    await write(stage, deletes=gone)
    report = await eventually(lambda: held(stage), "the held push")
    assert (report["clusters_before"], report["clusters_after"]) == (6, 2)
    assert (await answer(stage, session_ask(2))).cell == 2, "the last good configuration stands"

    async def listed() -> bool:
        return report["id"] in await cellplane(stage, "pushes", "held")

    await eventually(listed, "the push in the list")
    assert await metric(stage, 'cellplane_push_held{group="edge"} 1.0')

    await stage.kill("control-plane")
    await stage.start_control_plane()
    again = await eventually(lambda: held(stage), "the same push held after a restart")
    assert again["id"] == report["id"]
    assert (await answer(stage, session_ask(2))).cell == 2

    await cellplane(stage, "pushes", "release", "00000000", "--yes", expect=6)
    await cellplane(stage, "pushes", "release", report["id"], expect=3)
    await cellplane(stage, "pushes", "release", report["id"], "--yes", "--reason", "meant")
    await until(stage, held=None)

    async def fell_through() -> bool:
        return (await answer(stage, session_ask(2))).rule == "default"

    await eventually(fell_through, "a removed cell's cookie on the default")

    async def nothing_held() -> bool:
        return "Nothing is held" in await cellplane(stage, "pushes", "held")

    await eventually(nothing_held, "an empty list of held pushes")


async def test_a_held_push_ends_when_the_topology_recovers(stage: Stage) -> None:
    await begin(stage)
    records = (await stage.store.list(stage.keyspace.cells())).records
    await write(stage, deletes=tuple(record.key for record in records))
    await eventually(lambda: held(stage), "the held push: every cell is gone")
    assert (await answer(stage, path_ask("/acme", 3))).cell == 3

    await write(stage, *((record.key, record.value) for record in records))
    await until(stage, held=None)
    assert (await answer(stage, path_ask("/acme", 3))).cell == 3


async def held(stage: Stage) -> dict[str, Any]:
    return (await ready(stage))["held"] or {}


async def metric_of_good(stage: Stage, clusters: int) -> bool:
    for record in (await stage.store.list(f"{stage.keyspace.prefix}/pushes-good/")).records:
        return bool(json.loads(record.value)["body"]["clusters"] == clusters)
    return False


async def test_garbage_in_the_store_is_counted_and_hurts_nobody(stage: Stage) -> None:
    await begin(stage)
    await write(
        stage,
        (stage.keyspace.cell(2), b"{garbage"),
        (stage.keyspace.document("rules", "current"), b'{"schema": 1}'),
        (f"{stage.keyspace.prefix}/whatever", b""),
    )

    await eventually(
        lambda: metric(stage, 'cellplane_records_quarantined{kind="undecodable"} 2.0'), "the metric"
    )
    for request in (session_ask(1), session_ask(2), path_ask("/acme", 3)):
        assert (await answer(stage, request)).cell == request.owner
    assert "QUARANTINED KEY" in await cellplane(stage, "cells", "list")


async def test_rules_that_cannot_be_read_leave_the_last_good_ones(stage: Stage) -> None:
    await begin(stage)
    path = stage.folder / "rules.yaml"
    path.write_text("schema: 1\nrules: [{name: x, type: nonsense}]\n")
    refused = await cellplane(stage, "rules", "apply", str(path), expect=3)
    assert "rules[0].type" in refused

    key = stage.keyspace.document("rules", "current")
    (record,) = (await stage.store.list(key)).records
    await write(stage, (key, record.value.replace(b"path_prefix", b"path_suffix")))
    await eventually(lambda: metric(stage, "cellplane_rules_refused 1.0"), "the metric")
    assert "rules[1].type" in (await ready(stage))["rules_problem"]
    assert (await answer(stage, path_ask("/acme", 3))).cell == 3


async def test_the_fleet_is_told_node_by_node(stage: Stage) -> None:
    await begin(stage)

    said = await cellplane(stage, "fleet", "status")
    assert "1 node at revision" in said
    assert "demo-edge-1" in said
    assert "1 SYNCED" in said
    shown = await cellplane(stage, "fleet", "show", "demo-edge-1")
    assert "1.40.0" in shown
    assert "delta ADS" in shown
    assert [line.split()[:2] for line in shown.splitlines() if "SYNCED" in line] == [
        ["state", "SYNCED"], ["cluster", "SYNCED"], ["endpoint", "SYNCED"], ["listener", "SYNCED"],
        ["route", "SYNCED"],
    ]  # fmt: skip
    admin = stage.ports.admin_url
    has = has_of(await stage.json(f"{admin}/config_dump?include_eds"))
    wanted = (await stage.json(f"{stage.status_url}/v1/snapshots/edge"))["resources"]
    for kind in ("cluster", "listener", "route"):
        assert {name: one.version for name, one in has[kind].items()} == wanted[kind], (
            "what is compared is there"
        )
    assert "has all that it ought to" in await cellplane(
        stage, "fleet", "diff", "demo-edge-1", "--admin", admin
    )
    assert "not connected" in await cellplane(stage, "fleet", "show", "nobody", expect=6)
    await stage.kill("control-plane")
    assert "no control plane answers" in await cellplane(stage, "fleet", "status", expect=5)


async def test_a_taken_port_is_one_clear_error(stage: Stage) -> None:
    await begin(stage)

    said = await cellplane(
        stage,
        "control-plane",
        "--xds-listen",
        f"127.0.0.1:{stage.ports.xds}",
        "--status-listen",
        "127.0.0.1:0",
        expect=2,
    )
    assert "--xds-listen" in said
    said = await cellplane(
        stage,
        "control-plane",
        "--xds-listen",
        "127.0.0.1:0",
        "--status-listen",
        f"127.0.0.1:{stage.ports.status}",
        expect=2,
    )
    assert "--status-listen" in said


async def test_what_envoys_rejected_is_not_sent_to_a_new_one_after_a_restart(stage: Stage) -> None:
    await begin(stage)
    async with AsyncExitStack() as stack:
        for node in ("raw-1", "raw-2"):
            call = await stack.enter_async_context(raw_node(stage))
            await call.write(clusters_for(node))
            first = await call.read()
            assert "cell-2" in {one.name for one in first.resources}
            await call.write(clusters_for("", first.nonce, "Error adding/updating cluster(s) cell-2: no"))

        async def held() -> bool:
            return await metric(stage, 'cellplane_xds_held{group="edge",scope="group",type="cluster"} 1.0')

        await eventually(held, "the version to be held")
        shown = await cellplane(stage, "fleet", "show", "raw-1")
        assert "held cluster cell-2" in shown
        assert "(whole group): Error adding/updating cluster(s) cell-2: no" in shown

    async def listed() -> str:
        return await cellplane(stage, "pushes", "held", "-o", "json")

    async def kept() -> bool:
        found = [one for one in json.loads(await listed()) if one["name"] == "cell-2"]
        return any(version["held"] for one in found for version in one["versions"].values())

    await eventually(kept, "the version to be kept as held: the first rejection alone is kept before")
    await stage.kill("control-plane")
    await stage.start_control_plane()
    async with raw_node(stage) as call:
        await call.write(clusters_for("raw-3"))
        first = await call.read()
        names = {one.name for one in first.resources}
        assert "cell-1" in names
        assert "cell-2" not in names
        # Its last good version is nowhere; an operator says that this one is good.
        await call.write(clusters_for("", first.nonce))
        (found,) = json.loads(await listed())
        await cellplane(stage, "pushes", "release", found["id"], "--yes", "--reason", "it is well")
        async with asyncio.timeout(10):
            after = await call.read()
        assert {one.name for one in after.resources} == {"cell-2"}


@asynccontextmanager
async def raw_node(stage: Stage) -> AsyncIterator[Any]:
    """Open a stream of a client that is no Envoy."""
    async with aio.insecure_channel(f"127.0.0.1:{stage.ports.xds}") as channel:
        stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        call = stub.DeltaAggregatedResources()
        yield call
        call.cancel()


def clusters_for(node: str, nonce: str = "", rejection: str = "") -> Any:
    request: Any = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER.type_url, response_nonce=nonce)
    if node:
        request.node.id = node
        request.node.metadata.update({"role": "edge"})
    if rejection:
        request.error_detail.message = rejection
    return request


async def test_a_push_is_kept_with_who_made_it_what_it_changed_and_how_long_it_took(stage: Stage) -> None:
    await begin(stage)
    await cellplane(stage, "cells", "set-weight", "2", "7", "--reason", "too slow")

    async def told() -> dict[str, Any]:
        pushes = (await stage.json(f"{stage.status_url}/v1/pushes"))["pushes"]
        return next(
            (each for each in pushes if each["reasons"] == ["too slow"] and each["outcome"]["nodes"]), {}
        )

    push = await eventually(told, "the push on record", within=20)
    assert (push["authors"], push["causes"]) == (["ada"], ["cells"])
    assert push["lines"][0] == "cell 2: weight: 100 → 7"
    assert push["resources"]["route"]["counts"] == [0, 1, 0]
    assert 0 < push["outcome"]["first_ms"] <= push["outcome"]["last_ms"] < 10_000
    shown = await cellplane(stage, "pushes", "show", "last")
    assert "too slow" in shown
    assert "cell 2: weight: 100 → 7" in await cellplane(stage, "pushes", "list")
    assert await exported(stage) == documented("control plane", "Topology Service")


async def exported(stage: Stage) -> set[str]:
    """Name every metric of ours on the page, by its HELP line."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.status_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {line.split()[2] for line in lines if line.startswith("# HELP cellplane_")}


def documented(*parts: str) -> set[str]:
    """Name every metric of these parts in the table of the document."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = (line.split("|") for line in text.splitlines() if line.startswith("| `cellplane_"))
    return {row[1].strip(" `") for row in rows if row[2].strip() in parts}


async def test_while_frozen_no_envoy_hears_of_anything_and_what_waited_goes_out_at_the_end(
    stage: Stage,
) -> None:
    await begin(stage)
    await cellplane(stage, "pushes", "freeze", "--yes", "--reason", "holidays")
    await cellplane(stage, "cells", "set-state", "2", "QUARANTINED", "--yes")

    async def frozen() -> bool:
        return bool((await ready(stage))["frozen"])

    await eventually(frozen, "the freeze")
    assert "FROZEN by ada" in await cellplane(stage, "fleet", "status")

    async def waits() -> bool:
        return "cell 2: state: ACTIVE → QUARANTINED" in await cellplane(stage, "pushes", "diff", "pending")

    await eventually(waits, "what waits")
    assert (await answer(stage, session_ask(2))).cell == 2, "nothing went out"
    await cellplane(stage, "pushes", "resume", "--yes")

    async def quarantined() -> bool:
        return (await answer(stage, session_ask(2))).status == 503

    await eventually(quarantined, "the quarantine at the Envoy")
