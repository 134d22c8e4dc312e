"""`cellplane bootstrap`: prints the file that an Envoy starts with; everything else comes over xDS."""

from __future__ import annotations

import json
import re

import click
import yaml

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import Listen, SettingsError
from envoy.bootstrap import ROLES, BootstrapError, XdsTls, bootstrap

_OPTIONS = {"cell_id": "--cell", "node_id": "--node-id", "xds_addresses": "--xds"}
_ARGUMENTS = re.compile(f"^({'|'.join(_OPTIONS)})")


@click.command("bootstrap")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What this Envoy is.")
@click.option("--cell", "cell_id", type=int, default=0, help="The cell that a sidecar stands in.")
@click.option("--node-id", required=True, help="Its name in the fleet; unique.")
@click.option("--node-cluster", default="", help="The fleet that it belongs to; the role if not given.")
@click.option("--region", default="", help="Where it runs.")
@click.option("--zone", default="", help="Where in the region.")
@click.option(
    "--xds",
    "addresses",
    multiple=True,
    default=("127.0.0.1:18000",),
    show_default=True,
    metavar="HOST:PORT",
    help="A control plane; repeat it for several, or separate them by commas.",
)
@click.option(
    "--xds-ca",
    default="",
    help="CA that verifies the control plane; a path on the Envoy's host. Makes xDS TLS.",
)
@click.option("--xds-cert", default="", help="The Envoy's certificate for xDS; a path on its host.")
@click.option("--xds-key", default="", help="Its key; a path on its host.")
@click.option(
    "--xds-server-name",
    default="",
    help="The name in the control plane's certificate, where it is not that of its address.",
)
@click.option(
    "--admin",
    default="127.0.0.1:9901",
    show_default=True,
    metavar="HOST:PORT",
    help="Envoy's admin pages: no password, keep them private.",
)
@click.option("--canary", is_flag=True, help="It gets each change before the others.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How it is written.",
)
def bootstrap_command(
    role: str,
    cell_id: int,
    node_id: str,
    node_cluster: str,
    region: str,
    zone: str,
    addresses: tuple[str, ...],
    xds_ca: str,
    xds_cert: str,
    xds_key: str,
    xds_server_name: str,
    admin: str,
    canary: bool,
    form: str,
) -> None:
    """Print the bootstrap of an Envoy.

    \b
      cellplane bootstrap --role edge --node-id edge-1 --xds 10.0.0.2:18000 --xds 10.0.0.3:18000 > envoy.yaml
      envoy -c envoy.yaml
      cellplane bootstrap --role sidecar --cell 4 --node-id cell-4-pod-1 > sidecar.yaml
    """  # noqa: D301  click wants the character itself
    try:
        where = Listen.parse(admin, "--admin")
        tls = (
            XdsTls(ca=xds_ca, certificate=xds_cert, key=xds_key, server_name=xds_server_name)
            if xds_ca
            else None
        )
        if (xds_cert or xds_key or xds_server_name) and not xds_ca:
            fail(Exit.USAGE, "--xds-cert, --xds-key and --xds-server-name need --xds-ca: TLS first.")
        document = bootstrap(
            role=role,
            cell_id=cell_id,
            node_id=node_id,
            cluster=node_cluster,
            region=region,
            zone=zone,
            xds_addresses=[part for given in addresses for part in given.replace(",", " ").split()],
            xds_tls=tls,
            admin_host=where.host,
            admin_port=where.port,
            canary=canary,
        )
    except SettingsError as error:
        fail(Exit.USAGE, str(error))
    except BootstrapError as error:
        fail(Exit.USAGE, _ARGUMENTS.sub(lambda named: _OPTIONS[named[0]], str(error)))
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False), nl=False)
