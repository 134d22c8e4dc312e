"""The command against a Topology Service on the shared etcd, each test under a prefix of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.cellplane.cli.topology_thread import Topology, topology_in_a_thread
from tests.etcd_server import EtcdServer
from topology.etcd import EtcdStore
from topology.keys import Keyspace

Run = Callable[..., Result]


@pytest.fixture
def keyspace(etcd_prefix: str) -> Keyspace:
    return Keyspace(etcd_prefix)


@pytest.fixture
def service(etcd: EtcdServer, keyspace: Keyspace) -> Iterator[Topology]:
    with topology_in_a_thread(lambda: EtcdStore((etcd.endpoint,)), keyspace, ()) as service:
        yield service


@pytest.fixture
def run(service: Topology, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `cellplane …` and expect an exit code; a traceback is never a way to end."""
    monkeypatch.setenv("CELLPLANE_TOPOLOGY", service.address)
    monkeypatch.setenv("CELLPLANE_ETCD", "nobody-may-ask-it:1")
    monkeypatch.setenv("CELLPLANE_USER", "ada")

    def run(*arguments: str, expect: Exit = Exit.OK) -> Result:
        result = CliRunner().invoke(cellplane, arguments)
        assert result.exit_code == expect, f"{result.exit_code}: {result.output} {result.exception!r}"
        assert "Traceback" not in result.output
        return result

    return run
