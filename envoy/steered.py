"""What a client steers by a cookie or a token that nobody has verified: limited for each cell, apart.

Leaves that such a key leads to are marked, and name their cell to one filter in front of the router, which
stands by for all others. Its buckets are the listener's own: new routes fill none. `View -> Snapshot`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf import any_pb2, wrappers_pb2

from envoy.durations import seconds
from envoy.edge import LISTENER_NAME
from envoy.matchers import packed
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from pb.envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from pb.envoy.type.v3 import percent_pb2, token_bucket_pb2

STEERED_FILTER: Final = "cellplane.steered"
MAX_CELLS: Final = 100_000
"""As many buckets at most, each for a cell that was steered to; the least used one goes first."""
RETRY_AFTER_SECONDS: Final = 1
"""When there is room in a bucket again."""
_CELL: Final = "destination_cluster"
_UNLIMITED: Final = 0xFFFF_FFFF


def mark(route: route_pb2.Route) -> None:
    """Have requests that end here counted for their cell: into its bucket, and into statistics of its own,
    `vhost.edge.route.steered-<cell>.…`.
    """
    route.stat_prefix = f"steered-{route.route.cluster}"
    route.route.rate_limits.add().actions.add().destination_cluster.SetInParent()


def enable(route: route_pb2.Route) -> None:
    """Have Envoy put the filter into the chain of requests that meet this route first: a chain is made once.

    It costs who meets it and is not marked a fiftieth of a request, so that it stands by for the others.
    """
    route.typed_per_filter_config[STEERED_FILTER].CopyFrom(_enabled())


def steered_filter(per_second: int) -> local_rate_limit_pb2.LocalRateLimit:
    """Make the filter. It answers 429 for a cell that more than so many requests a second were steered to;
    what is not marked passes by.
    """
    each_cell = ratelimit_pb2.LocalRateLimitDescriptor(
        entries=[ratelimit_pb2.RateLimitDescriptor.Entry(key=_CELL)],  # without a value: each has its own
        token_bucket=_bucket(per_second),
    )
    everything = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    return local_rate_limit_pb2.LocalRateLimit(
        stat_prefix=LISTENER_NAME,
        token_bucket=_bucket(_UNLIMITED),
        descriptors=[each_cell],
        max_dynamic_descriptors=wrappers_pb2.UInt32Value(value=MAX_CELLS),
        always_consume_default_token_bucket=wrappers_pb2.BoolValue(value=False),
        filter_enabled=everything,
        filter_enforced=everything,
        response_headers_to_add=[
            base_pb2.HeaderValueOption(
                header=base_pb2.HeaderValue(key="retry-after", value=str(RETRY_AFTER_SECONDS))
            )
        ],
        rate_limited_as_resource_exhausted=True,  # what gRPC calls it; "unavailable" would be tried again
    )


@lru_cache(maxsize=1)
def _enabled() -> any_pb2.Any:
    found = route_pb2.FilterConfig()
    found.config.SetInParent()
    return packed(found)


def _bucket(tokens: int) -> token_bucket_pb2.TokenBucket:
    return token_bucket_pb2.TokenBucket(
        max_tokens=tokens,
        tokens_per_fill=wrappers_pb2.UInt32Value(value=tokens),
        fill_interval=seconds(1),
    )
