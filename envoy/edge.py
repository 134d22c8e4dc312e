"""What an edge Envoy is told besides cells and rules: where it listens, its TLS files, limits and timeouts.

The control plane fills the settings, the translators read them. Paths are paths on the Envoys' hosts, and
nothing here opens them. `View -> Snapshot`: the part of a Snapshot that no View decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from envoy.passthrough import Passthrough, passthrough_problems
from topology.forms import host_problem, is_ip
from topology.model import Endpoint, Problem

LISTENER_NAME: Final = "edge"
ROUTES_NAME: Final = "edge"

CELL_HEADER: Final = "x-cellplane-cell"
RULE_HEADER: Final = "x-cellplane-rule"
IDENTITY_HEADER: Final = "x-cellplane-identity"
OPERATOR_HEADER: Final = "x-cellplane-operator"
"""Tells the cell, and the access log, who sent a request there by an override."""
SESSION_HEADER: Final = "x-cellplane-session"
"""Kept for the extraction that rules may need later: already a client's copy never comes through."""
OWNER_HEADER: Final = "x-cellplane-owner"
"""In what a sidecar refuses: the cell where the owner is, who it is, and its epoch."""
INTERNAL_HEADERS: Final = (
    CELL_HEADER,
    RULE_HEADER,
    IDENTITY_HEADER,
    OPERATOR_HEADER,
    SESSION_HEADER,
    OWNER_HEADER,
)
"""Removed from what a client sends before the first rule is looked at."""
HIDDEN_HEADERS: Final = (IDENTITY_HEADER, OPERATOR_HEADER, SESSION_HEADER, OWNER_HEADER)
"""Removed from what a cell answers. The others are overwritten: they tell a client who answered, and why."""
PEER_STATE: Final = "cellplane.peer"
"""The filter state that holds the address of the direct peer, for as long as its connection lasts."""

KEEPALIVE_IDLE_SECONDS: Final = 60
KEEPALIVE_INTERVAL_SECONDS: Final = 20
KEEPALIVE_PROBES: Final = 3
"""When TCP asks a silent peer whether it is there, how often then, and how many questions it leaves open. A
stream may be silent for ever, but not outlive who is at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeTls:
    """PEM files of the edge, and what comes with TLS.

    With a `client_ca` clients may show a certificate, and a bad one is refused. Plain HTTP at `redirect_port`
    is sent to HTTPS (0: nobody listens). With `http3` the edge takes HTTP/3 too, at its port over UDP.
    `public_port` is where clients reach the edge, as they are told.
    """

    certificate: str
    key: str
    client_ca: str = ""
    redirect_port: int = 0
    http3: bool = False
    public_port: int = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupTls:
    """PEM files on the Envoys' hosts: the CA of the ext_proc servers, and what edges show them."""

    ca: str
    certificate: str = ""
    key: str = ""


STEERED_PER_SECOND: Final = 2_000
"""Twice of what GitLab's largest reference architecture is made for (1,000 a second), at each Envoy."""
CELL_NAME: Final = "cell-{id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTls:
    """TLS to the cells: PEM files on the Envoys' hosts. A cell's certificate has to be of its own `name`, in
    which {id} stands for its id: whoever answers at a cell's address is that cell, or gets nothing.
    """

    ca: str
    certificate: str = ""
    key: str = ""
    name: str = CELL_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """Who tells owners, and how Envoy remembers them.

    `endpoints` are ext_proc servers. A request waits for `timeout_seconds` at most. What was told is used for
    `stale_seconds` longer than it holds while nobody answers. Each worker remembers about `remembered` names.
    """

    endpoints: tuple[Endpoint, ...]
    timeout_seconds: float = 0.025
    stale_seconds: float = 3600.0
    remembered: int = 50_000
    tls: LookupTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where traces go (OTLP over gRPC), and which share of the requests is traced, in per cent."""

    endpoints: tuple[Endpoint, ...]
    percent: float = 1.0
    service_name: str = "cellplane-edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """All that is the same for every edge of a group.

    Nothing cuts a stream that moves: clones, pushes and WebSockets take as long as they take, and only one
    that is silent for `stream_idle_seconds` ends (0: never). `upstream_idle_seconds` has to be shorter than
    what a cell's server keeps an idle connection for, or requests race with its closing; 0 keeps it for ever,
    in every idle time. `trusted_hops` is the number of proxies in front that set X-Forwarded-For. Without
    `lookups` nobody is asked for owners. Cookies and tokens steer at most `steered_per_second` requests to
    a cell (0: any number). `count_decisions`: Envoys count requests by rule and by class of traffic, and
    answers by status. `passthrough` are ports for TLS that is handed on unread.
    """

    listen_address: str = "0.0.0.0"  # noqa: S104 - an edge serves everyone
    listen_port: int = 8080
    tls: EdgeTls | None = None
    health_check_path: str = "/-/liveness"
    health_check_interval_seconds: float = 5.0
    health_check_timeout_seconds: float = 1.0
    connect_timeout_seconds: float = 1.0
    stream_idle_seconds: float = 3600.0
    client_idle_seconds: float = 900.0
    upstream_idle_seconds: float = 15.0
    request_headers_seconds: float = 30.0
    retry_after_seconds: int = 30
    trusted_hops: int = 0
    merge_slashes: bool = True
    max_connections_per_cell: int = 10_000
    max_pending_requests_per_cell: int = 5_000
    max_requests_per_cell: int = 20_000
    steered_per_second: int = STEERED_PER_SECOND
    access_log: bool = False
    count_decisions: bool = False
    server_name: str = "cellplane"
    cell_tls: CellTls | None = None
    lookups: Lookups | None = None
    passthrough: tuple[Passthrough, ...] = ()
    tracing: Tracing | None = None

    @property
    def counts_answers(self) -> bool:
        """Whether Envoy counts answers by their status, for each cell and class of traffic, and is told the
        classes by name: to count them, or to log them.
        """
        return self.count_decisions or self.access_log


def settings_problems(settings: EdgeSettings) -> tuple[Problem, ...]:
    """Say what is wrong with settings, each with its fix."""
    return tuple(_problems(settings))


def _problems(settings: EdgeSettings) -> Iterator[Problem]:
    if not is_ip(settings.listen_address):
        message = f"{settings.listen_address!r} is no IP address: use 0.0.0.0, :: or one of the Envoys' own"
        yield Problem(field="listen_address", message=message)
    if not 1 <= settings.listen_port <= 65535:
        message = f"{settings.listen_port} is no port: use 1 to 65535"
        yield Problem(field="listen_port", message=message)
    if settings.health_check_path and not settings.health_check_path.startswith("/"):
        message = f"{settings.health_check_path!r} is no path: start with /, or leave it empty for no checks"
        yield Problem(field="health_check_path", message=message)
    yield from _tls_problems(settings)
    for name in ("health_check_interval", "health_check_timeout", "connect_timeout", "request_headers"):
        if getattr(settings, f"{name}_seconds") <= 0:
            yield Problem(field=f"{name}_seconds", message="must be more than 0")
    for name in (
        "stream_idle_seconds",
        "client_idle_seconds",
        "upstream_idle_seconds",
        "trusted_hops",
        "steered_per_second",
    ):
        if getattr(settings, name) < 0:
            yield Problem(field=name, message="must be 0 or more")
    if settings.cell_tls is not None:
        yield from _cell_tls_problems(settings.cell_tls)
    if settings.lookups is not None:
        yield from _lookup_problems(settings.lookups)
    taken = (settings.listen_port, settings.tls.redirect_port if settings.tls else 0)
    yield from passthrough_problems(settings.passthrough, taken)
    for name in (
        "retry_after_seconds",
        "max_connections_per_cell",
        "max_pending_requests_per_cell",
        "max_requests_per_cell",
    ):
        if getattr(settings, name) < 1:
            yield Problem(field=name, message="must be 1 or more")


def _tls_problems(settings: EdgeSettings) -> Iterator[Problem]:
    tls = settings.tls
    if tls is None:
        return
    if not (tls.certificate and tls.key):
        yield Problem(field="tls", message="certificate and key go together: name both files")
    if not 0 <= tls.redirect_port <= 65535:
        message = f"{tls.redirect_port} is no port: use 1 to 65535, or 0 for none"
        yield Problem(field="tls.redirect_port", message=message)
    if tls.redirect_port == settings.listen_port:
        message = f"{tls.redirect_port} is where the edge takes TLS: name another port for plain HTTP"
        yield Problem(field="tls.redirect_port", message=message)
    if not 1 <= tls.public_port <= 65535:
        message = f"{tls.public_port} is no port: use 1 to 65535"
        yield Problem(field="tls.public_port", message=message)


def _cell_tls_problems(tls: CellTls) -> Iterator[Problem]:
    if not tls.ca or bool(tls.certificate) != bool(tls.key):
        yield Problem(field="cell_tls", message="name the CA of the cells; certificate and key go together")
    if "{id}" not in tls.name or host_problem(tls.name.replace("{id}", "1")):
        message = f"{tls.name!r} is no name with {{id}} in it: one cell's certificate would do for another"
        yield Problem(field="cell_tls.name", message=message)


def _lookup_problems(lookups: Lookups) -> Iterator[Problem]:
    if not lookups.endpoints:
        yield Problem(field="lookups.endpoints", message="name at least one ext_proc server, as HOST:PORT")
    if lookups.tls and (not lookups.tls.ca or bool(lookups.tls.certificate) != bool(lookups.tls.key)):
        message = "name the CA of the servers; certificate and key go together"
        yield Problem(field="lookups.tls", message=message)
    if not 0.001 <= lookups.timeout_seconds <= 1:
        message = f"{lookups.timeout_seconds} is no time to wait: use 0.001 to 1 second"
        yield Problem(field="lookups.timeout_seconds", message=message)
    if lookups.stale_seconds < 0:
        yield Problem(field="lookups.stale_seconds", message="must be 0 or more")
    if not 2 <= lookups.remembered <= 10_000_000:
        message = f"{lookups.remembered} is no number of names: use 2 to 10000000"
        yield Problem(field="lookups.remembered", message=message)
