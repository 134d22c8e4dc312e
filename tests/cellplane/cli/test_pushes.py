"""`cellplane pushes`: rejected versions are listed with Envoy's words, and released one by one."""

from __future__ import annotations

import asyncio
import json

from cellplane.cli.outcome import Exit
from cellplane.held_versions import REJECTED, body_of, document_name, hold_id
from tests.cellplane.cli.conftest import Run
from tests.cellplane.cli.pages_thread import served
from tests.cellplane.test_push_report import PUSH
from tests.cellplane.views import STAMP
from tests.etcd_server import EtcdServer
from topology.apply import apply, read_view
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.planning import plan_document
from xds.hold_record import HoldRecord, RejectedVersion, Rejection
from xds.resource import CLUSTER

KEY = (CLUSTER, "cell-3")
WORDS = "Error adding/updating cluster(s) cell-3: no such thing"
RECORD = HoldRecord(
    key=KEY,
    versions={
        "0123456789abcdef": RejectedVersion(
            rejections=(Rejection("edge-1", "1.40.0", WORDS), Rejection("edge-2", "1.40.0", WORDS)), held=True
        )
    },
)


async def test_a_held_version_is_listed_and_released(etcd: EtcdServer, keyspace: Keyspace, run: Run) -> None:
    store = EtcdStore((etcd.endpoint,))
    try:
        name = document_name("edge", KEY)
        await apply(
            store,
            keyspace,
            lambda view: plan_document(view, REJECTED, name, body_of("edge", RECORD), STAMP),
        )
        told = (await asyncio.to_thread(run, "pushes", "held")).output
        for part in ("edge", "cluster", "cell-3", "0123456789abcdef", "no such thing"):
            assert part in told
        (listed,) = json.loads((await asyncio.to_thread(run, "pushes", "held", "-o", "json")).output)
        assert (listed["kind"], listed["id"], listed["name"]) == ("version", hold_id("edge", KEY), "cell-3")
        await asyncio.to_thread(run, "pushes", "release", listed["id"], "--yes", "--reason", "it is well")
        assert not (await read_view(store, keyspace)).documents
        assert "Nothing is held." in (await asyncio.to_thread(run, "pushes", "held")).output
    finally:
        await store.close()


def test_an_id_of_nothing_is_named(run: Run) -> None:
    result = run("pushes", "release", "00000000", "--yes", "--reason", "x", expect=Exit.NOT_FOUND)
    assert "no push 00000000 is held" in result.output


async def test_a_freeze_needs_a_reason_is_said_by_every_command_and_ends(run: Run) -> None:
    run("pushes", "freeze", "--yes", expect=Exit.USAGE)
    frozen = run("pushes", "freeze", "--yes", "--reason", "holidays")
    assert "FREEZE: nothing goes out to any Envoy" in frozen.output
    again = run("pushes", "freeze", "--yes", "--reason", "more", expect=Exit.REFUSED)
    assert "pushes are frozen by ada" in again.output
    added = run("cells", "add", "--id", "1", "--name", "one", "--endpoint", "10.0.0.1:80")
    assert "PUSHES ARE FROZEN (frozen by ada" in added.output
    assert "would: pushes: resume" in run("pushes", "resume", "--dry-run").output
    run("pushes", "resume", "--yes")
    assert "FROZEN" not in run("cells", "set-weight", "1", "50").output
    run("pushes", "resume", "--yes", expect=Exit.REFUSED)


async def test_a_push_is_rolled_back_as_one_change_and_not_twice(
    etcd: EtcdServer, keyspace: Keyspace, run: Run
) -> None:
    for number in ("1", "2"):
        run("cells", "add", "--id", number, "--name", f"cell-{number}", "--endpoint", f"10.0.0.{number}:80")
    store = EtcdStore((etcd.endpoint,))
    before = await read_view(store, keyspace)
    run("cells", "set-weight", "1", "7")
    after = await read_view(store, keyspace)
    await store.close()
    records = [
        {
            "record": "cell 1",
            "revision": after.cell_revision(1),
            "before": json.loads(encode(before.cells[1])),
            "has_before": True,
        }
    ]
    push = {**PUSH, "records": records}
    with served({"/v1/pushes/last": push, "/v1/pushes/start": {**push, "causes": ["start"]}}) as url:
        ask = ("pushes", "rollback", "last", "--control-plane", url)
        assert "would: cell 1: weight: 7 → 100" in run(*ask, "--dry-run").output
        run(*ask, expect=Exit.REFUSED)
        done = run(*ask, "--yes", "--reason", "it hurts")
        assert "claims stay where they are" in done.output
        assert "rollback of push 3fa9c2d1: it hurts" in run("cells", "get", "1").output
        again = run(*ask, "--yes", expect=Exit.REFUSED)
        assert "cell 1 was written again by ada" in again.output
        start = run("pushes", "rollback", "start", "--control-plane", url, "--yes", expect=Exit.REFUSED)
        assert "no change that somebody made" in start.output
