"""The xDS server under measurement, in a process of its own: `clusters` clusters with their endpoints, a
listener, a route table.

`fanout.py` speaks to it by lines: `eds`, `cds`, `rds` change one resource and publish; the answer has the
time of the publish. `usage` answers with CPU seconds and resident memory, `streams` with how many are open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_pb2
from xds.cache import Cache
from xds.collector import calm_collector
from xds.options import ServerOptions
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, ResourceType
from xds.server import AdsServer
from xds.snapshot import Snapshot

VIRTUAL_HOSTS = 100


class Configuration:
    """Resources by type and name; a change makes the next Snapshot, with everything else as it was."""

    def __init__(self, clusters: int) -> None:
        self._clusters = clusters
        self._revision = 1
        self._counter = 0
        names = [f"cell-{n}" for n in range(clusters)]
        self._resources: dict[ResourceType, dict[str, Resource]] = {
            CLUSTER: {name: self._cluster(name) for name in names},
            ENDPOINT: {name: self._endpoints(name) for name in names},
            LISTENER: {"edge": self._listener()},
            ROUTE: {"edge": self._routes()},
        }

    def snapshot(self) -> Snapshot:
        """Give the Snapshot of this moment."""
        return Snapshot(self._revision, dict(self._resources))

    def change(self, kind: ResourceType) -> Snapshot:
        """Change one resource of a type."""
        self._counter += 1
        self._revision += 1
        name = "edge" if kind is ROUTE else f"cell-{self._counter % self._clusters}"
        make: dict[ResourceType, Callable[[], Resource]] = {
            CLUSTER: lambda: self._cluster(name),
            ENDPOINT: lambda: self._endpoints(name),
            ROUTE: self._routes,
        }
        self._resources[kind] = {**self._resources[kind], name: make[kind]()}
        return self.snapshot()

    def _cluster(self, name: str) -> Resource:
        cluster = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
        cluster.eds_cluster_config.eds_config.ads.SetInParent()
        cluster.connect_timeout.nanos = 250_000_000 + self._counter
        return Resource.of(CLUSTER, name, cluster, [(ENDPOINT, name)])

    def _endpoints(self, name: str) -> Resource:
        assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
        for number in range(4):
            endpoint = assignment.endpoints.add().lb_endpoints.add()
            endpoint.load_balancing_weight.value = 1 + self._counter
            endpoint.endpoint.address.socket_address.address = f"10.0.0.{number + 1}"
            endpoint.endpoint.address.socket_address.port_value = 8080
        return Resource.of(ENDPOINT, name, assignment)

    def _listener(self) -> Resource:
        listener = listener_pb2.Listener(name="edge")
        listener.address.socket_address.address = "127.0.0.1"
        listener.address.socket_address.port_value = 8080
        return Resource.of(LISTENER, "edge", listener, [(ROUTE, "edge")])

    def _routes(self) -> Resource:
        table = route_pb2.RouteConfiguration(name="edge")
        for number in range(VIRTUAL_HOSTS):
            host = table.virtual_hosts.add(name=f"host-{number}", domains=[f"host-{number}.example.com"])
            host.routes.add(name=f"v{self._counter}").match.prefix = "/"
            host.routes[0].route.cluster = f"cell-{number % self._clusters}"
        return Resource.of(ROUTE, "edge", table)


def usage() -> dict[str, float]:
    """Return CPU seconds and resident memory of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"cpu": used.ru_utime + used.ru_stime, "rss_mb": pages * resource.getpagesize() / 1e6}


async def serve(clusters: int, port: int, write_timeout_seconds: float) -> None:
    """Serve until the input ends."""
    cache = Cache()
    configuration = Configuration(clusters)
    cache.publish("edge", configuration.snapshot())
    # All are let in at once: what is measured is the worst that can happen.
    options = ServerOptions(
        streams_per_second=0, write_timeout_seconds=write_timeout_seconds, share_port=True
    )
    server = AdsServer(cache, lambda _node, _identity: "edge", identifier="fanout", options=options)
    listens_at = await server.start(f"127.0.0.1:{port}")
    calm_collector()
    print(json.dumps(listens_at), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    kinds = {"eds": ENDPOINT, "cds": CLUSTER, "rds": ROUTE}
    while line := (await reader.readline()).decode().strip():
        answer: object = usage()
        if line == "streams":
            answer = sum(server.fleet.counters().streams.values())
        elif line in kinds:
            snapshot = configuration.change(kinds[line])
            answer = time.monotonic()
            cache.publish("edge", snapshot)
        print(json.dumps(answer), flush=True)
    await server.stop(0.1)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, required=True)
    parser.add_argument(
        "--port", type=int, default=0, help="one that another such process listens on already"
    )
    parser.add_argument("--write-timeout", type=float, default=30.0)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.clusters, arguments.port, arguments.write_timeout))


if __name__ == "__main__":
    main()
