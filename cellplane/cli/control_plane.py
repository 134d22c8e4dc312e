"""`cellplane control-plane`: options, environment and config file become settings; the composition root does
the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import uvloop

from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.connection import etcd_options
from cellplane.cli.console_options import console_options
from cellplane.cli.edge_options import edge_options
from cellplane.cli.log_options import log_options
from cellplane.cli.outcome import Exit, fail
from cellplane.cli.serving import serving_options
from cellplane.cli.sidecar_options import sidecar_options
from cellplane.control_plane import ControlPlaneSettings, run_control_plane
from cellplane.settings import (
    ClaimStoreSettings,
    EtcdSettings,
    Listen,
    SettingsError,
    TlsFiles,
    read_config_file,
)
from cellplane.topology_service import ServingSettings
from envoy.edge import EdgeSettings
from envoy.sidecar import SidecarSettings

_FILE = click.Path(path_type=Path)


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Make the file's values the defaults: the command line and the environment stand above them."""
    if path is None:
        return
    # By the option's own spelling, which is what --help shows: `etcd`, not the name of the variable behind
    # it.
    names = {
        p.opts[0].lstrip("-").replace("-", "_"): p.name for p in context.command.params if p.expose_value
    }
    try:
        settings = read_config_file(path, names, "cellplane control-plane")
    except SettingsError as error:
        fail(Exit.USAGE, str(error))
    context.default_map = {
        **(context.default_map or {}),
        **{str(names[key]): value for key, value in settings.items()},
    }


@click.command("control-plane", context_settings={"auto_envvar_prefix": "CELLPLANE"})
@click.option(
    "--config",
    type=_FILE,
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    envvar="CELLPLANE_CONFIG",
    help="A TOML file with any of these options, named as here without the dashes in front.",
)
@etcd_options
@click.option(
    "--xds-listen", default="127.0.0.1:18000", show_default=True, help="Where Envoys connect (ADS)."
)
@click.option(
    "--xds-cert", type=_FILE, help="Certificate of the xDS server; with it and its key, xDS is TLS."
)
@click.option("--xds-key", type=_FILE, help="Its key.")
@click.option(
    "--xds-client-ca", type=_FILE, help="CA that Envoys' certificates must come from; with it, xDS is mTLS."
)
@click.option(
    "--status-reader",
    multiple=True,
    help="Where xDS is mTLS, who may ask over gRPC what Envoys were sent (CSDS): a certificate's common name,"
    " DNS name or SPIFFE id. Give it once for each; if none is given, nobody may.",
)
@click.option(
    "--status-listen",
    default="127.0.0.1:18001",
    show_default=True,
    help="The console, /livez, /readyz, /metrics, /v1/….",
)
@console_options
@edge_options
@sidecar_options
@serving_options(
    "topology-",
    {
        "metavar": "HOST:PORT",
        "help": "Serve the Topology Service here too (gRPC), for the command line and claims; if not given, "
        "nowhere.",
    },
)
@claim_store_options()
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the last good View is kept, for a start without etcd; if not given, nowhere.",
)
@click.option(
    "--envoy-binary",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An Envoy on this host: what it refuses (--mode validate) is held before any other is sent it. TLS "
    "files are the edges' own, and left out; if not given, nobody is asked.",
)
@click.option(
    "--etcd-patience",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Seconds to wait for etcd at start before the saved View is served, marked stale.",
)
@click.option(
    "--replica", default="", help="This replica's name, shown to Envoys; the host name if not given."
)
@log_options
def control_plane(
    etcd: EtcdSettings,
    serving: ServingSettings | None,
    claim_store: ClaimStoreSettings | None,
    edge: EdgeSettings,
    sidecar: SidecarSettings | None,
    **options: Any,
) -> None:
    """Follow the topology in etcd and push configuration to every Envoy that connects.

    \b
    A first start, with etcd on this machine:
      cellplane control-plane --state-dir /var/lib/cellplane --topology-listen 127.0.0.1:9095
      cellplane cells add --id 1 --endpoint 10.0.1.1:8080 --state ACTIVE
      cellplane bootstrap --role edge --node-id edge-1 > envoy.yaml
      envoy -c envoy.yaml

    \b
    Each option may also come
      from the environment:  CELLPLANE_XDS_LISTEN=0.0.0.0:18000
      from a file:           --config cellplane.toml  with  xds-listen = "0.0.0.0:18000"
    The command line wins over the environment, and the environment over the file.

    Without etcd it serves the View saved in --state-dir, marked stale in /readyz; with none saved it refuses
    Envoys, which go on with what they have. It never serves an empty configuration.
    """  # noqa: D301  click wants the character itself
    try:
        if serving is not None:
            serving = replace(serving, claims=claim_store)
        settings = replace(_settings(etcd, serving, edge, options), sidecar=sidecar)
        uvloop.run(run_control_plane(settings))
    except SettingsError as error:
        fail(Exit.USAGE, str(error))


def _settings(
    etcd: EtcdSettings, serving: ServingSettings | None, edge: EdgeSettings, options: dict[str, Any]
) -> ControlPlaneSettings:
    xds_tls = TlsFiles(ca=options["xds_client_ca"], cert=options["xds_cert"], key=options["xds_key"])
    xds_tls.check("xds")
    if xds_tls.ca and not xds_tls.cert:
        raise SettingsError("--xds-client-ca needs --xds-cert and --xds-key: mTLS is TLS first.")
    readers = frozenset(options["status_reader"])
    if readers and not xds_tls.ca:
        raise SettingsError("--status-reader needs --xds-client-ca: only a certificate says who is asking.")
    return ControlPlaneSettings(
        etcd=etcd,
        xds_listen=Listen.parse(options["xds_listen"], "--xds-listen"),
        xds_tls=xds_tls,
        status_readers=readers,
        status_listen=Listen.parse(options["status_listen"], "--status-listen"),
        status_tls=options["status_tls"],
        console=options["console"],
        edge=edge,
        sidecar=None,
        topology=serving,
        state_dir=options["state_dir"],
        envoy_binary=options["envoy_binary"],
        etcd_patience_seconds=options["etcd_patience"],
        replica=options["replica"],
        log=options["log"],
    )
