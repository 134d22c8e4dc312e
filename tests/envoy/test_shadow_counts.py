from __future__ import annotations

from envoy.request import Request
from envoy.rules import DEFAULT_RULESET
from envoy.shadow import PEER
from envoy.shadow_counts import KEPT, ShadowCounts, shown_request
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from tests.envoy.edge_rig import NOW, cell, view_of
from tests.envoy.rule_documents import parsed

PATH = {"name": "path", "type": "path_prefix", "prefixes": {"/acme": 2}}


def test_a_request_is_read_as_envoy_shows_it() -> None:
    message = ext_proc_pb2.ProcessingRequest()
    shown = (
        (":method", b"GET"),
        (":path", b"/a?b=\xff"),
        (":authority", b"a.test"),
        ("cookie", b"a=1"),
        ("x-cellplane-identity", b"spiffe://a,b.test"),
    )
    for name, value in shown:
        message.request_headers.headers.headers.add(key=name, raw_value=value)
    message.attributes["envoy.filters.http.ext_proc"][PEER] = "10.1.2.3"
    found = shown_request(message)
    assert (found.method, found.path, found.authority) == ("GET", "/a?b=\xff", "a.test")
    assert (found.peer, found.identities) == ("10.1.2.3", ("spiffe://a", "b.test"))
    assert found.cookies("a") == ("1",)


def test_only_another_place_is_elsewhere() -> None:
    view = view_of(cell(1), cell(2, weight=0))
    counts = ShadowCounts()
    renamed = parsed({**PATH, "name": "other"})
    for candidate in (DEFAULT_RULESET, renamed):
        for path in ("/acme/x?token=secret", "/x"):
            counts.look(Request(path=path), parsed(PATH), candidate, view, NOW, lambda _: None)
    assert counts.counts == {
        ("path", "default", "elsewhere"): 1,
        ("path", "other", "same"): 1,
        ("default", "default", "same"): 2,
    }
    one_cell = view_of(cell(1, weight=0), cell(2))
    counts.look(Request(path="/acme"), parsed(PATH), DEFAULT_RULESET, one_cell, NOW, lambda _: None)
    assert counts.counts["path", "default", "same"] == 1, (
        "unowned traffic has one cell to go to, and that is it"
    )
    (moved,) = counts.moved
    assert (moved.path, moved.live, moved.candidate) == ("/acme/x", "path: cell-2", "default: cell-1")


def test_the_last_are_kept_and_no_more() -> None:
    counts = ShadowCounts()
    for at in range(KEPT + 5):
        request = Request(path=f"/acme/{at}")
        counts.look(request, parsed(PATH), DEFAULT_RULESET, view_of(cell(1), cell(2)), NOW, lambda _: None)
    assert len(counts.moved) == KEPT
    assert counts.moved[-1].path == f"/acme/{KEPT + 4}"
