"""The bootstrap that an Envoy starts with: who it is, where its control plane is, and how it guards itself.

The command prints it for operators, the demo and tests start Envoys with it. Everything else comes over ADS.
Paths are paths on the Envoy's host, and nothing here opens them. It stands before `Snapshot -> Response`:
it makes the client that asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.connection_manager import FORWARDED_HEADERS
from envoy.edge import INTERNAL_HEADERS
from envoy.request import QUICK_HEADERS
from topology.forms import host_problem, is_ip, text_problem
from topology.model import MAX_ID

ROLES: Final = ("edge", "sidecar")
XDS_CLUSTER: Final = "cellplane_xds"
MAX_CONNECTIONS: Final = 50_000
LONGEST_PAUSE: Final = 10.0
"""Seconds at most between two tries to reach the control plane: 30 if Envoy is told nothing."""


class BootstrapError(ValueError):
    """An argument that no Envoy could start with; the message names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XdsTls:
    """TLS towards the control plane: the CA that its certificate comes from, and our own for mTLS."""

    ca: str
    certificate: str = ""
    key: str = ""
    server_name: str = ""


def bootstrap(  # noqa: PLR0913 - one for each option of the command
    *,
    role: str,
    node_id: str,
    xds_addresses: Sequence[str],
    cluster: str = "",
    cell_id: int = 0,
    region: str = "",
    zone: str = "",
    admin_host: str = "127.0.0.1",
    admin_port: int = 9901,
    xds_tls: XdsTls | None = None,
    max_connections: int = MAX_CONNECTIONS,
    max_heap_bytes: int = 0,
    canary: bool = False,
) -> dict[str, Any]:
    """Make the bootstrap for a node, ready to be printed as YAML or JSON. Raises BootstrapError.

    Several addresses are several replicas of the control plane; an Envoy uses one and moves on when it fails.
    `cluster` names the fleet, and is the role if not given. With `max_heap_bytes` an Envoy that runs full
    refuses requests rather than die. A canary is told of changes before the others.
    """
    if role not in ROLES:
        raise BootstrapError(f"role {role!r} is unknown: use one of {', '.join(ROLES)}")
    if (role == "sidecar") != bool(cell_id):
        raise BootstrapError("cell_id: a sidecar is one of a cell, and only a sidecar: give the cell's id")
    if not 0 <= cell_id <= MAX_ID:
        raise BootstrapError(f"cell_id: {cell_id} is no cell id: use 1 to {MAX_ID}")
    if problem := text_problem(node_id, required=True):
        raise BootstrapError(f"node_id {problem}; give each Envoy a name of its own")
    if not xds_addresses:
        raise BootstrapError("xds_addresses is empty: name at least one HOST:PORT of the control plane")
    if xds_tls and bool(xds_tls.certificate) != bool(xds_tls.key):
        raise BootstrapError("xds_tls: certificate and key go together; give both or neither")
    places = [_place(address) for address in xds_addresses]
    locality = {name: value for name, value in (("region", region), ("zone", zone)) if value}
    return {
        "node": {
            "id": node_id,
            "cluster": cluster or role,
            "metadata": {
                "role": role,
                **({"cell": str(cell_id)} if cell_id else {}),
                **({"canary": True} if canary else {}),
            },
            **({"locality": locality} if locality else {}),
        },
        "admin": {"address": _socket(admin_host, admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                # A guard against a loop of requests; far above what acknowledging every push takes.
                "rate_limit_settings": {"max_tokens": 1000, "fill_rate": 500},
                "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": _retries()}}],
            },
            "cds_config": _ads(),
            "lds_config": _ads(),
        },
        "static_resources": {"clusters": [_xds_cluster(places, xds_tls)]},
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {}}, {"name": "admin", "admin_layer": {}}]
        },
        "overload_manager": _overload(max_connections, max_heap_bytes),
        # At hand, as Envoy has those that it knows itself. Asked for any other it hashes all of a request's
        # headers first, and keeps the hashes up to date from then on.
        "inline_headers": [
            *_quick("REQUEST_HEADER", (*INTERNAL_HEADERS, *FORWARDED_HEADERS, *QUICK_HEADERS)),
            *_quick("RESPONSE_HEADER", INTERNAL_HEADERS),
        ],
        "stats_config": {
            # cellplane.rule.<rule>.<reason>…: the rule as a label, so that a sum over rules is one query.
            "stats_tags": [{"tag_name": "cellplane_rule", "regex": r"^cellplane\.rule\.(([^.]+)\.)"}]
        },
    }


def _quick(kind: str, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        yield {"inline_header_name": name, "inline_header_type": kind}


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise BootstrapError(f"xds_addresses: {address!r} is no address; write HOST:PORT")
    if problem := host_problem(host):
        raise BootstrapError(f"xds_addresses: {address!r}: {problem}")
    return host, int(port)


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _ads() -> dict[str, Any]:
    # 0 waits for ever: an edge without configuration is not ready, and must not look as if it were.
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _retries() -> dict[str, Any]:
    # Envoy waits for a random part of a pause that doubles: a fleet comes back spread over the longest. A
    # replica brings 1,000 Envoys up to date in three to six seconds; who comes before it is ready costs it a
    # stream that is refused.
    return {"retry_back_off": {"base_interval": "0.5s", "max_interval": f"{LONGEST_PAUSE:g}s"}}


def _xds_cluster(places: Sequence[tuple[str, int]], tls: XdsTls | None) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _socket(host, port)}} for host, port in places]
    cluster: dict[str, Any] = {
        "name": XDS_CLUSTER,
        "type": "STATIC" if all(is_ip(host) for host, _ in places) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        # A control plane that is gone without a word is noticed within 15 seconds.
                        "connection_keepalive": {"interval": "10s", "timeout": "5s"}
                    }
                },
            }
        },
    }
    if tls:
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": _tls(tls, places),
        }
    return cluster


def _tls(tls: XdsTls, places: Sequence[tuple[str, int]]) -> dict[str, Any]:
    # Any replica's certificate will do at any address: a fleet moves between them.
    names = [tls.server_name] if tls.server_name else list(dict.fromkeys(host for host, _ in places))
    server_name = next((name for name in names if not is_ip(name)), "")
    context: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2"],
        "validation_context": {
            "trusted_ca": {"filename": tls.ca},
            "match_typed_subject_alt_names": [
                {"san_type": "IP_ADDRESS" if is_ip(name) else "DNS", "matcher": {"exact": name}}
                for name in names
            ],
        },
    }
    if tls.certificate:
        files = {"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}
        context["tls_certificates"] = [files]
    return {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": context,
        **({"sni": server_name} if server_name else {}),
    }


def _overload(max_connections: int, max_heap_bytes: int) -> dict[str, Any]:
    prefix = "type.googleapis.com/envoy.extensions.resource_monitors"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    monitors: list[dict[str, Any]] = [
        {
            "name": connections,
            "typed_config": {
                "@type": f"{prefix}.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": max_connections,
            },
        }
    ]
    if not max_heap_bytes:
        return {"resource_monitors": monitors}
    heap = "envoy.resource_monitors.fixed_heap"
    monitors.append(
        {
            "name": heap,
            "typed_config": {
                "@type": f"{prefix}.fixed_heap.v3.FixedHeapConfig",
                "max_heap_size_bytes": max_heap_bytes,
            },
        }
    )

    def at(action: str, share: float) -> dict[str, Any]:
        return {"name": action, "triggers": [{"name": heap, "threshold": {"value": share}}]}

    return {
        "refresh_interval": "0.25s",
        "resource_monitors": monitors,
        "actions": [
            at("envoy.overload_actions.shrink_heap", 0.9),
            at("envoy.overload_actions.stop_accepting_requests", 0.98),
        ],
    }
