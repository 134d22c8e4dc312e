"""Options that reach etcd, for servers, backup and restore, and the store that they open.

The only place where the command line chooses the etcd adapter. Failures to reach etcd become one error with
the endpoints named.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.settings import EtcdSettings, SettingsError, TlsFiles
from cellplane.stores import open_store
from topology.errors import StoreRefused, StoreUnavailable
from topology.etcd import EtcdStore
from topology.keys import Keyspace

T = TypeVar("T")

_OPTIONS = (
    click.option(
        "--etcd",
        "etcd_endpoints",
        multiple=True,
        envvar="CELLPLANE_ETCD",
        default=("127.0.0.1:2379",),
        show_default=True,
        metavar="HOST:PORT",
        help="An etcd endpoint; repeat it, or separate several by commas or spaces.",
    ),
    click.option(
        "--etcd-ca",
        type=click.Path(path_type=Path),
        envvar="CELLPLANE_ETCD_CA",
        help="CA that verifies etcd.",
    ),
    click.option(
        "--etcd-cert", type=click.Path(path_type=Path), envvar="CELLPLANE_ETCD_CERT", help="Our certificate."
    ),
    click.option("--etcd-key", type=click.Path(path_type=Path), envvar="CELLPLANE_ETCD_KEY", help="Its key."),
    click.option(
        "--etcd-user", default="", envvar="CELLPLANE_ETCD_USER", help="User, where etcd asks for one."
    ),
    click.option(
        "--etcd-password",
        default="",
        envvar="CELLPLANE_ETCD_PASSWORD",
        help="Its password; prefer the variable.",
    ),
    click.option(
        "--etcd-prefix",
        default=Keyspace().prefix,
        show_default=True,
        envvar="CELLPLANE_ETCD_PREFIX",
        help="Where Cellplane's keys live.",
    ),
)


def etcd_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the etcd options to a command, which receives them as one argument `etcd`."""

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        arguments["etcd"] = _settings(
            arguments.pop("etcd_endpoints"),
            TlsFiles(
                ca=arguments.pop("etcd_ca"), cert=arguments.pop("etcd_cert"), key=arguments.pop("etcd_key")
            ),
            arguments.pop("etcd_user"),
            arguments.pop("etcd_password"),
            arguments.pop("etcd_prefix"),
        )
        return command(**arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def with_store(etcd: EtcdSettings, work: Callable[[EtcdStore, Keyspace], Awaitable[T]]) -> T:
    """Run one piece of work against etcd and close the store; no etcd ends the command with UNAVAILABLE."""

    async def run() -> T:
        store = open_store(etcd)
        try:
            return await work(store, Keyspace(etcd.prefix))
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreRefused as error:
        fail(Exit.FAILED, f"etcd refused: {error}.", "Check --etcd-user, its password and its permissions.")
    except StoreUnavailable as error:
        fail(
            Exit.UNAVAILABLE,
            f"etcd does not answer at {', '.join(etcd.endpoints)}: {error}.",
            "Name the right endpoints with --etcd or CELLPLANE_ETCD.",
        )


def _settings(
    endpoints: tuple[str, ...], tls: TlsFiles, user: str, password: str, prefix: str
) -> EtcdSettings:
    split = tuple(part for given in endpoints for part in given.replace(",", " ").split())
    try:
        tls.check("etcd")
    except SettingsError as error:
        fail(Exit.USAGE, str(error))
    if not split:
        fail(Exit.USAGE, "--etcd is empty; write HOST:PORT.")
    for endpoint in split:
        if not endpoint.rpartition(":")[2].isdigit():
            fail(Exit.USAGE, f"--etcd: {endpoint!r} is no endpoint; write HOST:PORT.")
    if password and not user:
        fail(Exit.USAGE, "--etcd-password needs --etcd-user.")
    try:
        Keyspace(prefix)
    except ValueError as error:
        fail(Exit.USAGE, f"--etcd-prefix: {error}.")
    return EtcdSettings(endpoints=split, tls=tls, user=user, password=password, prefix=prefix)
