"""What a sidecar is told besides who has left its cell: where it listens, where the application is, and how
it reaches the Topology Service.

The control plane fills the settings, `sidecar_resources` reads them. One set for the sidecars of all cells;
paths are paths on their hosts. `View -> Snapshot`: the part of a Snapshot that no View decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.edge import EdgeTls, LookupTls
from topology.forms import is_ip
from topology.model import Endpoint, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """The application's way to the Topology Service: plain gRPC to a local port, carried on from there."""

    listen_port: int
    endpoints: tuple[Endpoint, ...]
    listen_address: str = "127.0.0.1"
    tls: LookupTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarSettings:
    """All that is the same for every sidecar. With `tls`, edges have to show a certificate."""

    listen_port: int
    application: Endpoint
    listen_address: str = "0.0.0.0"  # noqa: S104 - the edges come from elsewhere
    http2: bool = False
    tls: EdgeTls | None = None
    outbound: Outbound | None = None
    connect_timeout_seconds: float = 1.0
    merge_slashes: bool = True


def sidecar_problems(settings: SidecarSettings) -> tuple[Problem, ...]:
    """Say what is wrong with settings, each with its fix."""
    return tuple(_problems(settings))


def _problems(settings: SidecarSettings) -> Iterator[Problem]:
    listens = [("listen", settings.listen_address, settings.listen_port)]
    if settings.outbound:
        listens.append(("outbound", settings.outbound.listen_address, settings.outbound.listen_port))
        if not settings.outbound.endpoints:
            yield Problem(field="topology", message="name at least one Topology Service, as HOST:PORT")
    for name, address, port in listens:
        if not is_ip(address):
            message = f"{address!r} is no IP address: use one of the sidecars' own, or 0.0.0.0"
            yield Problem(field=name, message=message)
        if not 1 <= port <= 65535:
            yield Problem(field=name, message=f"{port} is no port: use 1 to 65535")
    if len({port for _, _, port in listens}) < len(listens):
        yield Problem(field="outbound", message=f"port {settings.listen_port} is taken: use another")
    if settings.tls and not settings.tls.client_ca:
        message = "without a CA for clients anybody could pass the edge by: name one"
        yield Problem(field="client_ca", message=message)
