"""Options of the control plane that say what its edges are told: where they listen, their TLS, their limits.

Paths are paths on the Envoys' hosts: nothing here opens them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from cellplane.cli.lookups import endpoints_of, lookup_options
from cellplane.cli.outcome import Exit, fail
from cellplane.settings import Listen, SettingsError
from envoy.edge import (
    CELL_NAME,
    STEERED_PER_SECOND,
    CellTls,
    EdgeSettings,
    EdgeTls,
    Lookups,
    Tracing,
    settings_problems,
)
from envoy.passthrough import Passthrough, parse_passthrough

T = TypeVar("T")

_PORT: Final = click.IntRange(1, 65535)
_TABLE: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "edge-listen",
        {"default": "0.0.0.0:8080", "show_default": True, "help": "Where each edge Envoy takes traffic."},
    ),
    (
        "edge-cert",
        {
            "default": "",
            "help": "Certificate of the edge, a path on the Envoys' hosts; makes the edge TLS. Envoys take up"
            " one that is moved into its place; `cellplane certificates set` names another.",
        },
    ),
    ("edge-key", {"default": "", "help": "Its key, a path on the Envoys' hosts."}),
    (
        "edge-client-ca",
        {
            "default": "",
            "help": "CA for client certificates that the override rule may trust; on the Envoys' hosts.",
        },
    ),
    (
        "edge-redirect-port",
        {"type": _PORT, "help": "Where plain HTTP is sent to HTTPS (308); if not given, nowhere."},
    ),
    (
        "edge-http3",
        {"is_flag": True, "help": "Take HTTP/3 too, at the edge's port over UDP, and tell clients so."},
    ),
    (
        "edge-public-port",
        {
            "type": _PORT,
            "default": 443,
            "show_default": True,
            "help": "Where clients reach the edge over TLS, as redirects and the offer of HTTP/3 tell them.",
        },
    ),
    (
        "edge-steered-per-second",
        {
            "type": click.IntRange(min=0),
            "default": STEERED_PER_SECOND,
            "show_default": True,
            "help": "How many requests a second cookies and tokens may steer to a cell, at each Envoy; more"
            " are answered 429. 0: any number.",
        },
    ),
    (
        "edge-trusted-hops",
        {
            "type": click.IntRange(min=0),
            "default": 0,
            "show_default": True,
            "help": "How many proxies stand in front of the edges and say in X-Forwarded-* and the like who"
            " the client is and how it came. 0: clients come themselves, and what they say of it is removed.",
        },
    ),
    (
        "edge-access-log",
        {"is_flag": True, "help": "Have Envoys write a line of JSON for each request to their output."},
    ),
    (
        "edge-count-decisions",
        {
            "is_flag": True,
            "help": "Have Envoys count requests by rule and outcome (envoy_cellplane_decisions), by class of"
            " traffic, and each cell's answers by status; costs a request a tenth of Envoy's CPU.",
        },
    ),
    (
        "edge-otlp",
        {
            "multiple": True,
            "metavar": "HOST:PORT",
            "help": "Collector that Envoys send traces to (OTLP over gRPC); repeat it, or separate several by"
            " commas. If not given, there are none.",
        },
    ),
    (
        "edge-trace-percent",
        {
            "type": click.FloatRange(0, 100),
            "default": 1.0,
            "show_default": True,
            "help": "Which share of the requests is traced.",
        },
    ),
    ("cell-ca", {"default": "", "help": "CA of the cells' certificates; makes connections to cells TLS."}),
    ("cell-cert", {"default": "", "help": "What edges show cells, a path on the Envoys' hosts."}),
    ("cell-key", {"default": "", "help": "Its key."}),
    (
        "cell-name",
        {
            "default": CELL_NAME,
            "show_default": True,
            "help": "The name that a cell's certificate has to have; {id} stands for its id.",
        },
    ),
    (
        "edge-passthrough",
        {
            "multiple": True,
            "metavar": "PORT=PROTOCOLS[:PORT]",
            "help": "Hand TLS that comes to this port on unread, to the cell whose address for one of these"
            " protocols has the name that is asked for, at the second port of its endpoints (or their own):"
            " 5443=registry,kas:5000; 443=*.pages is for names below such an address. If not given, nothing"
            " is.",
        },
    ),
    (
        "health-check-path",
        {"default": "/-/liveness", "show_default": True, "help": "What Envoys ask each endpoint for."},
    ),
)


def edge_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options to a command, which receives them as one argument `edge`."""

    @lookup_options
    @functools.wraps(command)
    def with_settings(*, lookups: Lookups | None, **arguments: Any) -> T:
        given = {name: arguments.pop(name) for name in (each.replace("-", "_") for each, _ in _TABLE)}
        try:
            arguments["edge"] = _settings(lookups, given)
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        return command(**arguments)

    for name, about in reversed(_TABLE):
        with_settings = click.option(f"--{name}", **about)(with_settings)
    return with_settings


def _settings(lookups: Lookups | None, given: dict[str, Any]) -> EdgeSettings:
    listen = Listen.parse(given["edge_listen"], "--edge-listen")
    settings = EdgeSettings(
        listen_address=listen.host,
        listen_port=listen.port,
        health_check_path=given["health_check_path"],
        tls=_tls(given),
        trusted_hops=given["edge_trusted_hops"],
        steered_per_second=given["edge_steered_per_second"],
        access_log=given["edge_access_log"],
        count_decisions=given["edge_count_decisions"],
        cell_tls=_cell_tls(given),
        lookups=lookups,
        tracing=_tracing(given["edge_otlp"], given["edge_trace_percent"]),
        passthrough=tuple(_passthrough(text) for text in given["edge_passthrough"]),
    )
    if problems := settings_problems(settings):
        raise SettingsError("; ".join(f"the edge's {problem}" for problem in problems))
    return settings


def _cell_tls(given: dict[str, Any]) -> CellTls | None:
    ca, cert, key, name = (given[each] for each in ("cell_ca", "cell_cert", "cell_key", "cell_name"))
    if not ca:
        if cert or key or name != CELL_NAME:
            raise SettingsError("--cell-cert, --cell-key and --cell-name need --cell-ca: whom to trust.")
        return None
    return CellTls(ca=ca, certificate=cert, key=key, name=name)


def _tls(given: dict[str, Any]) -> EdgeTls | None:
    cert, key = given["edge_cert"], given["edge_key"]
    if bool(cert) != bool(key):
        raise SettingsError("--edge-cert and --edge-key go together; give both or neither.")
    if not cert:
        for name in ("edge_client_ca", "edge_redirect_port", "edge_http3"):
            if given[name]:
                option = f"--{name.replace('_', '-')}"
                raise SettingsError(f"{option} needs --edge-cert and --edge-key.")
        return None
    return EdgeTls(
        certificate=cert,
        key=key,
        client_ca=given["edge_client_ca"],
        redirect_port=given["edge_redirect_port"] or 0,
        http3=given["edge_http3"],
        public_port=given["edge_public_port"],
    )


def _tracing(collectors: tuple[str, ...], percent: float) -> Tracing | None:
    try:
        endpoints = endpoints_of(collectors)
    except SettingsError as error:
        raise SettingsError(f"--edge-otlp: {error}") from error
    return Tracing(endpoints=endpoints, percent=percent) if endpoints else None


def _passthrough(text: str) -> Passthrough:
    match parse_passthrough(text):
        case Passthrough() as found:
            return found
        case problem:
            raise SettingsError(f"--edge-passthrough: {problem.message}")
