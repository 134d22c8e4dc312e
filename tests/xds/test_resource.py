"""Resources are encoded once, in a form that serves both variants."""

from __future__ import annotations

import pytest

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.conversation import MESSAGES
from xds.errors import ResourceError
from xds.resource import (
    BY_URL,
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    TYPES,
    VIRTUAL_HOST,
    Absence,
    Resource,
    ResourceType,
)


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_a_type_is_known_by_the_name_of_its_message(kind: ResourceType) -> None:
    assert kind.type_url == f"type.googleapis.com/{MESSAGES[kind].DESCRIPTOR.full_name}"
    assert BY_URL[kind.type_url] is kind


def test_types_are_compared_by_identity_and_have_short_names() -> None:
    assert len({kind.name for kind in TYPES}) == len(TYPES)
    assert repr(CLUSTER) == "CDS"
    assert CLUSTER != ENDPOINT


@pytest.mark.parametrize("size", [0, 1, 100, 200, 20_000])
def test_the_encoded_fields_are_what_protobuf_reads(size: int) -> None:
    message = cluster_pb2.Cluster(name="a" * 150, alt_stat_name="x" * size)
    resource = Resource.of(CLUSTER, message.name, message)
    delta = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.delta_field)
    (one,) = delta.resources
    assert (one.name, one.version) == (message.name, resource.version)
    assert one.resource.type_url == CLUSTER.type_url
    assert cluster_pb2.Cluster.FromString(one.resource.value) == message
    sotw = discovery_pb2.DiscoveryResponse.FromString(bytes(resource.sotw_field))
    assert sotw.resources[0] == one.resource
    assert resource.body == one.resource.value == message.SerializeToString(deterministic=True)


def test_the_version_is_a_hash_of_the_content() -> None:
    resource = Resource.of(CLUSTER, "a", b"content")
    assert resource.version == "ed7002b439e9ac84"
    assert Resource.of(CLUSTER, "a", b"content") == resource
    assert Resource.of(CLUSTER, "a", b"other") != resource
    assert Resource.of(CLUSTER, "b", b"content") != resource
    assert Resource.of(ENDPOINT, "a", b"content") != resource
    assert resource != "a"
    assert len({resource, Resource.of(CLUSTER, "a", b"content")}) == 1


def test_maps_in_a_message_do_not_change_its_version() -> None:
    one, other = cluster_pb2.Cluster(name="a"), cluster_pb2.Cluster(name="a")
    for key in ("x", "y", "z"):
        one.metadata.filter_metadata[key].SetInParent()
    for key in ("z", "y", "x"):
        other.metadata.filter_metadata[key].SetInParent()
    assert Resource.of(CLUSTER, "a", one).version == Resource.of(CLUSTER, "a", other).version


def test_the_fingerprint_covers_name_and_version() -> None:
    prints = {Resource.of(CLUSTER, name, body).fingerprint for name in "ab" for body in (b"x", b"y")}
    assert len(prints) == 4


def test_references_and_key() -> None:
    resource = Resource.of(ROUTE, "r", b"", [(CLUSTER, "a"), (CLUSTER, "a")])
    assert resource.references == frozenset({(CLUSTER, "a")})
    assert resource.key == (ROUTE, "r")


def test_what_is_not_there_is_answered_by_type() -> None:
    """The last column of the table that real Envoys were asked for: what frees a client, and harms none."""
    removed, nothing, silence = Absence.REMOVED, Absence.EMPTY, Absence.SILENCE
    answers = {kind.service: (kind.asked_absent_delta, kind.asked_absent_sotw) for kind in TYPES}
    assert answers == {
        "CDS": (removed, silence),
        "EDS": (removed, nothing),
        "LDS": (removed, silence),
        "RDS": (nothing, nothing),
        "SRDS": (removed, silence),
        "VHDS": (Absence.BODILESS, silence),
        "SDS": (removed, silence),
        "RTDS": (removed, nothing),
        "ECDS": (silence, silence),
    }


def test_under_an_alias_it_is_the_same_on_the_wire() -> None:
    one = Resource.of(VIRTUAL_HOST, "r/one", b"\n\x05r/one", aliases=["r/a", "r/b"])
    alias = one.under("r/a")
    assert (alias.name, alias.alias_of, alias.version) == ("r/a", "r/one", one.version)
    assert alias.delta_field is one.delta_field
    assert alias.fingerprint != one.fingerprint
    sent = discovery_pb2.DeltaDiscoveryResponse.FromString(one.delta_field).resources[0]
    assert (sent.name, list(sent.aliases)) == ("r/one", ["r/a", "r/b"])


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_rule_59_and_60_only_clusters_and_listeners_may_expire(kind: ResourceType) -> None:
    if kind in {CLUSTER, LISTENER}:
        assert Resource.of(kind, "a", b"", ttl_seconds=2.5).ttl_seconds == 2.5
        return
    with pytest.raises(ResourceError, match="ttl_seconds: only clusters and listeners expire without harm"):
        Resource.of(kind, "a", b"", ttl_seconds=2.5)


def test_rule_57_a_time_to_live_goes_to_delta_clients_and_is_part_of_the_version() -> None:
    for_ever, timed = Resource.of(CLUSTER, "a", b""), Resource.of(CLUSTER, "a", b"", ttl_seconds=90.5)
    sent = discovery_pb2.DeltaDiscoveryResponse.FromString(timed.delta_field).resources[0]
    assert (sent.ttl.seconds, sent.ttl.nanos, sent.HasField("resource")) == (90, 500_000_000, True)
    assert timed.version != for_ever.version
    # The SotW form is the bare message, which has nowhere to put one.
    assert bytes(timed.sotw_field) == bytes(for_ever.sotw_field)


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_rule_62_only_what_is_asked_for_on_demand_may_be_lazy(kind: ResourceType) -> None:
    if kind in {CLUSTER, VIRTUAL_HOST}:
        assert Resource.of(kind, "a", b"", lazy=True).lazy
        return
    with pytest.raises(ResourceError, match="'a', lazy: nobody asks for this type on demand"):
        Resource.of(kind, "a", b"", lazy=True)


@pytest.mark.parametrize("seconds", [-1.0, 0.5])
def test_a_time_to_live_is_a_second_or_more(seconds: float) -> None:
    with pytest.raises(ResourceError, match="'a', ttl_seconds: give one second or more"):
        Resource.of(CLUSTER, "a", b"", ttl_seconds=seconds)
