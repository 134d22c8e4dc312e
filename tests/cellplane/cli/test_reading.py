"""Reading over gRPC: what the store has, what it had, and what is known without it."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from cellplane.cli.outcome import Exit
from cellplane.cli.reading import read_cell, read_cells, read_documents
from cellplane.cli.service import ServiceSettings
from cellplane.settings import TlsFiles
from tests.cellplane.cli.topology_thread import Topology, topology_in_a_thread
from topology.memory import Faults, MemoryStore
from topology.store import Txn


@pytest.fixture
def topology() -> Iterator[Topology]:
    with topology_in_a_thread() as topology:
        yield topology


@pytest.fixture
def service(topology: Topology) -> ServiceSettings:
    return ServiceSettings(address=topology.address, tls=TlsFiles())


def test_cells_come_as_they_are_stored(topology: Topology, service: ServiceSettings) -> None:
    async def stored() -> object:
        return topology.stage.watcher.view

    view = read_cells(service)
    known = topology.do(stored())
    assert view.cells.keys() == {1, 2}
    assert view.cells[2].addresses == {"web": "https://cell-2.example.com"}
    assert {each.id: each.name for each in view.cells.values()} == {1: "cell-1", 2: "cell-2"}
    assert (view.revision, view.stale) == (getattr(known, "revision", None), False)
    assert view.cell_revision(2) == read_cell(service, 2).revision > 0


def test_a_revision_that_is_gone_ends_the_command(
    topology: Topology, service: ServiceSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    store = topology.stage.store
    assert isinstance(store, MemoryStore)
    old = read_cells(service).revision
    topology.do(store.commit(Txn(puts=(("/service/rules/current", b"{"),))))
    assert read_cells(service, old).revision == old
    assert read_documents(service, "rules").quarantined.keys() == {"/service/rules/current"}
    store.compact()
    with pytest.raises(click.exceptions.Exit) as ended:
        read_cells(service, old)
    assert ended.value.exit_code == Exit.NOT_FOUND
    assert "was compacted" in capsys.readouterr().err


def test_without_its_store_the_service_tells_what_it_knows(
    topology: Topology, service: ServiceSettings
) -> None:
    store = topology.stage.store
    assert isinstance(store, MemoryStore)
    store.inject(Faults(unreachable=True))
    view = read_cells(service)
    assert (view.stale, list(view.cells)) == (True, [1, 2])
    assert read_documents(service, "rules").stale
