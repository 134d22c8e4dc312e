"""`cellplane ext-proc`: options become settings; the composition root does the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import uvloop

from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.connection import etcd_options
from cellplane.cli.log_options import log_options
from cellplane.cli.outcome import Exit, fail
from cellplane.ext_proc import ExtProcSettings, run_ext_proc
from cellplane.settings import ClaimStoreSettings, EtcdSettings, Listen, SettingsError, TlsFiles
from topology.service.classify import Lifetimes

_FILE = click.Path(path_type=Path)


@click.command("ext-proc", context_settings={"auto_envvar_prefix": "CELLPLANE_EXT_PROC_SERVER"})
@etcd_options
@claim_store_options()
@click.option("--listen", default="127.0.0.1:18010", show_default=True, help="Where Envoys ask (gRPC).")
@click.option(
    "--found-ttl",
    type=click.IntRange(min=0),
    default=Lifetimes().found,
    show_default=True,
    help="Seconds that Envoys may remember an owner.",
)
@click.option(
    "--not-found-ttl",
    type=click.IntRange(min=0),
    default=Lifetimes().not_found,
    show_default=True,
    help="Seconds that Envoys may remember that nobody owns a name.",
)
@click.option("--cert", type=_FILE, help="Certificate of the server; with it and its key, gRPC is TLS.")
@click.option("--key", type=_FILE, help="Its key.")
@click.option("--client-ca", type=_FILE, help="CA that Envoys' certificates must come from.")
@click.option(
    "--status-listen", default="127.0.0.1:18011", show_default=True, help="/livez, /readyz, /metrics."
)
@log_options
def ext_proc(etcd: EtcdSettings, claim_store: ClaimStoreSettings | None, **options: Any) -> None:
    """Tell Envoys who owns what requests name, over ext_proc, from memory.

    \b
    Edges ask it for what they do not remember, and remember the answer. Run several, and
    name them all to the control plane; one that has not read everything yet is not healthy
    and refuses to answer.

    \b
      cellplane ext-proc --listen 0.0.0.0:18010
      cellplane control-plane --ext-proc 10.0.0.5:18010,10.0.0.6:18010
    """  # noqa: D301  click wants the character itself
    try:
        uvloop.run(run_ext_proc(_settings(etcd, claim_store, options)))
    except SettingsError as error:
        fail(Exit.USAGE, str(error))


def _settings(
    etcd: EtcdSettings, claim_store: ClaimStoreSettings | None, options: dict[str, Any]
) -> ExtProcSettings:
    tls = TlsFiles(ca=options["client_ca"], cert=options["cert"], key=options["key"])
    tls.check_server()
    return ExtProcSettings(
        etcd=etcd,
        claims=claim_store,
        listen=Listen.parse(options["listen"], "--listen"),
        lifetimes=Lifetimes(found=options["found_ttl"], not_found=options["not_found_ttl"]),
        tls=tls,
        status_listen=Listen.parse(options["status_listen"], "--status-listen"),
        log=options["log"],
    )
