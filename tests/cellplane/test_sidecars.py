"""What a control plane does for sidecars, as one part."""

from __future__ import annotations

import asyncio

from cellplane.sidecars import Sidecars
from envoy.sidecar import SidecarSettings
from tests.cellplane.views import cell, view
from tests.processes import eventually
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Endpoint
from topology.sidecars import SidecarKeys
from xds.cache import Cache
from xds.server import AdsServer

SETTINGS = SidecarSettings(listen_port=8081, application=Endpoint(host="127.0.0.1", port=8080))


def sidecars(cache: Cache, settings: SidecarSettings | None) -> Sidecars:
    server = AdsServer(cache, lambda *_: "edge", identifier="test")
    return Sidecars(settings, cache, server, MemoryStore(), SidecarKeys.beside(Keyspace()), "a")


async def test_what_is_seen_is_published() -> None:
    cache = Cache()
    part = sidecars(cache, SETTINGS)
    tasks = [asyncio.ensure_future(each) for each in part.running()]
    part.seen(view(5, [cell(4)]))

    async def published() -> bool:
        return cache.current("sidecar/4") is not None

    await eventually(published, "the sidecars of cell 4")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_without_settings_there_are_none() -> None:
    part = sidecars(Cache(), None)
    part.seen(view(5, [cell(4)]))
    assert part.running() == ()
