"""The options of `control-plane` that are about sidecars: where they listen, and what is behind them.

Added to the command, which receives settings. Paths are paths on the sidecars' hosts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import Listen, SettingsError
from envoy.edge import EdgeTls, LookupTls
from envoy.sidecar import Outbound, SidecarSettings, sidecar_problems
from topology.model import Endpoint

T = TypeVar("T")

_OPTIONS = (
    click.option(
        "--sidecar-listen",
        default="",
        metavar="HOST:PORT",
        help="Where each sidecar takes what edges send to its cell; if not given, there are none.",
    ),
    click.option(
        "--sidecar-app",
        default="127.0.0.1:8080",
        show_default=True,
        metavar="HOST:PORT",
        help="Where the application is, seen from its sidecar.",
    ),
    click.option("--sidecar-app-http2", is_flag=True, help="The application speaks HTTP/2 without TLS."),
    click.option("--sidecar-cert", default="", help="Certificate of the sidecars; makes that port mTLS."),
    click.option("--sidecar-key", default="", help="Its key."),
    click.option("--sidecar-client-ca", default="", help="CA that the edges' certificates must come from."),
    click.option(
        "--sidecar-outbound",
        default="127.0.0.1:9095",
        show_default=True,
        metavar="HOST:PORT",
        help="Where the application finds the Topology Service at its sidecar, with --sidecar-topology.",
    ),
    click.option(
        "--sidecar-topology",
        multiple=True,
        metavar="HOST:PORT",
        help="Where that really is; repeat it, or separate several by commas.",
    ),
    click.option("--sidecar-topology-ca", default="", help="CA of those servers; makes it TLS."),
    click.option("--sidecar-topology-cert", default="", help="What sidecars show those servers."),
    click.option("--sidecar-topology-key", default="", help="Its key."),
)
_NAMES = (
    "listen", "app", "app_http2", "cert", "key", "client_ca", "outbound", "topology", "topology_ca",
    "topology_cert", "topology_key",
)  # fmt: skip


def sidecar_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options to a command, which receives them as one argument `sidecar`; None where there are
    none.
    """

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        given = {name: arguments.pop(f"sidecar_{name}") for name in _NAMES}
        try:
            arguments["sidecar"] = _settings(given)
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        return command(**arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _settings(given: dict[str, Any]) -> SidecarSettings | None:
    files = [name for name in _NAMES if name.endswith(("cert", "key", "ca")) and given[name]]
    if not given["listen"]:
        if files or given["topology"]:
            name = (files or ["topology"])[0].replace("_", "-")
            raise SettingsError(f"--sidecar-{name} needs --sidecar-listen: without it there are no sidecars.")
        return None
    own = {given["cert"], given["key"], given["client_ca"]}
    if "" in own and own != {""}:
        raise SettingsError(
            "--sidecar-cert, --sidecar-key and --sidecar-client-ca go together: without a CA for the edges "
            "anybody could pass them by; give all or none."
        )
    listen, app = _place("listen", given["listen"]), _place("app", given["app"])
    settings = SidecarSettings(
        listen_address=listen.host,
        listen_port=listen.port,
        application=Endpoint(host=app.host, port=app.port),
        http2=given["app_http2"],
        tls=EdgeTls(certificate=given["cert"], key=given["key"], client_ca=given["client_ca"])
        if given["cert"]
        else None,
        outbound=_outbound(given),
    )
    if problems := sidecar_problems(settings):
        raise SettingsError("; ".join(f"--sidecar-{problem}" for problem in problems))
    return settings


def _outbound(given: dict[str, Any]) -> Outbound | None:
    ca, cert, key = given["topology_ca"], given["topology_cert"], given["topology_key"]
    if bool(cert) != bool(key) or (cert and not ca):
        raise SettingsError(
            "--sidecar-topology-cert and --sidecar-topology-key go together, with --sidecar-topology-ca."
        )
    servers = [part for text in given["topology"] for part in text.replace(",", " ").split()]
    if not servers:
        if ca:
            raise SettingsError("--sidecar-topology-ca needs --sidecar-topology: it is that one's.")
        return None
    at = _place("outbound", given["outbound"])
    places = (_place("topology", text) for text in servers)
    return Outbound(
        listen_address=at.host,
        listen_port=at.port,
        endpoints=tuple(Endpoint(host=place.host, port=place.port) for place in places),
        tls=LookupTls(ca=ca, certificate=cert, key=key) if ca else None,
    )


def _place(option: str, text: str) -> Listen:
    try:
        return Listen.parse(text)
    except SettingsError as error:
        raise SettingsError(f"--sidecar-{option}: {error}") from error
