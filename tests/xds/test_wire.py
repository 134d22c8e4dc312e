"""Requests are read and responses are joined; an independent decoder reads the same."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import pytest

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.xds.configuration import cluster, endpoints
from xds.names import NameTable
from xds.resource import CLUSTER, ENDPOINT, TYPE_URL_PREFIX
from xds.wire import (
    SHORT_BYTES,
    SHORT_KEPT,
    Composer,
    DeltaRequest,
    ProtocolError,
    SotwRequest,
    Status,
    parse_delta,
    parse_sotw,
    remembering,
)

GARBAGE = b"\x0a\xff\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def independent() -> Any:
    """Give a decoder that others made. Every worker imports this file, and one needs its many classes."""
    with warnings.catch_warnings():
        # It is generated for an older pydantic.
        warnings.simplefilter("ignore")
        return import_module("envoy_data_plane.envoy.service.discovery.v3")


def test_a_delta_request_is_read() -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url="t",
        resource_names_subscribe=["a", "*"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"a": "1"},
        response_nonce="n",
    )
    message.node.id = "me"
    request = parse_delta(message.SerializeToString())
    assert isinstance(request, DeltaRequest)
    assert request.node is not None
    assert request == DeltaRequest("t", request.node, ("a", "*"), ("b",), {"a": "1"}, "n", None)
    assert request.node.id == "me"


def test_a_sotw_request_is_read() -> None:
    message = discovery_pb2.DiscoveryRequest(
        type_url="t", resource_names=["a"], version_info="7", response_nonce="n"
    )
    message.error_detail.message = "no"
    assert parse_sotw(message.SerializeToString()) == SotwRequest("t", None, ("a",), "7", "n", "no")


def test_rule_15_an_error_without_words_is_an_error() -> None:
    delta = discovery_pb2.DeltaDiscoveryRequest()
    delta.error_detail.SetInParent()
    request = parse_delta(delta.SerializeToString())
    assert isinstance(request, DeltaRequest)
    assert request.error == ""


def test_garbage_is_a_protocol_error() -> None:
    for problem in (parse_delta(GARBAGE), parse_sotw(GARBAGE)):
        assert isinstance(problem, ProtocolError)
        assert problem.status is Status.INVALID_ARGUMENT


def test_an_independent_decoder_reads_a_delta_response(independent: Any) -> None:
    resources = [cluster("a"), cluster("b" * 200, 7)]
    response = Composer("replica 1").delta(CLUSTER, "42", resources, ["gone", "lost"])
    read = independent.DeltaDiscoveryResponse.parse(response.payload)
    assert read.system_version_info == "42"
    assert read.type_url == "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    assert read.nonce == response.nonce == "1"
    assert read.removed_resources == ["gone", "lost"]
    assert read.control_plane is not None
    assert read.control_plane.identifier == "replica 1"
    assert [(one.name, one.version) for one in read.resources] == [
        (one.name, one.version) for one in resources
    ]
    for one, sent in zip(read.resources, resources, strict=True):
        assert one.resource is not None
        assert one.resource.type_url == CLUSTER.type_url
        assert one.resource.value == sent.body


def test_an_independent_decoder_reads_a_sotw_response(independent: Any) -> None:
    resources = [endpoints("a"), endpoints("b" * 200, 81)]
    response = Composer("replica 1").sotw(ENDPOINT, "42.abc", resources)
    read = independent.DiscoveryResponse.parse(response.payload)
    assert (read.version_info, read.nonce, read.type_url) == ("42.abc", "1", ENDPOINT.type_url)
    assert read.control_plane is not None
    assert read.control_plane.identifier == "replica 1"
    assert [one.value for one in read.resources] == [one.body for one in resources]


def test_streams_that_need_the_same_share_one_response() -> None:
    composer, resources = Composer(""), [cluster("a"), cluster("b")]
    one = composer.delta(CLUSTER, "1", resources)
    assert composer.delta(CLUSTER, "1", resources) is one
    assert composer.delta(CLUSTER, "2", resources) is not one
    assert composer.delta(CLUSTER, "1", resources[:1]) is not one
    assert composer.delta(CLUSTER, "1", resources, ["c"]) is not one
    assert composer.sotw(CLUSTER, "1", resources) is not one


def test_rule_14_who_has_seen_a_nonce_gets_another() -> None:
    composer, resources = Composer(""), [cluster("a")]
    one = composer.delta(CLUSTER, "1", resources)
    other = composer.delta(CLUSTER, "1", resources, after=one.sequence)
    assert other.nonce != one.nonce
    # From here on the younger one is shared; it is new to who has seen the first, too.
    assert composer.delta(CLUSTER, "1", resources) is other
    assert composer.delta(CLUSTER, "1", resources, after=one.sequence) is other


def test_what_is_kept_to_share_is_bounded() -> None:
    composer = Composer("", shared_bytes=3000)
    first = composer.delta(CLUSTER, "1", [cluster("a" * 400)])
    composer.delta(CLUSTER, "1", [cluster("b" * 400)])
    assert 0 < composer._kept <= 3000
    assert composer.delta(CLUSTER, "1", first.resources) is not first
    big = composer.delta(CLUSTER, "1", [cluster("c" * 4000)])
    assert (composer._kept, len(big.payload) > 3000) == (0, True)


def test_small_responses_are_not_kept_without_number() -> None:
    composer = Composer("", shared_bytes=10_000)
    for number in range(100):
        composer.delta(CLUSTER, str(number), [])
    assert len(composer._shared) < 10


NAMES = [f"cell-{number}" for number in range(200)]


def sotw_bytes(names: list[str], nonce: str = "7") -> bytes:
    request = discovery_pb2.DiscoveryRequest(
        version_info="3.ff", resource_names=names, type_url=ENDPOINT.type_url, response_nonce=nonce
    )
    return request.SerializeToString()


def test_what_a_whole_fleet_answers_is_read_once() -> None:
    read: list[bytes] = []

    def parse(data: bytes) -> DeltaRequest | ProtocolError:
        read.append(data)
        return parse_delta(data)

    again = remembering(parse)
    short = discovery_pb2.DeltaDiscoveryRequest(
        type_url=ENDPOINT.type_url, response_nonce="7"
    ).SerializeToString()
    long = sotw_bytes(NAMES)
    assert len(long) > SHORT_BYTES
    assert again(short) is again(short)
    assert again(short) == parse_delta(short)
    again(long)
    again(long)
    assert read == [short, long, long]
    for number in range(SHORT_KEPT + 1):
        again(b"%d" % number)
    again(short)
    assert read.count(short) == 2


@pytest.mark.parametrize("node", ["", "n"])
def test_names_that_were_met_before_are_the_same_object_in_both_variants(node: str) -> None:
    table = NameTable()
    sotw = discovery_pb2.DiscoveryRequest(resource_names=NAMES, type_url=ENDPOINT.type_url)
    delta = discovery_pb2.DeltaDiscoveryRequest(resource_names_subscribe=NAMES, type_url=ENDPOINT.type_url)
    for request in (sotw, delta) if node else ():
        request.node.id = node
    read = [
        parse_sotw(sotw_bytes(NAMES), table),
        parse_sotw(sotw_bytes(NAMES, nonce="8"), table),
        parse_sotw(sotw.SerializeToString(), table),
        parse_delta(delta.SerializeToString(), table),
    ]
    lists = [one.names if isinstance(one, SotwRequest) else one.subscribe for one in read]  # type: ignore[union-attr]
    assert lists[0] == tuple(NAMES)
    assert all(names is lists[0] for names in lists)
    assert read[0] == parse_sotw(sotw_bytes(NAMES))
    assert read[1] == parse_sotw(sotw_bytes(NAMES, nonce="8"))
    assert read[2] == parse_sotw(sotw.SerializeToString())
    assert read[3] == parse_delta(delta.SerializeToString())


def test_a_table_changes_nothing_of_what_is_read() -> None:
    table = NameTable()
    parse_sotw(sotw_bytes(NAMES), table)
    reject = discovery_pb2.DiscoveryRequest.FromString(sotw_bytes(NAMES))
    reject.error_detail.message = f"no: {TYPE_URL_PREFIX}envoy.config.cluster.v3.Cluster"
    odd = sotw_bytes(NAMES) + sotw_bytes(["one more"])
    versions = discovery_pb2.DeltaDiscoveryRequest(
        resource_names_subscribe=NAMES, initial_resource_versions={"a": "1"}, type_url=ENDPOINT.type_url
    )
    for data in (
        sotw_bytes([*NAMES, "more"]),
        sotw_bytes(NAMES[1:]),
        sotw_bytes(["é" * 300, *NAMES]),
        reject.SerializeToString(),
        odd,
        odd + b"\x1a\x01z",
        sotw_bytes(NAMES)[:-3],
        sotw_bytes(NAMES)[:2000] + b"\xff" + sotw_bytes(NAMES)[2000:],
    ):
        for _ in range(2):
            assert parse_sotw(data, table) == parse_sotw(data)
    for data in (versions.SerializeToString(), versions.SerializeToString() + b"\x1a\x01z"):
        for _ in range(2):
            assert parse_delta(data, table) == parse_delta(data)


def test_rule_29_what_envoy_does_not_implement_is_left_unset() -> None:
    composer, one = Composer("test"), cluster("a")
    delta = discovery_pb2.DeltaDiscoveryResponse.FromString(
        composer.delta(CLUSTER, "1", [one], ["b"]).payload
    )
    assert {field.name for field, _ in delta.ListFields()} == {
        *("system_version_info", "resources", "type_url", "nonce", "removed_resources", "control_plane"),
    }
    assert {field.name for field, _ in delta.resources[0].ListFields()} == {"name", "version", "resource"}
    sotw = discovery_pb2.DiscoveryResponse.FromString(composer.sotw(CLUSTER, "1", [one]).payload)
    assert {field.name for field, _ in sotw.ListFields()} == {
        *("version_info", "resources", "type_url", "nonce", "control_plane"),
    }
