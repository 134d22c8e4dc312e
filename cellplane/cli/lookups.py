"""Options of the control plane that say where Envoys ask for owners, and for how long they wait and remember.

Paths are paths on the Envoys' hosts: nothing here opens them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import Listen, SettingsError
from envoy.edge import Lookups, LookupTls
from topology.model import Endpoint

T = TypeVar("T")

_OPTIONS = (
    click.option(
        "--ext-proc",
        multiple=True,
        metavar="HOST:PORT",
        help="Where Envoys ask for owners (`cellplane ext-proc`); repeat it, or separate several by commas. "
        "If not given nobody is asked, and rules that classify by claims are passed over.",
    ),
    click.option(
        "--ext-proc-ca", default="", help="CA of those servers, a path on the Envoys' hosts; makes it TLS."
    ),
    click.option(
        "--ext-proc-cert", default="", help="What Envoys show those servers, a path on the Envoys' hosts."
    ),
    click.option("--ext-proc-key", default="", help="Its key, a path on the Envoys' hosts."),
    click.option(
        "--ext-proc-timeout",
        type=click.FloatRange(min=0.001, max=1),
        default=0.025,
        show_default=True,
        help="Seconds that a request waits for an owner at most.",
    ),
    click.option(
        "--ext-proc-stale",
        type=click.FloatRange(min=0),
        default=3600.0,
        show_default=True,
        help="Seconds that Envoys use a remembered owner for longer while nobody answers.",
    ),
)


def lookup_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options to a command, which receives them as one argument `lookups`; None where nobody is
    asked.
    """

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        names = ("ext_proc", "ext_proc_ca", "ext_proc_cert", "ext_proc_key", "ext_proc_timeout")
        given = {name: arguments.pop(name) for name in (*names, "ext_proc_stale")}
        try:
            arguments["lookups"] = _lookups(given)
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        return command(**arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def endpoints_of(texts: Iterable[str]) -> tuple[Endpoint, ...]:
    """Read servers, each HOST:PORT, several in a text by commas or spaces. Raise SettingsError."""
    places = (Listen.parse(part) for text in texts for part in text.replace(",", " ").split())
    return tuple(Endpoint(host=place.host, port=place.port) for place in places)


def _lookups(given: dict[str, Any]) -> Lookups | None:
    ca, cert, key = given["ext_proc_ca"], given["ext_proc_cert"], given["ext_proc_key"]
    if bool(cert) != bool(key):
        raise SettingsError("--ext-proc-cert and --ext-proc-key go together; give both or neither.")
    if cert and not ca:
        raise SettingsError("--ext-proc-cert needs --ext-proc-ca: TLS begins with whom to trust.")
    try:
        servers = endpoints_of(given["ext_proc"])
    except SettingsError as error:
        raise SettingsError(f"--ext-proc: {error}") from error
    if not servers:
        if ca:
            raise SettingsError("--ext-proc-ca needs --ext-proc: without it nobody is asked.")
        return None
    return Lookups(
        endpoints=servers,
        timeout_seconds=given["ext_proc_timeout"],
        stale_seconds=given["ext_proc_stale"],
        tls=LookupTls(ca=ca, certificate=cert, key=key) if ca else None,
    )
