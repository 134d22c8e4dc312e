"""Plain HTTP that is sent to HTTPS: a listener with one answer, which asks no rule and reaches no cell.

`translate` makes it from the edge's settings. `View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy.connection_manager import Hcm, connection_manager
from envoy.edge import EdgeSettings
from envoy.listeners import http_filter_chain, raw_listener
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.config.route.v3 import route_pb2 as table_pb2
from xds.resource import Resource

REDIRECT_LISTENER: Final = "edge-redirect"
HTTPS_PORT: Final = 443


def redirect_listener(settings: EdgeSettings) -> Iterable[Resource]:
    """Make the listener, where one is wanted."""
    tls = settings.tls
    if tls is None or not tls.redirect_port:
        return
    found = Hcm()
    found.CopyFrom(connection_manager(settings, REDIRECT_LISTENER))
    found.strip_any_host_port = True  # that was the plain port's
    # The last filter answers by the route; what rules want read is of no use here.
    del found.http_filters[:-1]
    found.ClearField("tracing")
    found.route_config.CopyFrom(_routes(tls.public_port))
    yield raw_listener(REDIRECT_LISTENER, tls.redirect_port, settings, filters=http_filter_chain(found))


def _routes(port: int) -> table_pb2.RouteConfiguration:
    # 308: a POST stays a POST.
    action = route_pb2.RedirectAction(
        https_redirect=True,
        port_redirect=0 if port == HTTPS_PORT else port,
        response_code=route_pb2.RedirectAction.PERMANENT_REDIRECT,
    )
    route = route_pb2.Route(name="redirect", match=route_pb2.RouteMatch(prefix="/"), redirect=action)
    host = route_pb2.VirtualHost(name=REDIRECT_LISTENER, domains=["*"], routes=[route])
    return table_pb2.RouteConfiguration(name=REDIRECT_LISTENER, virtual_hosts=[host])
