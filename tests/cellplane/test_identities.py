"""Who gets which group: by the certificate where there is one, by the node's word where there is none."""

from __future__ import annotations

import pytest

from cellplane.identities import classify
from cellplane.pushes import EDGE
from xds.nodes import Identity, Node, Refusal

NODE = Node(id="edge-1", metadata={"role": "edge"})


def test_without_certificates_the_nodes_word_counts() -> None:
    assert classify(NODE, None) == EDGE


@pytest.mark.parametrize("metadata", [{}, {"role": "spy"}, {"role": 7}, {"role": ["edge"]}])
def test_a_role_that_nobody_knows_gets_nothing(metadata: dict[str, object]) -> None:
    refused = classify(Node(id="edge-1", metadata=metadata), None)

    assert isinstance(refused, Refusal)
    assert "the roles are edge" in refused.reason


@pytest.mark.parametrize(
    "identity",
    [
        Identity(common_name="edge-1"),
        Identity(common_name="other", dns_names=("edge-1",)),
        Identity(uris=("spiffe://example.org/edge/edge-1",)),
        Identity(uris=("https://elsewhere", "spiffe://example.org/ns/prod/edge/edge-1")),
    ],
)
def test_a_certificate_that_names_the_node(identity: Identity) -> None:
    assert classify(NODE, identity) == EDGE


@pytest.mark.parametrize(
    "identity",
    [
        Identity(common_name="edge-2"),
        Identity(common_name="edge-1", uris=("spiffe://example.org/edge/edge-2",)),
        Identity(uris=("spiffe://example.org/edge-1",)),
        Identity(uris=("spiffe://example.org/sidecar/edge-1",)),
        Identity(common_name="", dns_names=("edge-1.example.org",)),
    ],
)
def test_a_certificate_that_does_not_gets_nothing(identity: Identity) -> None:
    assert isinstance(classify(NODE, identity), Refusal)


def test_the_certificates_role_stands_above_the_nodes_word() -> None:
    liar = Node(id="edge-1", metadata={"role": "spy"})

    assert classify(liar, Identity(uris=("spiffe://example.org/edge/edge-1",))) == EDGE
