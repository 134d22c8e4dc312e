"""Metrics of the ext_proc server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from cellplane.ext_proc_metrics import ExtProcCollector
from envoy.ext_proc import ExtProcServer
from tests.topology.claims.samples import record
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import Changes
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service.classify import Lifetimes
from topology.service.sources import Sources
from topology.watcher import WatcherState


def test_every_number_is_there() -> None:
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
    follower.index.load(Changes(9, (record("a"), record("b"))))
    follower.state.revision = 9
    server = ExtProcServer(Sources(lambda: None, follower), Lifetimes(), frozenset)
    server.answers["path", "found"] = 3
    server.streams["not_ready"] = 2
    registry = CollectorRegistry()
    registry.register(ExtProcCollector(server, follower, WatcherState(connected=True)))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"cellplane_ext_proc_{name}", labels)

    assert value("answers_total", rule="path", outcome="found") == 3
    assert value("streams_total", outcome="not_ready") == 2
    assert value("claims") == 2
    assert (value("cells_connected"), value("claims_connected")) == (1, 0)
    assert value("claims_revision") == 9
    assert value("claims_relists_total") == 0
