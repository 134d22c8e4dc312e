"""`cellplane topology migrate`: the tables of claims in PostgreSQL, brought up to date.

It talks to the database alone; services go on working meanwhile.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from cellplane.claim_stores import open_database
from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.outcome import Exit, fail
from cellplane.settings import ClaimStoreSettings, SettingsError
from topology.errors import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Database
    from topology.claims_postgresql.schema import Migration

T = TypeVar("T")


def with_database(settings: ClaimStoreSettings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run one piece of work against a database; what can go wrong ends the command."""

    async def run() -> T:
        database = open_database(settings)
        try:
            return await work(database)
        except StoreUnavailable as error:
            fail(Exit.UNAVAILABLE, f"{database.address}: {error}.")
        except StoreRefused as error:
            fail(Exit.REFUSED, f"{database.address}: {error}.")
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except SettingsError as error:
        fail(Exit.USAGE, str(error))


@click.command("migrate")
@claim_store_options(required=True)
@click.option("--dry-run", is_flag=True, help="Print the SQL that would run, and change nothing.")
def migrate(claim_store: ClaimStoreSettings, dry_run: bool) -> None:
    """Bring the tables of claims in PostgreSQL up to date.

    Steps only ever go forward, and each leaves room for services of the release
    before: migrate first, then replace the services. Interrupt it and run it
    again as you like; it waits at most two seconds at a time for a lock.

    \b
      cellplane topology migrate --claim-store postgresql://cellplane@db/claims --dry-run
    """  # noqa: D301  click wants the character itself
    steps = with_database(claim_store, _pending if dry_run else _migrate)
    if dry_run:
        for step in steps:
            click.echo(f"-- {step.number}: {step.name}\n{step.statement}\n")
    if not steps:
        click.echo("The tables are up to date.")


async def _pending(database: Database) -> tuple[Migration, ...]:
    from topology.claims_postgresql import migration  # noqa: PLC0415  the driver is an extra

    return await migration.pending(database)


async def _migrate(database: Database) -> tuple[Migration, ...]:
    from topology.claims_postgresql import migration  # noqa: PLC0415  the driver is an extra

    return await migration.migrate(database, applied=_say)


def _say(step: Migration) -> None:
    click.echo(textwrap.shorten(f"Applied {step.number}: {step.name}.", 110))
