"""What a request and its answer pass between the router and a cell.

`connection_manager` gives them to the router, for every cell; `clusters` gives a cell that speaks HTTP/2 its
own, which take the router's place. Made from settings alone. `View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy.edge import INTERNAL_HEADERS, EdgeSettings
from envoy.matchers import packed
from envoy.moved import MOVED_FILTER
from envoy.pending import lua_filter
from pb.envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from pb.envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from pb.envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

HttpFilter = http_connection_manager_pb2.HttpFilter


def upstream_filters(settings: EdgeSettings, *, trailers: bool = False) -> Iterable[HttpFilter]:
    """List them: hear what a cell refuses, before the router decides whether to try again.

    With `trailers` our own names are taken out of them, both ways: routes touch only headers, and HTTP/1.1
    hands no trailers on.
    """
    found = []
    if settings.lookups:
        found.append(HttpFilter(name=MOVED_FILTER, typed_config=packed(lua_filter()), disabled=True))
    if trailers:
        found.append(HttpFilter(name="cellplane.trailers", typed_config=packed(_without_ours())))
    if found:
        codec = packed(upstream_codec_pb2.UpstreamCodec())
        found.append(HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=codec))
    return found


def _without_ours() -> header_mutation_pb2.HeaderMutation:
    removals = [mutation_rules_pb2.HeaderMutation(remove=name) for name in INTERNAL_HEADERS]
    return header_mutation_pb2.HeaderMutation(
        mutations=header_mutation_pb2.Mutations(
            request_trailers_mutations=removals, response_trailers_mutations=removals
        )
    )
