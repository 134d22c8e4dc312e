"""One node's status, as pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from xds.node_status import Nack, NodeStatus
from xds.nodes import Node
from xds.resource import CLUSTER


@dataclass(eq=False)
class Report:
    variant: str
    settled_revision: int
    settled_at: float
    settled_tag: str = ""


def test_a_node_has_settled_what_all_its_streams_have() -> None:
    status = NodeStatus(Node(id="n"), "group", 1.0)
    assert (status.settled_revision, status.settled_at) == (0, 0.0)
    status.streams = {Report("delta ADS", 7, 10.0): None, Report("delta ADS", 5, 12.0): None}
    assert (status.settled_revision, status.settled_at) == (5, 12.0)


def test_a_node_has_what_all_its_streams_call_the_same() -> None:
    status = NodeStatus(Node(id="n"), "group", 1.0)
    assert status.settled_tag == ""
    status.streams = {Report("delta ADS", 7, 10.0, "wave"): None, Report("delta ADS", 7, 12.0, "wave"): None}
    assert status.settled_tag == "wave"
    status.streams[Report("delta ADS", 7, 13.0)] = None
    assert status.settled_tag == ""


def test_a_node_as_json() -> None:
    node = Node(id="n", cluster="c", region="eu", zone="eu-1", user_agent_version="1.40.0")
    status = NodeStatus(node, "group", 1.0, streams={Report("sotw ADS", 7, 10.0): None})
    clusters = status.of_type(CLUSTER)
    assert status.of_type(CLUSTER) is clusters
    clusters.wildcard, clusters.sent_version, clusters.resources_sent, clusters.nacks = True, "8", 2, 1
    clusters.sent_at, clusters.acked_at = 8.0, 8.5
    clusters.last_nack = Nack(9.0, "8", ("bad",), "no")
    assert status.to_json() == {
        "id": "n",
        "cluster": "c",
        "group": "group",
        "region": "eu",
        "zone": "eu-1",
        "version": "1.40.0",
        "connected_at": 1.0,
        "settled_revision": 7,
        "settled_tag": "",
        "settled_at": 10.0,
        "streams": ["sotw ADS"],
        "types": {
            "cluster": {
                "subscribed": 0,
                "wildcard": True,
                "sent_version": "8",
                "acked_version": "",
                "sent_at": 8.0,
                "acked_at": 8.5,
                "responses_sent": 0,
                "resources_sent": 2,
                "removals_sent": 0,
                "acks": 0,
                "nacks": 1,
                "last_nack": {"at": 9.0, "version": "8", "names": ["bad"], "message": "no"},
            }
        },
    }
