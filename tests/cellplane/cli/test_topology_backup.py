"""`cellplane topology backup` and `restore` against a real etcd."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.cellplane.cli.conftest import Run
from tests.etcd_server import EtcdServer
from topology.backup import Backup, Kept, lines_of, read, spaces, take
from topology.etcd import EtcdStore
from topology.keys import Keyspace

Direct = Callable[..., Result]


@pytest.fixture
def direct(etcd: EtcdServer) -> Direct:
    """Run `cellplane topology …` on etcd itself."""

    def run(*arguments: str, expect: Exit = Exit.OK) -> Result:
        result = CliRunner().invoke(cellplane, ["topology", *arguments, "--etcd", etcd.endpoint])
        assert result.exit_code == expect, f"{result.exit_code}: {result.output} {result.exception!r}"
        assert "Traceback" not in result.output
        return result

    return run


async def records_in(etcd: EtcdServer, keyspace: Keyspace) -> tuple[Kept, ...]:
    store = EtcdStore((etcd.endpoint,))
    found = await take(store, spaces(keyspace))
    await store.close()
    return found.records


def test_there_and_back(
    run: Run, direct: Direct, etcd: EtcdServer, keyspace: Keyspace, tmp_path: Path
) -> None:
    run("cells", "add", "--id", "1", "--endpoint", "10.0.0.1:80", "--state", "ACTIVE")
    run("claims", "create", "--cell", "1", "ROUTES", "acme", "gröna")
    file = str(tmp_path / "all.backup")
    said = run("topology", "backup", file).stdout
    assert "topology/cells: 1\n" in said
    assert "claims/records: 2\n" in said
    assert (tmp_path / "all.backup").stat().st_mode & 0o077 == 0

    elsewhere = f"{keyspace.prefix}-restored"
    dry = direct("restore", file, "--etcd-prefix", elsewhere, "--dry-run", "-o", "json").stdout
    assert (json.loads(dry)["revision"], json.loads(dry)["kinds"]["topology/cells"]) == (None, 1)
    assert "--yes" in direct("restore", file, "--etcd-prefix", elsewhere, expect=Exit.REFUSED).stderr
    direct("restore", file, "--etcd-prefix", elsewhere, "--yes")
    with Path(file).open("rb") as lines:
        first = read(lines)
    assert isinstance(first, Backup)
    assert first.records == asyncio.run(records_in(etcd, Keyspace(elsewhere)))
    again = direct("restore", file, "--etcd-prefix", elsewhere, "--yes").stdout
    assert f"is there already below {elsewhere}, nothing to restore: 0 records." in again


def test_where_something_lives_nothing_is_restored(
    run: Run, direct: Direct, keyspace: Keyspace, tmp_path: Path
) -> None:
    file = str(tmp_path / "all.backup")
    run("topology", "backup", file)
    run("cells", "add", "--id", "1", "--endpoint", "10.0.0.1:80")
    for more in ((), ("--dry-run",), ("--yes",)):
        refused = direct("restore", file, "--etcd-prefix", keyspace.prefix, *more, expect=Exit.REFUSED)
        assert f"it holds {keyspace.cell(1)}" in refused.stderr


def test_a_bad_file_is_refused(direct: Direct, tmp_path: Path) -> None:
    file = tmp_path / "bad"
    assert "No such file" in direct("restore", str(file), expect=Exit.REFUSED).stderr
    file.write_text("{}")
    assert "is no backup" in direct("restore", str(file), expect=Exit.REFUSED).stderr
    head = '{"format": 1, "revision": 1, "records": 1}\n{"space": "moon", "key": "x", "value": ""}\n'
    file.write_text(head)
    assert "is cut short" in direct("restore", str(file), expect=Exit.REFUSED).stderr


def test_where_it_cannot_be_written_there_is_no_backup(run: Run) -> None:
    assert "No such file or directory" in run("topology", "backup", "/nowhere/x", expect=Exit.FAILED).stderr


def test_nobody_there_is_one_clear_error(run: Run, tmp_path: Path, free_port: Callable[[], int]) -> None:
    file, address = tmp_path / "x", f"127.0.0.1:{free_port()}"
    said = run("topology", "backup", str(file), "--topology", address, expect=Exit.UNAVAILABLE).stderr
    assert f"does not answer at {address}" in said
    lines_of_one = tuple(lines_of(Backup(1, (Kept("topology", "cells/1", b"{}"),))))
    file.write_bytes(b"".join(lines_of_one))
    result = CliRunner().invoke(cellplane, ["topology", "restore", str(file), "--etcd", address])
    assert result.exit_code == Exit.UNAVAILABLE
    assert f"etcd does not answer at {address}" in result.stderr
