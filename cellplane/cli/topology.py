"""`cellplane topology`: options become settings; the composition root does the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import uvloop

from cellplane.cli.connection import etcd_options
from cellplane.cli.outcome import Exit, fail
from cellplane.settings import EtcdSettings, Listen, SettingsError, TlsFiles
from cellplane.topology_service import TopologyServiceSettings, run_topology_service
from topology.service.classify import Lifetimes
from topology.service.identity import Names

_FILE = click.Path(path_type=Path)


@click.command("topology", context_settings={"auto_envvar_prefix": "CELLPLANE_TOPOLOGY_SERVER"})
@etcd_options
@click.option("--listen", default="127.0.0.1:9095", show_default=True, help="Where clients connect (gRPC).")
@click.option(
    "--rest-listen",
    metavar="HOST:PORT",
    help="Where routers ask over HTTP (POST /v1/classify); if not given, nowhere.",
)
@click.option(
    "--found-ttl",
    type=click.IntRange(min=0),
    default=Lifetimes().found,
    show_default=True,
    help="Seconds that an HTTP answer with a cell may be remembered.",
)
@click.option(
    "--not-found-ttl",
    type=click.IntRange(min=0),
    default=Lifetimes().not_found,
    show_default=True,
    help="Seconds that an HTTP answer without one may be remembered.",
)
@click.option("--cert", type=_FILE, help="Certificate of the service; with it and its key, gRPC is TLS.")
@click.option("--key", type=_FILE, help="Its key.")
@click.option(
    "--client-ca",
    type=_FILE,
    help="CA that clients' certificates must come from; with it, access rules are applied.",
)
@click.option(
    "--admin",
    "admins",
    multiple=True,
    metavar="NAME",
    help="A common name that is an admin, besides ADMIN and ADMIN-….",
)
@click.option(
    "--router",
    "routers",
    multiple=True,
    metavar="NAME",
    help="A common name that is a router, besides ROUTER and ROUTER-….",
)
@click.option(
    "--status-listen", default="127.0.0.1:9096", show_default=True, help="/livez, /readyz, /metrics."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def topology(etcd: EtcdSettings, **options: Any) -> None:
    """Serve the topology: which cells there are, who owns what, where a request goes.

    \b
    Clients of GitLab's Topology Service work with it as they are: ClassifyService,
    CellService, ClaimService. What it adds is in cellplane.topology.v1.

    \b
    Who may do what stands with every method. It is read from the common name of the
    client's certificate: CELL-4, ROUTER-…, ADMIN-…; without --client-ca everybody may
    do anything, so listen where only you can connect.

    \b
      cellplane topology --listen 0.0.0.0:9095 --cert ts.pem --key ts.key --client-ca ca.pem
      cellplane claims create --cell 4 ROUTES acme
      cellplane claims classify ROUTES=acme
    """  # noqa: D301  click wants the character itself
    try:
        uvloop.run(run_topology_service(_settings(etcd, options)))
    except SettingsError as error:
        fail(Exit.USAGE, str(error))


def _settings(etcd: EtcdSettings, options: dict[str, Any]) -> TopologyServiceSettings:
    tls = TlsFiles(ca=options["client_ca"], cert=options["cert"], key=options["key"])
    tls.check_server()
    return TopologyServiceSettings(
        etcd=etcd,
        listen=Listen.parse(options["listen"]),
        rest_listen=Listen.parse(options["rest_listen"]) if options["rest_listen"] else None,
        lifetimes=Lifetimes(found=options["found_ttl"], not_found=options["not_found_ttl"]),
        tls=tls,
        status_listen=Listen.parse(options["status_listen"]),
        names=Names(routers=frozenset(options["routers"]), admins=frozenset(options["admins"])),
        log_level=options["log_level"],
    )
