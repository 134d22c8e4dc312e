"""A control plane of one's own: serves what a YAML file says to every Envoy, and follows the file."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format, symbol_database

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2  # noqa: F401  each makes its messages known
from pb.envoy.config.listener.v3 import listener_pb2  # noqa: F401
from pb.envoy.config.route.v3 import route_pb2  # noqa: F401
from pb.envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from xds import library as xds

KINDS = {kind.service: kind for kind in (xds.CLUSTER, xds.ENDPOINT, xds.LISTENER, xds.ROUTE)}


def references(kind: xds.ResourceType, message: Any) -> Iterator[xds.Reference]:
    """Say what a resource needs: the server orders pushes by it, and refuses what leads nowhere."""
    if kind is xds.CLUSTER and message.type == cluster_pb2.Cluster.EDS:
        yield xds.ENDPOINT, message.name
    if kind is xds.ROUTE:
        yield from (
            (xds.CLUSTER, each.route.cluster) for host in message.virtual_hosts for each in host.routes
        )
    if kind is xds.LISTENER:
        for each in (each for chain in message.filter_chains for each in chain.filters):
            each.typed_config.Unpack(manager := hcm.HttpConnectionManager())
            yield xds.ROUTE, manager.rds.route_config_name


def resource(kind: xds.ResourceType, name: str, fields: dict[str, Any]) -> xds.Resource:
    make: Any = symbol_database.Default().GetSymbol(kind.type_url.rpartition("/")[2])
    message = json_format.ParseDict(fields, make())
    return xds.Resource.of(kind, name, message, references(kind, message))


async def main(path: Path, address: str) -> None:
    cache, revision, served, told = xds.Cache(), 0, "", [""]
    server = xds.AdsServer(cache, lambda _node, _identity: "everyone", identifier="own")
    await server.start(address)
    while True:
        if (text := await asyncio.to_thread(path.read_text)) != served:
            types = yaml.safe_load(text).items()
            made = [resource(KINDS[kind], name, of) for kind, names in types for name, of in names.items()]
            served, revision = text, revision + 1
            print(cache.publish("everyone", xds.Snapshot.of(revision, made)), flush=True)
        if (fleet := [f"{one.node.id} has {one.settled_revision}" for one in server.fleet.nodes()]) != told:
            print("fleet:", *(told := fleet), flush=True)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
