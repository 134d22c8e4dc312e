from __future__ import annotations

from envoy.edge import INTERNAL_HEADERS, EdgeSettings, Lookups
from envoy.upstream_filters import upstream_filters
from pb.envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from topology.model import Endpoint

ASKING = EdgeSettings(lookups=Lookups(endpoints=(Endpoint(host="127.0.0.1", port=1),)))
CODEC = "envoy.filters.http.upstream_codec"


def names(settings: EdgeSettings, *, trailers: bool) -> list[str]:
    return [each.name for each in upstream_filters(settings, trailers=trailers)]


def test_the_codec_is_there_only_behind_filters_and_last() -> None:
    assert names(EdgeSettings(), trailers=False) == []
    assert names(ASKING, trailers=False) == ["cellplane.moved", CODEC]
    assert names(EdgeSettings(), trailers=True) == ["cellplane.trailers", CODEC]
    assert names(ASKING, trailers=True) == ["cellplane.moved", "cellplane.trailers", CODEC]


def test_trailers_lose_our_names_both_ways() -> None:
    first, _ = upstream_filters(EdgeSettings(), trailers=True)
    made = header_mutation_pb2.HeaderMutation()
    assert first.typed_config.Unpack(made)
    for each in (made.mutations.request_trailers_mutations, made.mutations.response_trailers_mutations):
        assert tuple(one.remove for one in each) == INTERNAL_HEADERS
