"""TLS by name, unread: a listener for each port, and for each name of a cell a cluster that is called by it.

The listener says which cluster it wants by the name in the client's greeting, so that cells come and go
without a change of it; a name that no cell has is no cluster's, and its connection is closed and counted.
`View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from envoy.clusters import tcp_cluster
from envoy.durations import seconds
from envoy.edge import EdgeSettings
from envoy.endpoints import assignment
from envoy.listeners import raw_listener
from envoy.matchers import packed
from envoy.passthrough import Passthrough
from envoy.standing import Access, Standing
from pb.envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from pb.envoy.config.listener.v3 import listener_components_pb2
from pb.envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from pb.envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from pb.envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from pb.envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from topology.model import Cell
from xds.resource import ENDPOINT, Resource

CLUSTER_STATE: Final = "envoy.tcp_proxy.cluster"
"""The filter state that Envoy's TCP proxy takes its cluster from."""
ATTEMPTS: Final = 3


class Named(NamedTuple):
    """The cluster of a name, and its endpoints where EDS carries them."""

    cluster: Resource
    endpoints: Resource | None


def tls_listeners(settings: EdgeSettings) -> tuple[Resource, ...]:
    """Make a listener for each port; they depend on the settings alone."""
    return tuple(_listener(each, settings) for each in settings.passthrough)


def tls_names(cell: Cell, standing: Standing, settings: EdgeSettings) -> tuple[Named, ...]:
    """Make what a cell's names lead to; a cell that does not serve has none."""
    if standing.owned is not Access.OPEN:
        return ()
    return tuple(
        _named(cell, f"{listener_name(each)}/{host}", each.endpoint_port, settings)
        for each in settings.passthrough
        for host in _hosts(cell, each)
    )


def listener_name(each: Passthrough) -> str:
    """Name the listener, and what Envoy counts it under: `tcp.tls-5443.downstream_cx_no_route`."""
    return f"tls-{each.listen_port}"


def _hosts(cell: Cell, each: Passthrough) -> Iterator[str]:
    addresses = (cell.addresses[name] for name in each.protocols if name in cell.addresses)
    hosts = (urlsplit(text if "://" in text else f"//{text}").hostname for text in addresses)
    yield from dict.fromkeys(host for host in hosts if host)


def _named(cell: Cell, name: str, port: int, settings: EdgeSettings) -> Named:
    places = tuple(replace(each, port=port) for each in cell.endpoints) if port else cell.endpoints
    at = assignment(name, places, cell.region)
    if any(not each.is_ip for each in places):
        return Named(tcp_cluster(name, settings, at), None)
    return Named(tcp_cluster(name, settings, None), Resource.of(ENDPOINT, name, at))


def _listener(each: Passthrough, settings: EdgeSettings) -> Resource:
    name = listener_name(each)
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix=name,
        cluster=name,  # never there: what the filter state says is taken
        idle_timeout=seconds(0),  # as streams: a peer that is gone is found by keepalive
    )
    proxy.max_connect_attempts.value = ATTEMPTS
    return raw_listener(
        name,
        each.listen_port,
        settings,
        listener_filters=[
            listener_components_pb2.ListenerFilter(
                name="envoy.filters.listener.tls_inspector",
                typed_config=packed(tls_inspector_pb2.TlsInspector()),
            )
        ],
        filters=[
            listener_components_pb2.Filter(
                name="envoy.filters.network.set_filter_state", typed_config=packed(_wanted(each))
            ),
            listener_components_pb2.Filter(
                name="envoy.filters.network.tcp_proxy", typed_config=packed(proxy)
            ),
        ],
    )


def _wanted(each: Passthrough) -> set_filter_state_pb2.Config:
    """Name the cluster that a connection wants. What is in front keeps a client from naming another kind."""
    name = listener_name(each)
    text = f"{name}/%REQUESTED_SERVER_NAME%"
    if each.below:
        text = f"%CEL(re.extract(connection.requested_server_name, '^[^.]+[.](.+)$', '{name}/\\\\1'))%"
    return set_filter_state_pb2.Config(
        on_new_connection=[
            value_pb2.FilterStateValue(
                object_key=CLUSTER_STATE,
                format_string=substitution_format_string_pb2.SubstitutionFormatString(
                    text_format_source=base_pb2.DataSource(inline_string=text)
                ),
            )
        ]
    )
