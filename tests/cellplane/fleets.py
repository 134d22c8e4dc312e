"""Fleets for tests: nodes that were sent something and answered, as streams report it."""

from __future__ import annotations

from tests.xds.configuration import cluster
from xds.nodes import Node
from xds.resource import CLUSTER
from xds.status import Fleet, StreamStatus
from xds.wire import Composer, Response


def response(version: str = "7") -> Response:
    return Composer("").delta(CLUSTER, version, [cluster("cell-1")], [])


def connected(fleet: Fleet, name: str, region: str = "eu", envoy: str = "1.40.0") -> StreamStatus:
    """Open a node's stream that has asked for all clusters."""
    stream = fleet.opened(Node(id=name, region=region, user_agent_version=envoy), "edge", "delta ADS")
    stream.subscribed(CLUSTER, 0, True)
    return stream


def synced(fleet: Fleet, name: str, revision: int = 7, region: str = "eu") -> StreamStatus:
    """Open a node's stream that has acknowledged a revision."""
    stream, sent = connected(fleet, name, region), response(str(revision))
    stream.sent(sent)
    stream.acknowledged(sent)
    stream.settled(revision)
    return stream
