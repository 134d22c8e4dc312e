"""Who gets which group: by the certificate where there is one, by the node's word where there is none."""

from __future__ import annotations

import pytest

from cellplane.identities import Classifier, classify
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


def sidecar(cell: object = "4", node: str = "pod-1") -> Node:
    return Node(id=node, metadata={"role": "sidecar", "cell": cell})


def test_a_sidecar_has_the_group_of_its_cell() -> None:
    assert classify(sidecar(), None) == "sidecar/4"
    assert classify(sidecar(), Identity(common_name="pod-1")) == "sidecar/4"
    bound = Identity(uris=("spiffe://example.org/sidecar/cell-7/pod-1",))
    assert classify(sidecar(), bound) == "sidecar/7", "the certificate says of which cell"


@pytest.mark.parametrize("cell", ["", "0", "04", "cell-4", 4, "4/edge"])
def test_a_sidecar_of_no_cell_gets_nothing(cell: object) -> None:
    refused = classify(sidecar(cell), None)
    assert isinstance(refused, Refusal)
    assert "no cell id" in refused.reason


def test_a_certificate_that_names_no_cell_makes_no_sidecar() -> None:
    refused = classify(sidecar(), Identity(uris=("spiffe://example.org/sidecar/pod-1",)))
    assert isinstance(refused, Refusal)
    assert "sidecar/cell-<id>/pod-1" in refused.reason


def test_sidecars_are_told_nothing_while_etcd_is_not_followed() -> None:
    followed = False
    rule = Classifier(lambda: followed)
    assert rule(NODE, None) == EDGE
    assert isinstance(rule(sidecar(), None), Refusal)
    followed = True
    assert rule(sidecar(), None) == "sidecar/4"
