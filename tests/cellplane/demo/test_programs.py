"""Programs are found where the project puts them, and named with their remedy where they are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cellplane.demo.processes import ChildFailed
from cellplane.demo.programs import find_envoy, find_etcd


def test_etcd_is_the_packages_own() -> None:
    said = subprocess.run([find_etcd(), "--version"], capture_output=True, text=True, check=True).stdout

    assert "etcd Version: 3.5.1" in said


def test_envoy_is_the_one_below_tools(envoy_binary: Path) -> None:
    assert find_envoy() == envoy_binary.resolve()


def test_another_envoy_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CELLPLANE_ENVOY", str(tmp_path / "envoy"))

    with pytest.raises(ChildFailed, match=r"no Envoy at .*run `make envoy`"):
        find_envoy()
