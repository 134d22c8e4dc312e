"""`cellplane pushes`: rejected versions are listed with Envoy's words, and released one by one."""

from __future__ import annotations

import asyncio
import json

from cellplane.cli.outcome import Exit
from cellplane.held_versions import REJECTED, body_of, document_name, hold_id
from tests.cellplane.cli.conftest import Run
from tests.cellplane.views import STAMP
from tests.etcd_server import EtcdServer
from topology.apply import apply, read_view
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
