"""Owners as `explain` looks them up, at a running service."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from cellplane.cli.outcome import Exit
from cellplane.cli.owner_lookup import Owners
from cellplane.cli.service import ServiceSettings
from cellplane.settings import TlsFiles
from envoy.classification import ClassificationKey, KeyType
from tests.cellplane.cli.topology_thread import Topology, topology_in_a_thread
from tests.topology.service.test_claim_service import begin


@pytest.fixture
def topology() -> Iterator[Topology]:
    with topology_in_a_thread() as topology:
        yield topology


def test_an_owner_nobody_and_no_answer(topology: Topology) -> None:
    async def claimed() -> None:
        await begin(topology.stage.client(), 2, ["acme"])

    topology.do(claimed())
    topology.caught_up()
    lookup = Owners(ServiceSettings(address=topology.address, tls=TlsFiles()))
    assert lookup(ClassificationKey(KeyType.ROUTE, "acme")) == 2
    assert lookup.epochs == {ClassificationKey(KeyType.ROUTE, "acme"): 1}
    assert lookup(ClassificationKey(KeyType.REDIRECT_ROUTE, "acme")) is None
    assert lookup(ClassificationKey(KeyType.ROUTE, "\xff")) is None, "nobody can have claimed it"
    nowhere = Owners(ServiceSettings(address="localhost:1", tls=TlsFiles()))
    with pytest.raises(click.exceptions.Exit) as ended:
        nowhere(ClassificationKey(KeyType.ROUTE, "acme"))
    assert ended.value.exit_code == Exit.UNAVAILABLE
