"""Options that say where claims are, if not in etcd; shared by the service, the migration and the copy.

A password never stands on the command line, where everybody on the machine reads it. Nothing is connected
here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import ClaimStoreSettings, SettingsError
from topology.claims_postgresql.address import Address

T = TypeVar("T")


def claim_store_options(
    name: str = "--claim-store", *, required: bool = False
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Add the options to a command, which receives them as one argument `claim_store`."""

    def add(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def with_settings(**arguments: Any) -> T:
            context = click.get_current_context()
            source = context.get_parameter_source("claim_store")
            password_file = arguments.pop("claim_store_password_file")
            connections = arguments.pop("claim_store_connections")
            if context.invoked_subcommand:  # it has these options too, and other values for them
                return command(**arguments | {"claim_store": None})
            try:
                arguments["claim_store"] = claim_store_settings(
                    name,
                    arguments["claim_store"],
                    password_file,
                    connections,
                    on_command_line=source is ParameterSource.COMMANDLINE,
                    required=required,
                )
            except SettingsError as error:
                fail(Exit.USAGE, str(error))
            return command(**arguments)

        for option in (
            click.option(
                "--claim-store-connections",
                type=click.IntRange(min=2, max=1000),
                default=10,
                show_default=True,
                envvar="CELLPLANE_CLAIM_STORE_CONNECTIONS",
                help="Connections that a process keeps to it at most, beside one that listens.",
            ),
            click.option(
                "--claim-store-password-file",
                type=click.Path(path_type=Path),
                envvar="CELLPLANE_CLAIM_STORE_PASSWORD_FILE",
                help="File with the password. PGPASSFILE and PGPASSWORD do too.",
            ),
            click.option(
                name,
                "claim_store",
                required=required,
                metavar="URL",
                envvar="CELLPLANE_CLAIM_STORE",
                help="Where the claims are: postgresql://USER@HOST:PORT/DATABASE"
                + ("." if required else "; if not given, in etcd."),
            ),
        ):
            with_settings = option(with_settings)
        return with_settings

    return add


def claim_store_settings(
    name: str,
    url: str | None,
    password_file: Path | None,
    connections: int,
    *,
    on_command_line: bool,
    required: bool = False,
) -> ClaimStoreSettings | None:
    """Read the options. Raise SettingsError with the fix; no message repeats the URL, which may hold a
    secret.
    """
    if not url:
        if required:
            raise SettingsError(f"{name} is empty; write postgresql://USER@HOST:PORT/DATABASE.")
        if password_file is not None:
            raise SettingsError(f"--claim-store-password-file needs {name}.")
        return None
    try:
        address = Address(url, _read(password_file))
    except ValueError as error:
        raise SettingsError(f"{name} {error}.") from error
    for parameter, path in address.files.items():
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise SettingsError(f"{name}: {parameter} {path}: {error.strerror}.") from error
    if address.has_password and on_command_line:
        raise SettingsError(
            f"{name} carries a password, which everybody on this machine can read from the command line; "
            "give the URL in CELLPLANE_CLAIM_STORE, or the password in --claim-store-password-file."
        )
    if address.has_password and password_file is not None:
        raise SettingsError(
            "--claim-store-password-file: the URL carries a password already; leave one of them out."
        )
    return ClaimStoreSettings(address=address, connections=connections)


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"--claim-store-password-file {path}: {error.strerror}.") from error
    if not password:
        raise SettingsError(f"--claim-store-password-file {path} is empty; write the password into it.")
    return password
