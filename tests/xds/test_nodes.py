"""A node in its own words, as far as they are needed."""

from __future__ import annotations

from pb.envoy.config.core.v3 import base_pb2
from xds.nodes import MAX_METADATA_BYTES, MOST_CHARACTERS, Node


def test_a_node_is_taken_over_without_its_extensions() -> None:
    message = base_pb2.Node(id="n1", cluster="edge", user_agent_name="envoy")
    message.user_agent_build_version.version.major_number = 1
    message.user_agent_build_version.version.minor_number = 40
    message.locality.region, message.locality.zone, message.locality.sub_zone = "eu", "eu-1", "a"
    message.metadata.update(
        {"role": "edge", "n": 1.5, "on": True, "list": ["a", {"b": None}], "deep": {"x": "y"}}
    )
    for number in range(500):
        message.extensions.add(name=f"extension {number}")
    assert Node.of(message) == Node(
        id="n1",
        cluster="edge",
        region="eu",
        zone="eu-1",
        sub_zone="a",
        user_agent_name="envoy",
        user_agent_version="1.40.0",
        metadata={"role": "edge", "n": 1.5, "on": True, "list": ["a", {"b": None}], "deep": {"x": "y"}},
    )


def test_a_node_may_tell_its_version_in_words_or_not_at_all() -> None:
    assert Node.of(base_pb2.Node(id="n", user_agent_version="mine")).user_agent_version == "mine"
    assert Node.of(base_pb2.Node(id="n")) == Node(id="n")


def test_an_envoy_says_that_it_is_one() -> None:
    assert Node(id="n", user_agent_name="envoy").is_envoy
    assert not Node(id="n", user_agent_name="gRPC C-core").is_envoy
    assert not Node(id="n").is_envoy


def test_of_the_metadata_no_more_is_kept_than_a_stream_may_hold() -> None:
    message = base_pb2.Node(id="n")
    message.metadata.update({"large": "x" * MAX_METADATA_BYTES, "role": "edge"})
    message.metadata.update({f"key-{number:05}": "y" * 1000 for number in range(100)})
    kept = Node.of(message).metadata
    # The small ones are what groups are made of; which of the others stay does not depend on their order.
    assert list(kept) == ["role", "key-00000", "key-00001", "key-00002", "key-00003"]


def test_a_node_that_talks_too_much_is_cut_short() -> None:
    long = "x" * 10_000
    message = base_pb2.Node(id=long, cluster=long, user_agent_name=long, user_agent_version=long)
    message.locality.region = message.locality.zone = message.locality.sub_zone = long
    node = Node.of(message)
    texts = (node.id, node.cluster, node.region, node.zone, node.sub_zone)
    for text in (*texts, node.user_agent_name, node.user_agent_version):
        assert text == "x" * MOST_CHARACTERS


def test_rule_7_what_features_a_client_names_is_not_looked_at() -> None:
    plain = base_pb2.Node(id="n1")
    featured = base_pb2.Node(id="n1", client_features=["envoy.lb.does_not_support_overprovisioning", "x"])
    assert Node.of(featured) == Node.of(plain)
