"""GitLab's clients at a running service: stubs from the proto files alone, of now and of before `claims`."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest
from google.api import annotations_pb2

from cellplane.demo.free_port import free_port
from tests.certificates import Authority
from tests.etcd_server import EtcdServer
from tests.processes import Child
from tests.topology.samples import cell
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.model import SequenceRange
from topology.store import Txn

HERE = Path(__file__).parent / "gitlab_client"
FILES = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*.proto"))
METHODS = {
    "GetCells", "Classify", "GetCell", "ReadinessProbe", "LivenessProbe", "BeginUpdate", "CommitUpdate",
    "RollbackUpdate", "GetRecord", "ListLeases", "ListRecords",
}  # fmt: skip
CELLS = (
    cell(1, addresses={"web": "https://cell-1.example.com"}),
    cell(
        2,
        addresses={"web": "https://cell-2.example.com"},
        sequence_ranges=(SequenceRange(minval=10**12, maxval=2 * 10**12),),
    ),
)


async def ran(folder: Path, *command: str) -> str:
    """Run a program of Python in a folder, and give what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def generated(folder: Path, *, old: bool) -> Path:
    """Generate stubs from the proto files into a folder, and put the program that uses them there."""
    pytest.importorskip("grpc_tools", reason="grpcio-tools, of the extra `test`, generates the stubs")
    shutil.copytree(HERE, folder)
    if old:
        path = folder / "proto" / "classify.proto"
        before = (folder / "old.txt").read_text()
        changed, times = re.subn(
            r"message ClassifyRequest \{.*?\n\}\n", before, path.read_text(), flags=re.DOTALL
        )
        assert times == 1
        path.write_text(changed)
    # The second root gives google/api, which GitLab's files import.
    shared = Path(str(annotations_pb2.__file__)).parents[2]
    out = ("--python_out=.", "--grpc_python_out=.")
    await ran(folder, "-m", "grpc_tools.protoc", "-I.", f"-I{shared}", *out, *FILES)
    return folder


async def test_stubs_of_the_proto_files_alone_call_every_method(
    etcd: EtcdServer, etcd_prefix: str, tmp_path: Path
) -> None:
    authority, address = Authority(tmp_path / "tls"), f"localhost:{free_port()}"
    own = authority.issue("own", "localhost")
    one = authority.issue("cell", "cell-2.test", common_name="CELL-2")
    admin = authority.issue("admin", "admin.test", common_name="ADMIN-ada")
    router = authority.issue("router", "router.test", common_name="ROUTER-ssh")
    keyspace, store = Keyspace(etcd_prefix), EtcdStore((etcd.endpoint,))
    await store.commit(Txn(puts=tuple((keyspace.cell(each.id), encode(each)) for each in CELLS)))
    await store.close()
    service = Child(
        [
            sys.executable, "-m", "cellplane", "topology",
            "--etcd", etcd.endpoint, "--etcd-prefix", etcd_prefix,
            "--listen", address, "--status-listen", f"127.0.0.1:{(status := free_port())}",
            "--cert", str(own.cert), "--key", str(own.key), "--client-ca", str(authority.ca),
        ],
        tmp_path / "service.log",
    )  # fmt: skip
    service.spawn()
    try:
        new, old = await asyncio.gather(
            generated(tmp_path / "new", old=False), generated(tmp_path / "old", old=True)
        )
        await service.ready(lambda: answers(status))
        identities = [str(each) for each in (authority.ca, one.cert, one.key, admin.cert, admin.key)]
        called = await ran(new, "calls.py", address, *identities)
        assert set(called.split()) == METHODS
        files = [str(each) for each in (authority.ca, router.cert, router.key)]
        assert await ran(old, "old_call.py", address, *files) == "cell-2.example.com\n"
    finally:
        await service.stop()


async def answers(port: int) -> bool:
    """Tell whether the service has read everything."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return b" 200 " in line
