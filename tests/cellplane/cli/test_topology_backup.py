"""`cellplane topology backup` and `restore` against a real etcd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.cellplane.cli.conftest import Run
from tests.etcd_server import EtcdServer
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


def test_there_and_back(run: Run, direct: Direct, keyspace: Keyspace, tmp_path: Path) -> None:
    run("cells", "add", "--id", "1", "--endpoint", "10.0.0.1:80", "--state", "ACTIVE")
    run("claims", "create", "--cell", "1", "ROUTES", "acme", "gröna")
    file = str(tmp_path / "all.backup")
    said = direct("backup", file, "--etcd-prefix", keyspace.prefix).stdout
    assert "topology/cells: 1\n" in said
    assert "claims/records: 2\n" in said
    assert (tmp_path / "all.backup").stat().st_mode & 0o077 == 0

    elsewhere = f"{keyspace.prefix}-restored"
    dry = direct("restore", file, "--etcd-prefix", elsewhere, "--dry-run", "-o", "json").stdout
    assert (json.loads(dry)["revision"], json.loads(dry)["kinds"]["topology/cells"]) == (None, 1)
    assert "--yes" in direct("restore", file, "--etcd-prefix", elsewhere, expect=Exit.REFUSED).stderr
    direct("restore", file, "--etcd-prefix", elsewhere, "--yes")
    again = str(tmp_path / "again.backup")
    direct("backup", again, "--etcd-prefix", elsewhere)
    first, second = (Path(name).read_text().splitlines()[1:-1] for name in (file, again))
    assert first == second
    assert "0 records" in direct("restore", file, "--etcd-prefix", elsewhere, "--yes").stdout


def test_where_something_lives_nothing_is_restored(
    run: Run, direct: Direct, keyspace: Keyspace, tmp_path: Path
) -> None:
    file = str(tmp_path / "all.backup")
    direct("backup", file, "--etcd-prefix", keyspace.prefix)
    run("cells", "add", "--id", "1", "--endpoint", "10.0.0.1:80")
    for more in ((), ("--dry-run",), ("--yes",)):
        refused = direct("restore", file, "--etcd-prefix", keyspace.prefix, *more, expect=Exit.REFUSED)
        assert f"it holds {keyspace.cell(1)}" in refused.stderr


def test_a_bad_file_is_refused(direct: Direct, tmp_path: Path) -> None:
    file = tmp_path / "bad"
    assert "No such file" in direct("restore", str(file), expect=Exit.REFUSED).stderr
    file.write_text("{}")
    assert "is of format None" in direct("restore", str(file), expect=Exit.REFUSED).stderr
    head = '{"format": 1, "revision": 1, "records": 1}\n{"space": "moon", "key": "x", "value": ""}\n'
    file.write_text(head)
    assert "is cut short" in direct("restore", str(file), expect=Exit.REFUSED).stderr
    assert "No such file or directory" in direct("backup", "/nowhere/x", expect=Exit.FAILED).stderr


def test_no_etcd_is_one_clear_error(tmp_path: Path, free_port: Callable[[], int]) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    result = CliRunner().invoke(cellplane, ["topology", "backup", str(tmp_path / "x"), "--etcd", endpoint])
    assert result.exit_code == Exit.UNAVAILABLE
    assert f"etcd does not answer at {endpoint}" in result.stderr
