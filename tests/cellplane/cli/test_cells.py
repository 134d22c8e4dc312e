"""`cellplane cells` over gRPC to a real etcd: what is written, what is refused, and what nobody may do by
accident.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.topology_thread import Topology
from tests.etcd_server import EtcdServer
from topology.apply import read_view
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.store import Txn
from topology.view import View

Run = Callable[..., Result]


@pytest.fixture
def view(etcd: EtcdServer, keyspace: Keyspace) -> Callable[[], View]:
    async def read() -> View:
        store = EtcdStore((etcd.endpoint,))
        try:
            return await read_view(store, keyspace)
        finally:
            await store.close()

    return lambda: asyncio.run(read())


def write(etcd: EtcdServer, *puts: tuple[str, bytes]) -> None:
    async def put() -> None:
        store = EtcdStore((etcd.endpoint,))
        try:
            await store.commit(Txn(puts=puts))
        finally:
            await store.close()

    asyncio.run(put())


def add(run: Run, cell_id: int, *more: str) -> None:
    run("cells", "add", "--id", str(cell_id), "--endpoint", f"10.0.{cell_id}.1:80", *more)


def listed(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("cells", "list", "--output", "json").stdout)
    return found


def test_a_cell_is_added_listed_and_shown(run: Run) -> None:
    run(
        "cells", "add", "--id", "4", "--name", "fourth", "--endpoint", "10.0.4.1:80,zone=a,weight=2",
        "--region", "eu", "--address", "web=cell-4.example.com:443", "--http2",
        "--sequence", "1000000000000-1099999999999", "--reason", "new region",
    )  # fmt: skip

    (cell,) = listed(run)["cells"]
    assert (
        cell["id"], cell["name"], cell["state"], cell["region"], cell["http2"],
    ) == (4, "fourth", "PROVISIONING", "eu", True)  # fmt: skip
    assert cell["endpoints"] == [{"host": "10.0.4.1", "port": 80, "zone": "a", "weight": 2}]
    assert cell["sequence_ranges"] == [{"minval": 10**12, "maxval": 1_099_999_999_999}]
    assert (cell["updated_by"], cell["reason"]) == ("ada", "new region")
    assert cell["updated_at"].startswith("20")
    shown = run("cells", "get", "4").stdout
    assert "may go to" in shown
    assert "CANARY" in shown
    assert "10.0.4.1:80 zone a weight 2 (HTTP/2)" in shown


def test_an_empty_topology_says_what_to_do(run: Run) -> None:
    assert "There is no cell yet" in run("cells", "list").stdout


def test_a_state_that_is_asked_for_is_reached_step_by_step(run: Run) -> None:
    add(run, 1, "--state", "ACTIVE")

    assert [(cell["state"], len(cell["allowed_moves"])) for cell in listed(run)["cells"]] == [("ACTIVE", 3)]


def test_a_file_of_cells_is_added_and_added_again_without_harm(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(
        "- {id: 1, state: ACTIVE, endpoints: [{host: 10.0.1.1, port: 80}]}\n"
        "- {id: 2, endpoints: [{host: cell-2.internal, port: 80}]}\n"
    )

    run("cells", "add", "--file", str(path))
    before = listed(run)["cells"]
    run("cells", "add", "--file", str(path), expect=Exit.REFUSED)
    again = run("cells", "add", "--file", str(path), "--if-absent")

    assert "is there already" in again.output
    assert before == listed(run)["cells"]
    assert {cell["id"]: cell["state"] for cell in before} == {1: "ACTIVE", 2: "PROVISIONING"}


def test_a_file_is_added_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(
        "- {id: 5, state: ACTIVE, endpoints: [{host: 10.0.5.1, port: 80}]}\n"
        "- {id: 6, endpoints: [{host: 10.0.5.1, port: 80}]}\n"
    )

    for more in ((), ("--dry-run",)):
        refused = run("cells", "add", "--file", str(path), *more, expect=Exit.REFUSED)
        assert "adding cell 6 refused; nothing was changed" in refused.stderr
    assert listed(run)["cells"] == []
    run("cells", "add", "--file", str(path), "--weight", "0", expect=Exit.USAGE)


def test_json_is_one_document_however_many_steps(run: Run) -> None:
    dry = json.loads(run("cells", "add", "--id", "1", "--endpoint", "10.0.1.1:80", "--state", "ACTIVE",
                         "--dry-run", "-o", "json").stdout)  # fmt: skip
    assert (dry["done"], dry["revision"]) == (False, None)
    done = json.loads(run("cells", "add", "--id", "1", "--endpoint", "10.0.1.1:80", "--state", "ACTIVE",
                          "-o", "json").stdout)  # fmt: skip

    assert done["done"] is True
    assert dry["changes"] == done["changes"]
    assert any("CANARY → ACTIVE" in line for line in done["changes"])


def test_a_record_that_cannot_be_read_is_told_and_mended(
    run: Run, etcd: EtcdServer, keyspace: Keyspace
) -> None:
    add(run, 1, "--state", "ACTIVE")
    write(etcd, (keyspace.cell(1), b"{not json"))

    told = run("cells", "get", "1", expect=Exit.NOT_FOUND).stderr
    assert "cannot be read" in told
    assert "--mend" in told
    run("cells", "add", "--id", "1", "--endpoint", "10.0.1.1:80", expect=Exit.REFUSED)
    run("cells", "add", "--id", "1", "--endpoint", "10.0.1.1:80", "--state", "ACTIVE", "--mend")

    assert [(cell["id"], cell["state"]) for cell in listed(run)["cells"]] == [(1, "ACTIVE")]
    assert listed(run)["quarantined"] == []


def test_a_weight_below_zero_names_its_field(run: Run) -> None:
    add(run, 1)

    for beyond in ("-5", "100001", "10000000000"):
        refused = run("cells", "set-weight", "1", beyond, expect=Exit.USAGE).stderr
        assert f"{beyond} is not in the range 0<=x<=100000" in refused
    for command in (("get",), ("remove",), ("cordon",), ("drain",), ("set-state", "--yes")):
        more = ("ACTIVE",) if "set-state" in command else ()
        assert "is not in the range" in run("cells", *command, "9" * 30, *more, expect=Exit.USAGE).stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--endpoint", "10.0.9.1:80"], "--id"),
        (["--id", "9"], "--endpoint"),
        (["--id", "9", "--endpoint", "10.0.9.1"], "--endpoint"),
        (["--id", "0", "--endpoint", "10.0.9.1:80"], "id"),
        (["--id", "9", "--endpoint", "not_a host:80"], "endpoints[0].host"),
        (["--id", "9", "--endpoint", "10.0.9.1:99999"], "endpoints[0].port"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--weight", "-1"], "weight"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--address", "web=//"], "addresses.web"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--sequence", "9-1"], "sequence_ranges[0]"),
    ],
)
def test_what_is_no_cell_is_bad_usage_and_nothing_is_written(
    run: Run, view: Callable[[], View], arguments: list[str], named: str
) -> None:
    is_refused(run, view, arguments, named, Exit.USAGE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--id", "1", "--endpoint", "10.0.9.1:80"], "id"),
        (["--id", "9", "--endpoint", "10.0.1.1:80"], "endpoints[0]"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--session-prefix", "cell-1"], "session_prefix"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--sequence", "1500-2500", "--force"], "of cell 1"),
        (["--id", "9", "--endpoint", "10.0.9.1:80", "--sequence", "1500-2500"], "1000000000000 or above"),
        (
            ["--id", "9", "--endpoint", "10.0.9.1:80", "--sequence", "1000000000000-1000000000009"],
            "sequence_ranges[0]: holds 10 ids",
        ),
    ],
)
def test_what_does_not_fit_the_others_is_refused_and_nothing_is_written(
    run: Run, view: Callable[[], View], arguments: list[str], named: str
) -> None:
    is_refused(run, view, arguments, named, Exit.REFUSED)


def is_refused(run: Run, view: Callable[[], View], arguments: list[str], named: str, code: Exit) -> None:
    add(run, 1, "--sequence", "1000-1999")
    before = view()

    assert named in run("cells", "add", *arguments, expect=code).stderr
    assert before.cells == view().cells
    assert before.revision == view().revision


def test_a_cell_cannot_begin_at_its_end(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text("{id: 1, state: DRAINING, endpoints: [{host: 10.0.1.1, port: 80}]}")

    result = run("cells", "add", "--file", str(path), expect=Exit.REFUSED)

    assert "state: 'DRAINING' is no beginning" in result.stderr
    run("cells", "add", "--id", "1", "--state", "DRAINING", expect=Exit.USAGE)


def test_a_move_that_is_not_allowed_names_those_that_are(run: Run) -> None:
    add(run, 1)

    result = run("cells", "set-state", "1", "DRAINED", "--yes", expect=Exit.REFUSED)

    assert "CANARY" in result.stderr
    assert [cell["state"] for cell in listed(run)["cells"]] == ["PROVISIONING"]


def test_what_hurts_asks_and_a_pipe_cannot_answer(run: Run) -> None:
    add(run, 1, "--state", "ACTIVE")

    result = run("cells", "set-state", "1", "QUARANTINED", expect=Exit.REFUSED)
    assert "--yes" in result.stderr
    dry = run("cells", "set-state", "1", "QUARANTINED", "--dry-run")
    assert "would: cell 1: ACTIVE → QUARANTINED" in dry.stdout
    assert [cell["state"] for cell in listed(run)["cells"]] == ["ACTIVE"]

    run("cells", "set-state", "1", "QUARANTINED", "--yes", "--reason", "bad disk")
    assert "QUARANTINED (was ACTIVE)" in run("cells", "list").stdout


def test_only_what_is_given_is_updated(run: Run) -> None:
    add(run, 1, "--region", "eu", "--sequence", "1-9")
    run(
        "cells", "update", "1", "--endpoint", "10.0.1.1:80,weight=3", "--endpoint", "10.0.1.2:80",
        "--ring", "2", "--sequence", "10-19", "--reason", "second host",
    )  # fmt: skip

    (cell,) = listed(run)["cells"]
    assert [(each["host"], each["weight"]) for each in cell["endpoints"]] == [
        ("10.0.1.1", 3),
        ("10.0.1.2", 1),
    ]
    assert (cell["region"], cell["ring"], cell["reason"]) == ("eu", 2, "second host")
    assert [(each["minval"], each["maxval"]) for each in cell["sequence_ranges"]] == [(1, 9), (10, 19)]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["1"], Exit.USAGE, "nothing to change"),
        (["7", "--ring", "1"], Exit.NOT_FOUND, "there is no cell 7"),
        (["1", "--endpoint", "10.0.1.1"], Exit.USAGE, "--endpoint"),
        (["1", "--endpoint", "10.0.1.1:0"], Exit.REFUSED, "endpoints[0].port"),
        (["1", "--ring", "1", "--expect-revision", "1"], Exit.CONFLICT, "somebody else changed"),
    ],
)
def test_an_update_that_cannot_be_is_named(run: Run, arguments: list[str], code: Exit, named: str) -> None:
    add(run, 1)
    before = listed(run)["cells"]

    assert named in run("cells", "update", *arguments, expect=code).stderr
    assert before == listed(run)["cells"]


def test_the_last_cell_that_takes_unowned_traffic_drains_only_by_force(run: Run) -> None:
    add(run, 1, "--state", "ACTIVE")

    refused = run("cells", "set-state", "1", "CORDONED", "--yes", expect=Exit.REFUSED)
    assert "force" in refused.stderr
    run("cells", "set-weight", "1", "0", expect=Exit.REFUSED)
    run("cells", "set-weight", "1", "0", "--force")
    run("cells", "set-state", "1", "CORDONED", "--force", "--yes")
    run("cells", "set-state", "1", "DECOMMISSIONED", "--force", "--yes", expect=Exit.REFUSED)


def test_drain_remove_and_an_id_that_is_never_used_again(run: Run) -> None:
    add(run, 1, "--state", "ACTIVE")
    add(run, 2, "--state", "ACTIVE")
    run("cells", "remove", "2", "--yes", expect=Exit.REFUSED)
    run("cells", "set-state", "2", "DRAINING", "--over", "0s", "--yes")
    for state in ("DRAINED", "DECOMMISSIONED"):
        run("cells", "set-state", "2", state, "--yes")
    run("cells", "remove", "2", "--yes")

    assert [cell["id"] for cell in listed(run)["cells"]] == [1]
    result = run("cells", "add", "--id", "2", "--endpoint", "10.0.2.1:80", expect=Exit.REFUSED)
    assert "never used again" in result.stderr


def test_removing_every_cell_at_once_is_refused_unless_forced(run: Run) -> None:
    add(run, 1)
    add(run, 2)

    refused = run("cells", "remove", "1", "2", "--yes", expect=Exit.REFUSED)
    assert "force" in refused.stderr
    assert len(listed(run)["cells"]) == 2

    run("cells", "remove", "1", "2", "--yes", "--force")
    assert listed(run)["cells"] == []


def test_an_operator_who_saw_an_older_cell_is_told(run: Run) -> None:
    add(run, 1, "--state", "ACTIVE")
    seen = str(listed(run)["cells"][0]["mod_revision"])
    run("cells", "set-weight", "1", "50", "--reason", "too warm")

    result = run("cells", "set-weight", "1", "70", "--expect-revision", seen, expect=Exit.CONFLICT)

    assert "written by ada" in result.stderr
    assert "too warm" in result.stderr
    assert [cell["weight"] for cell in listed(run)["cells"]] == [50]


def test_somebody_faster_between_question_and_answer_is_told(
    run: Run, etcd: EtcdServer, keyspace: Keyspace, view: Callable[[], View], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(run, 1, "--state", "ACTIVE")
    add(run, 2, "--state", "ACTIVE")

    def meanwhile(*_: object, **__: object) -> None:
        cell = replace(view().cells[1], state=view().cells[1].state.CORDONED)
        write(etcd, (keyspace.cell(1), encode(cell)))

    monkeypatch.setattr("cellplane.cli.changes.confirm", meanwhile)
    result = run("cells", "set-state", "1", "DRAINING", "--over", "0s", expect=Exit.CONFLICT)

    assert "somebody else changed" in result.stderr
    assert "CORDONED" in result.stderr
    assert view().cells[1].state == "CORDONED"


def test_garbage_in_etcd_is_shown_and_hurts_nobody_else(
    run: Run, etcd: EtcdServer, keyspace: Keyspace
) -> None:
    add(run, 1)
    write(etcd, (keyspace.cell(2), b"{not json"), (f"{keyspace.prefix}/nonsense", b"?"))

    document = listed(run)
    assert [cell["id"] for cell in document["cells"]] == [1]
    assert {"undecodable", "unknown_key"} == {record["kind"] for record in document["quarantined"]}
    assert keyspace.cell(2) in run("cells", "list").stdout


def test_no_service_is_one_clear_error(run: Run, free_port: Callable[[], int]) -> None:
    address = f"127.0.0.1:{free_port()}"
    result = run("cells", "list", "--topology", address, expect=Exit.UNAVAILABLE)

    assert f"the Topology Service does not answer at {address}" in result.stderr
    assert "--topology-listen" in result.stderr


def test_a_cell_that_owns_something_is_not_drained(run: Run, service: Topology) -> None:
    add(run, 1, "--state", "ACTIVE")
    add(run, 2, "--state", "ACTIVE")
    run("claims", "create", "--cell", "2", "ROUTES", "acme")
    run("cells", "set-state", "2", "DRAINING", "--over", "0s", "--yes")
    service.caught_up()

    refused = run("cells", "set-state", "2", "DRAINED", "--yes", expect=Exit.REFUSED)

    assert "cell 2 owns 1 claims" in refused.stderr
    run("claims", "destroy", "--cell", "2", "ROUTES", "acme", "--yes")
    service.caught_up()
    run("cells", "set-state", "2", "DRAINED", "--yes")


def test_a_cell_that_is_not_there(run: Run) -> None:
    assert "there is no cell 7" in run("cells", "get", "7", expect=Exit.NOT_FOUND).stderr
    run("cells", "set-weight", "7", "1", expect=Exit.NOT_FOUND)
