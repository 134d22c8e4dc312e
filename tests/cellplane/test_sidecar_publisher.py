"""What sidecars of each cell are told, and that what did not change stays."""

from __future__ import annotations

from dataclasses import replace

from cellplane.delivery import Split
from cellplane.publisher_state import PublisherState, Standing
from cellplane.sidecar_groups import group_of
from cellplane.sidecar_publisher import SidecarPublisher
from cellplane.wave_record import Wave, WaveState
from envoy.sidecar import SidecarSettings
from tests.cellplane.pushing import made_of
from tests.cellplane.views import cell, view
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.topology.departures import announce, leave, wish
from topology.model import Document, Endpoint
from topology.view import View
from xds.cache import Cache
from xds.nodes import Node
from xds.resource import ROUTE
from xds.snapshot import Snapshot

SETTINGS = SidecarSettings(listen_port=8081, application=Endpoint(host="127.0.0.1", port=8080))


def ruled(*reserved: str, revision: int = 5) -> View:
    body = document(PATH, reserved=list(reserved))
    rules = Document(kind="rules", name="current", body=body, stamp=wish().stamp)
    return replace(view(revision, [cell(1), cell(2)]), documents={("rules", "current"): rules})


def base() -> View:
    return ruled("users")


def current(cache: Cache, cell_id: int, node: Node | None = None) -> Snapshot:
    found = cache.current(group_of(cell_id), node)
    assert found is not None
    return found


CANARY, OTHER = Node(id="pod-1", metadata={"canary": True}), Node(id="pod-2")


def edges(state: WaveState, newest: View) -> PublisherState:
    """Give what the edges have while a wave tries the newest rules."""
    wave = Wave(id="wave", group="edge", state=state, good="good", next="wave")
    going = newest if state is WaveState.GOING else None
    split = Split(wave=wave, base=base(), everyone=base(), tried=newest, staged=going)
    standing = Standing(
        split=split, newest=newest, snapshot=made_of(base()).snapshot, waits=True, waits_behind=False
    )
    return PublisherState(published=base(), staged=going, standing=standing)


def routes(cache: Cache, node: Node) -> str:
    return current(cache, 1, node).of_type(ROUTE)["inbound"].version


def test_rules_come_to_the_sidecars_of_a_wave_and_departures_to_all_at_once() -> None:
    other = wish("NAMESPACE/43")
    cache, newest = Cache(), leave(announce(ruled("users", "groups"), other, "ROUTES/globex"), other)
    publisher = SidecarPublisher(cache, SETTINGS, sent := edges(WaveState.GOING, newest))
    publisher.offer(newest)
    assert routes(cache, CANARY) != routes(cache, OTHER)
    assert [current(cache, 1, node).tag for node in (CANARY, OTHER)] == ["wave", "good"]
    before = routes(cache, CANARY), routes(cache, OTHER)
    gone = leave(announce(newest, wish(), "ROUTES/acme"), wish())
    publisher.offer(gone)
    after = routes(cache, CANARY), routes(cache, OTHER)
    assert len({*before, *after}) == 4, "both lines heard of it, each with its own rules"
    assert {current(cache, 1, node).revision for node in (CANARY, OTHER)} == {gone.revision}
    sent.staged, sent.standing = None, edges(WaveState.HALTED, newest).standing
    publisher.offer(gone)
    assert routes(cache, CANARY) == after[1], "it is back, and what left is still refused"
    sent.published, sent.standing = newest, None
    publisher.offer(gone)
    assert {routes(cache, CANARY), routes(cache, OTHER)} == {after[0]}


def test_what_the_edges_were_not_sent_sidecars_are_not_sent_either() -> None:
    cache, sent = Cache(), PublisherState()
    publisher = SidecarPublisher(cache, SETTINGS, sent)
    publisher.offer(base())
    assert cache.current(group_of(1)) is None
    sent.published = base()
    publisher.offer(base())
    first = current(cache, 1)
    publisher.offer(ruled("groups", revision=8))  # held, perhaps
    assert current(cache, 1).of_type(ROUTE) is first.of_type(ROUTE)
    assert current(cache, 1).revision == 8


def test_what_was_told_already_is_not_told_again() -> None:
    cache = Cache()
    publisher = SidecarPublisher(cache, SETTINGS)
    publisher.offer(base())
    first = current(cache, 1)
    publisher.offer(base())
    assert current(cache, 1) is first


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
