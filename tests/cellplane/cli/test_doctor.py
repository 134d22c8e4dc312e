"""`cellplane doctor`, of an installation that is well and of one that is not there."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.root import cellplane
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.changes_under_traffic import begin


def doctor(*arguments: str, **variables: str) -> Result:
    result = CliRunner(env=variables).invoke(cellplane, ["doctor", *arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def found(result: Result) -> dict[str, list[dict[str, Any]]]:
    by_check: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout)["findings"]:
        by_check.setdefault(finding["check"], []).append(finding)
    return by_check


async def test_an_installation_that_is_well_and_then_loses_its_etcd(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        await begin(stage)
        variables = {
            "CELLPLANE_CONTROL_PLANE": stage.status_url,
            "CELLPLANE_TOPOLOGY": stage.ports.topology_address,
            "CELLPLANE_ETCD": stage.etcd_endpoint,
            "CELLPLANE_ETCD_PASSWORD": "",
        }
        path = tmp_path / "for-help.tar.gz"
        xds = f"--port=127.0.0.1:{stage.ports.xds}"
        well = await asyncio.to_thread(doctor, xds, f"--bundle={path}", "--output=json", **variables)
        assert well.exit_code == 0, well.output
        checks = found(well)
        assert [one["mark"] for one in checks[f"etcd {stage.etcd_endpoint}"]] == ["ok", "note"], "3.5.1"
        assert checks["fleet"][0]["said"] == "Envoys: 1; control planes: 1"
        assert checks["clock of the control plane"][0]["mark"] == "ok"
        assert checks[f"port 127.0.0.1:{stage.ports.xds}"][0]["mark"] == "ok"
        with tarfile.open(path) as archive:
            names = sorted(archive.getnames())
        assert names == [
            f"for-help/{name}"
            for name in (
                "about.json", "doctor.json", "fleet.json", "metrics.txt", "pending.json", "pushes.json",
                "readyz.json", "view.json",
            )
        ]  # fmt: skip
        again = await asyncio.to_thread(doctor, f"--bundle={path}", **variables)
        assert again.exit_code == 2
        assert "File exists" in again.output

        await stage.kill("etcd")
        bad = await asyncio.to_thread(doctor, **variables)
        assert bad.exit_code == 1
        assert "EtcdNoLeader.md" in bad.output


def test_nothing_is_there() -> None:
    port = free_port()
    result = doctor(
        f"--control-plane=http://127.0.0.1:{port}",
        f"--topology=127.0.0.1:{port}",
        f"--etcd=127.0.0.1:{port}",
        "--output=json",
    )
    assert result.exit_code == 1
    checks = found(result)
    for check in (f"etcd 127.0.0.1:{port}", "Topology Service", "control plane"):
        assert [one["mark"] for one in checks[check]] == ["BAD"]
        assert checks[check][0]["remedy"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--port=x", "is no listen address"), ("--bundle=/nowhere/a.tar.gz", "--bundle /nowhere/a.tar.gz")],
)
def test_what_is_no_argument(argument: str, words: str) -> None:
    port = free_port()
    where = (
        f"--topology=127.0.0.1:{port}",
        f"--etcd=127.0.0.1:{port}",
        f"--control-plane=http://127.0.0.1:{port}",
    )
    result = doctor(argument, *where)
    assert result.exit_code == 2
    assert words in result.output
