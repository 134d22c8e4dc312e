"""`cellplane doctor`: asks everybody that an installation is made of, says what is not well, and what to do.

It changes nothing. `diagnosis` judges what it gathers, `support_bundle` writes it down.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import click

from cellplane.certificates import ends_at
from cellplane.cli.asking import control_plane_option
from cellplane.cli.connection import etcd_options
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.diagnosis import (
    EtcdMember,
    Finding,
    Mark,
    certificates_of,
    fails,
    of_certificate,
    of_clock,
    of_fleet,
    of_member,
    of_readiness,
)
from cellplane.environment import faults
from cellplane.http_address import url_of, why
from cellplane.settings import EtcdSettings, Listen, SettingsError
from cellplane.stores import losing_data, member_status
from cellplane.support_bundle import about_us, write_bundle

_PATIENCE_SECONDS: Final = 5.0
_PAGES: Final = {
    "readyz.json": "/readyz",
    "view.json": "/v1/view",
    "fleet.json": "/v1/fleet/all",
    "pushes.json": "/v1/pushes?limit=100",
    "pending.json": "/v1/pushes/pending",
    "metrics.txt": "/metrics",
}
_COLUMNS: Final = ("", "CHECK", "FOUND", "WHAT TO DO")


@click.command("doctor")
@control_plane_option
@etcd_options
@service_options
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="HOST:PORT",
    help="Another address to reach: xDS, ext-proc, an edge.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all that was found to this .tar.gz too, without secrets, for whoever helps.",
)
@output_option
def doctor(
    control_plane: str,
    etcd: EtcdSettings,
    service: ServiceSettings,
    ports: tuple[str, ...],
    bundle: Path | None,
    output: str,
) -> None:
    """Check versions, etcd, clocks, certificates, ports and the fleet; say what to do. Ends with 1 where
    something is not well.
    """
    pages: dict[str, Any] = {}
    findings = [
        *_of_package(),
        *_of_etcd(etcd),
        *_of_files(etcd, service),
        *_of_ports(service, ports),
        *_of_control_plane(control_plane, pages),
    ]
    rows = [asdict(finding) for finding in findings]
    if bundle is not None:
        try:
            write_bundle(bundle, {"doctor.json": rows, "about.json": about_us(os.environ), **pages})
        except OSError as error:
            fail(Exit.USAGE, f"--bundle {bundle}: {error.strerror}.", "Name a file that is not there yet.")
    if output == "json":
        print_json({"well": not fails(findings), "findings": rows, "bundle": bundle and str(bundle)})
    else:
        print_table(
            _COLUMNS, [(each.mark, each.check, each.said, each.remedy) for each in findings], empty=""
        )
        if bundle is not None:
            click.echo(f"written to {bundle}; names of nodes, cells and people are in it", err=True)
    if fails(findings):
        raise click.exceptions.Exit(int(Exit.FAILED))


def _of_package() -> Iterator[Finding]:
    found = faults()
    version = about_us({})["packages"]["cellplane"]
    yield Finding(check="cellplane", mark=Mark.BAD if found else Mark.OK, said=f"version {version}")
    for fault in found:
        yield Finding(check="cellplane", mark=Mark.BAD, said=fault.problem, remedy=fault.remedy)


def _of_etcd(etcd: EtcdSettings) -> Iterator[Finding]:
    async def ask_all() -> list[EtcdMember]:
        return await asyncio.gather(*(member_status(etcd, each) for each in etcd.endpoints))

    for member in asyncio.run(ask_all()):
        yield from of_member(member, bool(losing_data({member.endpoint: member.version})))


def _of_files(etcd: EtcdSettings, service: ServiceSettings) -> Iterator[Finding]:
    for what, path in (("etcd, ours", etcd.tls.cert), ("the service, ours", service.tls.cert)):
        if path is None:
            continue
        try:
            ends = ends_at(path)
        except (OSError, ValueError):
            ends = None
        yield of_certificate(what, ends, datetime.now(UTC))


def _of_ports(service: ServiceSettings, ports: tuple[str, ...]) -> Iterator[Finding]:
    for what, text in (("Topology Service", service.address), *((f"port {each}", each) for each in ports)):
        try:
            address = Listen.parse(text)
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        try:
            with socket.create_connection((address.host, address.port), _PATIENCE_SECONDS):
                yield Finding(check=what, mark=Mark.OK, said=f"{text} takes connections")
        except OSError as error:
            remedy = "start it, or name its address; look for a firewall between"
            yield Finding(check=what, mark=Mark.BAD, said=f"{text}: {error.strerror or error}", remedy=remedy)


def _of_control_plane(control_plane: str, pages: dict[str, Any]) -> Iterator[Finding]:
    """Ask for every page, keep it in `pages`, and look at each."""
    for name, path in _PAGES.items():
        try:
            text, date = _fetched(url_of(control_plane) + path)
        except (OSError, ValueError) as error:
            said = f"{control_plane}{path} does not answer: {why(error)}"
            remedy = "start it, or name it with --control-plane; see runbooks/ControlPlaneDown.md"
            yield Finding(check="control plane", mark=Mark.BAD, said=said, remedy=remedy)
            return
        pages[name] = text if name.endswith(".txt") else json.loads(text)
        if name == "readyz.json" and date is not None:
            # A date has no fractions: the middle of its second is meant.
            yield of_clock("the control plane", date + 0.5 - time.time())
    yield from of_readiness(pages["readyz.json"])
    yield from of_fleet(pages["fleet.json"], time.time())
    for use, ends in certificates_of(pages["metrics.txt"]).items():
        moment = datetime.fromtimestamp(ends, UTC) if ends else None
        yield of_certificate(f"{use}, the control plane's", moment, datetime.now(UTC))


def _fetched(url: str) -> tuple[str, float | None]:
    """Give a page's text, whatever its status, and the time by the other side's clock."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310  the operator's URL
            text, date = response.read().decode(), response.headers["date"]
    except urllib.error.HTTPError as error:
        text, date = error.read().decode(), error.headers["date"]
    return text, parsedate_to_datetime(date).timestamp() if date else None
