"""`cellplane topology`: options become settings; the composition root does the rest. With it: backup,
restore.
"""

from __future__ import annotations

from dataclasses import replace

import click
import uvloop

from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.claim_tables import copy_claims, migrate
from cellplane.cli.connection import etcd_options
from cellplane.cli.log_options import log_options
from cellplane.cli.outcome import Exit, fail
from cellplane.cli.serving import serving_options
from cellplane.cli.topology_backup import backup_command, restore_command
from cellplane.settings import ClaimStoreSettings, EtcdSettings, Listen, LogSettings, SettingsError
from cellplane.topology_service import ServingSettings, TopologyServiceSettings, run_topology_service


@click.group(
    "topology",
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "CELLPLANE_TOPOLOGY_SERVER"},
)
@etcd_options
@claim_store_options()
@serving_options(
    "", {"default": "127.0.0.1:9095", "show_default": True, "help": "Where clients connect (gRPC)."}
)
@click.option(
    "--status-listen", default="127.0.0.1:9096", show_default=True, help="/livez, /readyz, /metrics."
)
@log_options
@click.pass_context
def topology(
    context: click.Context,
    etcd: EtcdSettings,
    claim_store: ClaimStoreSettings | None,
    serving: ServingSettings,
    status_listen: str,
    log: LogSettings,
) -> None:
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
    if context.invoked_subcommand:
        return
    try:
        settings = TopologyServiceSettings(
            etcd=etcd,
            serving=replace(serving, claims=claim_store),
            status_listen=Listen.parse(status_listen, "--status-listen"),
            log=log,
        )
        uvloop.run(run_topology_service(settings))
    except SettingsError as error:
        fail(Exit.USAGE, str(error))


topology.add_command(backup_command)
topology.add_command(restore_command)
topology.add_command(migrate)
topology.add_command(copy_claims)
