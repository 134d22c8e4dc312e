"""Programs are found where the project puts them, and named with their remedy where they are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cellplane.demo.ports import Ports
from cellplane.demo.processes import ChildFailed
from cellplane.demo.programs import control_plane_command, ext_proc_command, find_envoy, find_etcd


def test_etcd_is_the_packages_own() -> None:
    said = subprocess.run([find_etcd(), "--version"], capture_output=True, text=True, check=True).stdout

    assert "etcd Version: 3.5.1" in said


def test_envoy_is_the_one_below_tools(envoy_binary: Path) -> None:
    assert find_envoy() == envoy_binary.resolve()


def test_another_envoy_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CELLPLANE_ENVOY", str(tmp_path / "envoy"))

    with pytest.raises(ChildFailed, match=r"no Envoy at .*run `make envoy`"):
        find_envoy()


def test_the_control_plane_and_ext_proc_meet_at_their_ports() -> None:
    ports = Ports(etcd=1, xds=2, topology=3, status=4, edge=5, ext_proc=6, ext_proc_status=7)
    control_plane, ext_proc = control_plane_command(ports, Path("/state")), ext_proc_command(ports)
    assert {"--etcd=127.0.0.1:1", "--topology-listen=127.0.0.1:3", "--state-dir=/state"} < set(control_plane)
    assert {"--etcd=127.0.0.1:1", "--listen=127.0.0.1:6", "--status-listen=127.0.0.1:7"} < set(ext_proc)
    assert (ports.ext_proc_address, ports.ext_proc_url) == ("127.0.0.1:6", "http://127.0.0.1:7")
