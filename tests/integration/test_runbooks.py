"""The commands of the runbooks, run in the state that each page is about: real control plane, etcd, Envoy."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import string
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from click.testing import CliRunner
from grpc import aio

from cellplane.cli.root import cellplane
from cellplane.demo.changes import RULES, ruled, weighed
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.programs import find_envoy, find_etcd
from cellplane.demo.stage import Stage
from pb.cellplane.topology.v1 import documents_pb2
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2, service_pb2_grpc
from tests.certificates import Authority
from tests.changes_under_traffic import begin
from tests.integration.test_control_plane import clusters_for, raw_node
from tests.processes import eventually
from tests.runbook_pages import Command, commands, pages, text_of
from topology.store import Txn

pytestmark = [
    pytest.mark.tools("curl", "openssl"),
    pytest.mark.asyncio(loop_scope="module"),
]
CELLS: Final = (1, 2, 3)


@dataclass
class Rig:
    """A stage with what a person on call has in their shell."""

    stage: Stage
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    kept: Mapping[str, bytes] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def run(self, command: Command) -> str:
        """Run a line as it stands; give both outputs. It must succeed, or be followed by `|| true`."""
        line, _, rescue = command.line.partition(" || ")
        if line.startswith("cellplane ") and not set(line) & set("|;`("):
            code, said = await asyncio.to_thread(self._cellplane, line)
        else:
            code, said = await self._shell(line)
        assert code == 0 or rescue == "true", f"{command.line}\nended with {code}:\n{said}"
        assert "Traceback" not in said
        return said

    def _cellplane(self, line: str) -> tuple[int, str]:
        text, _, path = line.partition(" > ")
        words = [string.Template(word).substitute(self.variables) for word in shlex.split(text)]
        result = CliRunner(env=self._environment()).invoke(cellplane, words[1:])
        if path:
            name = string.Template(shlex.split(path)[0]).substitute(self.variables)
            Path(name).write_text(result.stdout, encoding="utf-8")
        return result.exit_code, result.output

    async def _shell(self, line: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", line,
            env={**os.environ, **self._environment()},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode(errors="replace")
        return process.returncode or 0, said

    def _environment(self) -> dict[str, str]:
        stage = self.stage
        return {
            "PATH": f"{find_etcd().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CELLPLANE_TOPOLOGY": stage.ports.topology_address,
            "CELLPLANE_CONTROL_PLANE": stage.status_url,
            "CELLPLANE_ETCD": stage.etcd_endpoint,
            "CELLPLANE_USER": "ada",
            "ETCDCTL_ENDPOINTS": stage.etcd_endpoint,
            "ETCDCTL_API": "3",
            **self.variables,
        }

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.stage.json(f"{self.stage.status_url}/readyz")
        return found

    async def until(self, name: str, wanted: Callable[[Any], bool]) -> Any:
        """Wait until /readyz says this of a field."""

        async def says() -> Any:
            found = (await self.ready())[name]
            return {"found": found} if wanted(found) else None

        return (await eventually(says, f"/readyz: {name}", within=30))["found"]


Prepare = Callable[[Rig], Coroutine[Any, Any, None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("runbooks")
    async with Stage(folder, Ports()) as stage:
        await begin(stage)
        await stage.change(weighed(3, 90))
        for number, command in enumerate(("acme", "globex")):
            code, said = await asyncio.to_thread(
                Rig(stage, folder)._cellplane,
                f"cellplane claims create --cell 2 --subject organization/{42 + number} ROUTES {command}",
            )
            assert code == 0, said
        listing = await stage.store.list(stage.keyspace.prefix + "/")
        kept = {record.key: record.value for record in listing.records}
        yield Rig(stage, folder, kept=kept)


async def _change(rig: Rig) -> None:
    revision = (await rig.stage.change(weighed(2, 77))).revision

    async def written() -> str:
        (push,) = (await rig.stage.json(f"{rig.stage.status_url}/v1/pushes?limit=1"))["pushes"]
        return str(push["id"]) if push["revision"] == revision else ""

    rig.variables["PUSH"] = await eventually(written, "the push in the history")


async def _rejected(rig: Rig) -> None:
    await _change(rig)
    # What nobody can run: a node that rejects a cluster, in Envoy's words.
    call = await rig.stack.enter_async_context(raw_node(rig.stage))
    await call.write(clusters_for("raw-1"))
    first = await call.read()
    await call.write(clusters_for("", first.nonce, "Error adding/updating cluster(s) cell-2: no"))

    async def held() -> str:
        told = await rig.run(Command("cellplane pushes held --output json", ""))
        return told.partition('"id": "')[2][:8]

    rig.variables["HELD"] = await eventually(held, "the version to be held", within=30)


async def _held(rig: Rig) -> None:
    keys = tuple(rig.stage.keyspace.cell(each) for each in CELLS)
    await rig.stage.store.commit(Txn(deletes=keys))
    await rig.until("held", bool)


async def _frozen(rig: Rig) -> None:
    await rig.run(Command('cellplane pushes freeze --yes --reason "INC-1"', ""))
    await rig.stage.commit(weighed(2, 55))
    await rig.until("frozen", bool)


async def _wave(rig: Rig) -> None:
    # A wave has to leave somebody out: a second node.
    call = await rig.stack.enter_async_context(raw_node(rig.stage))
    await call.write(clusters_for("raw-1"))
    await call.read()
    await rig.run(Command("cellplane pushes waves set --mode on --stage 50%:10m --yes", ""))
    await rig.until("wave", lambda wave: wave is not None and wave["state"] == "READY")
    await rig.stage.commit(weighed(2, 66))
    going = await rig.until("wave", lambda wave: wave["state"] == "GOING")
    rig.variables["WAVE"] = going["id"]
    await rig.run(Command('cellplane pushes waves halt "$WAVE" --yes', ""))
    await rig.until("wave", lambda wave: wave["state"] == "HALTED")


async def _unwatched(rig: Rig) -> None:
    query = "--query 'errors=up>5' --prometheus http://127.0.0.1:1"
    await rig.run(Command(f"cellplane pushes waves set {query} --yes", ""))


async def _no_rules(rig: Rig) -> None:
    await _two_rulesets(rig)
    key = rig.stage.keyspace.document("rules", "current")
    await rig.stage.store.commit(Txn(puts=((key, b"{"),)))
    await rig.until("rules_problem", bool)


async def _two_rulesets(rig: Rig) -> None:
    await rig.stage.change(ruled())
    other = json.dumps({**RULES, "reserved": ["discover"]})
    await rig.stage.change(documents_pb2.PutDocumentRequest(kind="rules", name="current", body=other))


async def _odd_records(rig: Rig) -> None:
    prefix = rig.stage.keyspace.prefix
    puts = ((rig.stage.keyspace.cell(2), b"{"), (f"{prefix}/nonsense", b"1"))
    await rig.stage.store.commit(Txn(puts=puts))


async def _lease(rig: Rig) -> None:
    bucket = messages_pb2.Bucket(type=messages_pb2.Bucket.ROUTES, value="stuck")
    record = messages_pb2.Metadata(bucket=bucket)
    async with aio.insecure_channel(rig.stage.ports.topology_address) as channel:
        stub: Any = service_pb2_grpc.ClaimServiceStub(channel)
        answer = await stub.BeginUpdate(service_pb2.BeginUpdateRequest(cell_id=2, create_records=[record]))
    rig.variables["LEASE"] = answer.lease_uuid.value

    async def listed() -> bool:
        return rig.variables["LEASE"] in await rig.run(Command("cellplane claims leases --cell 2", ""))

    await eventually(listed, "the lease")


async def _asking_move(rig: Rig) -> None:
    line = (
        "cellplane moves start organization/42 --to 3 --ask-before freeze --yes --reason room --output json"
    )
    rig.variables["MOVE"] = json.loads(await rig.run(Command(line, "")))["move"]["id"]


async def _nothing(rig: Rig) -> None:
    del rig


PREPARE: Final[Mapping[str, Prepare]] = {
    "XdsConfigRejected": _rejected,
    "XdsPublishStalled": _change,
    "PushHeld": _held,
    "PushWaveHalted": _wave,
    "PushWaveStuck": _unwatched,
    "PushesFrozen": _frozen,
    "RulesRefused": _no_rules,
    "TopologyRecordQuarantined": _odd_records,
    "ClaimLeaseStuck": _lease,
    "MoveStuck": _asking_move,
    "RollBackRules": _two_rulesets,
    "QuarantineCell": _change,
}


async def test_what_the_pages_say_can_be_done(rig: Rig) -> None:
    failed: dict[str, str] = {}
    for page in pages():
        try:
            await _exercise(rig, page)
        except (AssertionError, pytest.fail.Exception) as error:
            failed[page] = str(error)
    assert not failed, "\n\n".join(f"{page}:\n{words}" for page, words in failed.items())


async def _exercise(rig: Rig, page: str) -> None:
    """Bring the rig into the state of a page, run its commands, and put everything back."""
    rig.variables = _variables(rig, page)
    async with AsyncExitStack() as stack:
        rig.stack = stack
        try:
            await PREPARE.get(page, _nothing)(rig)
            for command in commands(text_of(page)):
                await _tried(rig, command)
        finally:
            await stack.aclose()
            await _mend(rig)


def _variables(rig: Rig, page: str) -> dict[str, str]:
    cert = Authority(rig.folder / "certificates").issue("xds", "localhost").cert
    return {
        "ADMIN": rig.stage.admin_url,
        "BACKUP": str(rig.folder / "all.backup"),
        "BOOTSTRAP": str(rig.folder / "bootstrap.yaml"),
        "CELL": "2",
        "CERT": str(cert),
        "ENDPOINT": f"127.0.0.1:{free_port() if page == 'AddCell' else rig.stage.cells[2].port}",
        "ENVOY": str(find_envoy()),
        "EPOCH": "1",
        "NAME": "again" if page in {"PushHeld", "TopologyRecordQuarantined"} else "newcomer",
        "NEW": "9",
        "NODE": "demo-edge-1",
        "OVER": "1s",
        "OWNER": "organization/42",
        "ROUTE": "acme",
        "TO": "3",
    }


async def _tried(rig: Rig, command: Command) -> None:
    """Run a command; where it only looks, as often as it takes until it sees what it should."""
    if {"--yes", "add", "set-state", "set-weight", "rollback", "restore"} & set(command.line.split()):
        said = await rig.run(command)
        assert command.expected in said, f"{command.line}\nshould say {command.expected!r}:\n{said}"
        if begun := re.search(r"moves watch ([0-9a-f]{8})", said):
            rig.variables["MOVE"] = begun[1]
        return
    seen: list[str] = []

    async def looked() -> bool:
        try:
            seen.append(await rig.run(command))
        except AssertionError as error:  # what it asks about is not there yet
            seen.append(str(error))
            return False
        return command.expected in seen[-1]

    try:
        await eventually(looked, command.expected, within=20, every=0.2)
    except AssertionError:
        pytest.fail(f"{command.line}\nshould say {command.expected!r}, and says:\n{seen[-1:]}")


async def _mend(rig: Rig) -> None:
    """Put every record back as it was when the rig was new."""
    stage = rig.stage
    listing = await stage.store.list(stage.keyspace.prefix + "/")
    now = {record.key: record.value for record in listing.records}
    puts = tuple((key, value) for key, value in rig.kept.items() if now.get(key) != value)
    deletes = tuple(key for key in now if key not in rig.kept)
    if puts or deletes:
        await stage.store.commit(Txn(puts=puts, deletes=deletes))
    await rig.until("held", lambda held: held is None)
    await rig.until("frozen", lambda frozen: frozen is None)
    await rig.until("rules_problem", lambda problem: problem is None)
