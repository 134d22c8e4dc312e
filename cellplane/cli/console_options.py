"""Options that say who may act in the console, and how its address is served."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.console_access import ConsoleSettings, networks
from cellplane.settings import SettingsError, TlsFiles

T = TypeVar("T")

_FILE: Final = click.Path(path_type=Path)
_HEADER: Final = re.compile(r"[a-z0-9-]+\Z")
_OPTIONS: Final = (
    click.option(
        "--status-cert", type=_FILE, help="Certificate of the status address; with its key, it is HTTPS."
    ),
    click.option("--status-key", type=_FILE, help="Its key."),
    click.option(
        "--status-client-ca",
        type=_FILE,
        help="CA of the certificates that operators show the console; who shows none may read.",
    ),
    click.option(
        "--console-operator",
        multiple=True,
        metavar="NAME",
        help="Who may act in the console, by the name that the proxy or the certificate gives; repeat it. "
        "'*' is everybody who is vouched for. If none is given, the console is read-only.",
    ),
    click.option(
        "--console-proxy",
        multiple=True,
        metavar="NETWORK",
        help="A proxy that signs people in (OIDC), by its address or network: its user header is believed.",
    ),
    click.option(
        "--console-user-header",
        default=ConsoleSettings().user_header,
        show_default=True,
        metavar="NAME",
        help="The header in which that proxy says who it is. It must remove what clients send by that name.",
    ),
)


def console_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options; the command receives them as `status_tls` and `console`."""

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        tls = TlsFiles(
            ca=arguments.pop("status_client_ca"),
            cert=arguments.pop("status_cert"),
            key=arguments.pop("status_key"),
        )
        given = {name: arguments.pop(f"console_{name}") for name in ("operator", "proxy", "user_header")}
        try:
            tls.check_server("--status-")
            arguments["console"] = _settings(tls, **given)
        except SettingsError as error:
            fail(Exit.USAGE, str(error))
        return command(status_tls=tls, **arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _settings(
    tls: TlsFiles, operator: tuple[str, ...], proxy: tuple[str, ...], user_header: str
) -> ConsoleSettings:
    header = user_header.lower()
    if not _HEADER.match(header):
        raise SettingsError(f"--console-user-header: {user_header!r} is no header's name.")
    if operator and not (proxy or tls.ca):
        raise SettingsError(
            "--console-operator needs --console-proxy or --status-client-ca: somebody has to say who it is."
        )
    if proxy and not operator:
        raise SettingsError(
            "--console-proxy needs --console-operator: name who may act, or '*' for everybody."
        )
    return ConsoleSettings(
        operators=frozenset(operator),
        proxies=networks(proxy),
        user_header=header,
        certificates=tls.ca is not None,
    )
