"""A ruleset that is tried beside the one in force: Envoy shows a share of the requests to ext_proc, and waits
for nothing.

A document holds the candidate. While there is one, the virtual host turns on a filter that is in every
listener, so that neither its coming nor its going changes a listener. `View -> Snapshot`; what becomes of the
requests is `shadow_counts`' affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from envoy.durations import seconds
from envoy.edge import PEER_STATE, Lookups
from envoy.ext_proc_cluster import SHADOW_CLUSTER
from envoy.matchers import Input, Matcher, OnMatch, all_but, packed
from envoy.rules import Ruleset, parse_ruleset
from pb.envoy.config.core.v3 import extension_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.extensions.common.matching.v3 import extension_matcher_pb2 as matching_pb2
from pb.envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from pb.envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2, processing_mode_pb2
from topology.model import Problem
from topology.view import View

KIND: Final = "rules-shadow"
NAME: Final = "candidate"
SHADOW_FILTER: Final = "cellplane.shadow"
PEER: Final = f"filter_state['{PEER_STATE}']"
"""The attribute that tells the direct peer's address."""
_PARTS: Final = 10_000
_SECONDS: Final = 0.25
_Mode: Final = processing_mode_pb2.ProcessingMode


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ruleset to try, on this share of the requests."""

    percent: float
    ruleset: Ruleset


def parse_candidate(body: Any) -> Candidate | tuple[Problem, ...]:
    """Read the document; what is wrong comes back as problems."""
    if not isinstance(body, Mapping) or body.keys() != {"percent", "ruleset"}:
        return (Problem(field="", message="is no candidate: write an object with percent and ruleset"),)
    percent = body["percent"]
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0.01 <= percent <= 100:
        return (Problem(field="percent", message=f"{percent!r} is no share of requests: use 0.01 to 100"),)
    found = parse_ruleset(body["ruleset"])
    return Candidate(float(percent), found) if isinstance(found, Ruleset) else found


def shown_parts(view: View) -> int:
    """Say how many of ten thousand requests are shown to ext_proc; 0 without a candidate."""
    document = view.documents.get((KIND, NAME))
    percent = document.body.get("percent") if document is not None else None
    return round(percent * 100) if isinstance(percent, int | float) and 0 <= percent <= 100 else 0


def shadow_filter(lookups: Lookups) -> matching_pb2.ExtensionWithMatcher:
    """Make the listener's filter. It sends request headers and takes no answer; nobody waits for it."""
    observing = ext_proc_pb2.ExternalProcessor(
        observability_mode=True,
        failure_mode_allow=True,
        message_timeout=seconds(lookups.timeout_seconds),
        deferred_close_timeout=seconds(_SECONDS),
        request_attributes=[PEER],
        processing_mode=_Mode(
            request_header_mode=_Mode.SEND,
            response_header_mode=_Mode.SKIP,
            request_trailer_mode=_Mode.SKIP,
            response_trailer_mode=_Mode.SKIP,
        ),
    )
    observing.grpc_service.envoy_grpc.cluster_name = SHADOW_CLUSTER
    return matching_pb2.ExtensionWithMatcher(
        xds_matcher=_skipping_but(0),
        extension_config=extension_pb2.TypedExtensionConfig(
            name="envoy.filters.http.ext_proc", typed_config=packed(observing)
        ),
    )


def shadow_on(parts: int) -> bytes:
    """Turn the filter on for so many of ten thousand requests, as a part of the virtual host's bytes."""
    host = route_pb2.VirtualHost()
    chosen = matching_pb2.ExtensionWithMatcherPerRoute(xds_matcher=_skipping_but(parts))
    host.typed_per_filter_config[SHADOW_FILTER].CopyFrom(packed(chosen))
    return host.SerializeToString(deterministic=True)


def _skipping_but(parts: int) -> Matcher:
    """Skip all requests but so many of ten thousand, by a hash of the request's id."""
    skip = OnMatch(action=Input(name="skip", typed_config=packed(skip_action_pb2.SkipFilter())))
    return all_but("x-request-id", parts, _PARTS, skip)
