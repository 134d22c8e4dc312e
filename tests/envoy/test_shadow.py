from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from envoy.edge import Lookups
from envoy.rules import DEFAULT_DOCUMENT, DEFAULT_RULESET
from envoy.shadow import (
    KIND,
    NAME,
    SHADOW_FILTER,
    Candidate,
    parse_candidate,
    shadow_filter,
    shadow_on,
    shown_parts,
)
from pb.envoy.config.route.v3.route_components_pb2 import VirtualHost
from pb.envoy.extensions.filters.http.ext_proc.v3.ext_proc_pb2 import ExternalProcessor
from tests.envoy.edge_rig import STAMP
from topology.model import Document, Endpoint
from topology.view import View


def test_a_candidate_is_a_ruleset_and_a_share() -> None:
    body = {"percent": 2.5, "ruleset": DEFAULT_DOCUMENT}
    assert parse_candidate(body) == Candidate(2.5, DEFAULT_RULESET)
    document = Document(kind=KIND, name=NAME, body=body, stamp=STAMP)
    assert shown_parts(View(documents=MappingProxyType({(KIND, NAME): document}))) == 250
    assert shown_parts(View()) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        ({"percent": 1}, ""),
        ({"percent": 0, "ruleset": DEFAULT_DOCUMENT}, "percent"),
        ({"percent": True, "ruleset": DEFAULT_DOCUMENT}, "percent"),
        ({"percent": 101, "ruleset": DEFAULT_DOCUMENT}, "percent"),
        ({"percent": 1, "ruleset": {"schema": 1}}, "rules"),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str) -> None:
    found = parse_candidate(body)
    assert not isinstance(found, Candidate)
    assert [each.field for each in found] == [field]


def test_nobody_waits_for_it() -> None:
    found, observing = (
        shadow_filter(Lookups(endpoints=(Endpoint(host="10.0.0.5", port=1),))),
        ExternalProcessor(),
    )
    assert found.extension_config.typed_config.Unpack(observing)
    assert observing.observability_mode
    assert observing.failure_mode_allow
    assert observing.grpc_service.envoy_grpc.cluster_name == "ext-proc-shadow"


def test_the_virtual_host_turns_it_on() -> None:
    host = VirtualHost.FromString(VirtualHost(name="edge").SerializeToString() + shadow_on(100))
    assert (host.name, list(host.typed_per_filter_config)) == ("edge", [SHADOW_FILTER])
