"""`cellplane certificates`: which files the edges show as their certificate, told to all of them at once.

What is written are paths on the Envoys' hosts, as a document in the topology. No key is ever read here.
"""

from __future__ import annotations

from typing import Any

import click

from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import output_option, print_fields, print_json, refuse
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from envoy.certificates import KIND, NAME, parse_certificates
from envoy.edge import EdgeTls


@click.group()
def certificates() -> None:
    """Certificates: which files edges show, by path on the Envoys' hosts. Keys stay there."""


@certificates.command("show")
@service_options
@output_option
def show(service: ServiceSettings, output: str) -> None:
    """Show which files are named here, and by whom."""
    document = read_documents(service, KIND, NAME).documents.get((KIND, NAME))
    if output == "json":
        print_json(dict(document.body) if document else None)
    elif document is None:
        click.echo("None are named here: edges show those of `control-plane --edge-cert`.")
    else:
        by = document.stamp
        click.echo(f"# Set by {by.updated_by} at {by.updated_at}: {by.reason or 'no reason given'}")
        print_fields({str(name): str(value) for name, value in document.body.items() if name != "schema"})


@certificates.command("set")
@click.option("--cert", required=True, metavar="PATH", help="The certificate with its chain, PEM.")
@click.option("--key", required=True, metavar="PATH", help="Its key, PEM.")
@click.option("--client-ca", default="", metavar="PATH", help="CA of clients' certificates, where edges ask.")
@service_options
@change_options
@output_option
def set_(
    cert: str, key: str, client_ca: str, service: ServiceSettings, reason: str, dry_run: bool, output: str
) -> None:
    """Have every edge show these files from now on.

    They have to be on every Envoy's host already. An Envoy that lacks one goes on with what it has, and says
    so: see `cellplane fleet`. A new certificate at the same path needs none of this: move it into its place.
    """
    body: dict[str, Any] = {"schema": 1, "certificate": cert, "key": key}
    if client_ca:
        body["client_ca"] = client_ca
    found = parse_certificates(body)
    if not isinstance(found, EdgeTls):
        refuse(found, "the certificate")
    commit(service, document_change(KIND, NAME, body, reason), dry_run=dry_run, output=output)


@certificates.command("reset")
@service_options
@change_options
@yes_option
@output_option
def reset(service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str) -> None:
    """Go back to the files of `control-plane --edge-cert`."""
    commit(
        service,
        document_change(KIND, NAME, None, reason),
        dry_run=dry_run,
        yes=yes,
        ask="Have every edge show the files of its control plane's options again?",
        output=output,
    )
