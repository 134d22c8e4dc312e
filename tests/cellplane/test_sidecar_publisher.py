"""What sidecars of each cell are told, and that what did not change stays."""

from __future__ import annotations

from dataclasses import replace

from cellplane.sidecar_publisher import SidecarPublisher, group_of
from envoy.sidecar import SidecarSettings
from tests.cellplane.views import cell, view
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.topology.departures import announce, leave, wish
from topology.model import Document, Endpoint
from topology.view import View
from xds.cache import Cache
from xds.resource import ROUTE
from xds.snapshot import Snapshot

SETTINGS = SidecarSettings(listen_port=8081, application=Endpoint(host="127.0.0.1", port=8080))


def base() -> View:
    rules = Document(
        kind="rules", name="current", body=document(PATH, reserved=["users"]), stamp=wish().stamp
    )
    return replace(view(5, [cell(1), cell(2)]), documents={("rules", "current"): rules})


def current(cache: Cache, cell_id: int) -> Snapshot:
    found = cache.current(group_of(cell_id))
    assert found is not None
    return found


def test_each_cell_is_told_what_left_it_and_keeps_the_rest() -> None:
    cache = Cache()
    publisher = SidecarPublisher(cache, SETTINGS)
    publisher.offer(base())
    first, other = current(cache, 1), current(cache, 2)
    gone = leave(announce(base(), wish(), "ROUTES/acme"), wish())
    publisher.offer(gone)
    assert current(cache, 1).revision == current(cache, 2).revision == gone.revision
    assert current(cache, 1).of_type(ROUTE)["inbound"].version != first.of_type(ROUTE)["inbound"].version
    assert current(cache, 2).of_type(ROUTE) is other.of_type(ROUTE), "nothing left cell 2"


def test_nothing_goes_out_while_pushes_are_frozen_or_the_view_is_old() -> None:
    cache = Cache()
    publisher = SidecarPublisher(cache, SETTINGS)
    publisher.offer(replace(base(), stale=True))
    assert cache.current(group_of(1)) is None
    frozen = Document(kind="pushes-frozen", name="all", body={}, stamp=wish().stamp)
    publisher.offer(replace(base(), documents={**base().documents, ("pushes-frozen", "all"): frozen}))
    assert cache.current(group_of(1)) is None
