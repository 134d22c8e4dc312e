"""`cellplane topology migrate` and `copy-claims`: tables of claims in PostgreSQL, and what comes in.

They talk to the stores themselves, for no service works where they are needed.
"""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

from cellplane.claim_stores import EtcdClaims, open_database
from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.connection import etcd_options
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.settings import ClaimStoreSettings, EtcdSettings, SettingsError
from cellplane.stores import open_store
from topology.errors import StoreRefused, StoreUnavailable
from topology.keys import Keyspace

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Database
    from topology.claims_postgresql.copying import Copied
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


@click.command("copy-claims")
@etcd_options
@claim_store_options("--to", required=True)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and change nothing.")
@output_option
def copy_claims(etcd: EtcdSettings, claim_store: ClaimStoreSettings, dry_run: bool, output: str) -> None:
    """Copy all claims from etcd into PostgreSQL, and compare the two.

    Run it while services work on etcd, as often as you like: each run copies what
    has changed. Then stop them, run it once more, and start them with
    --claim-store. Until a run has found both sides equal no service works on the
    database. Etcd is only read, but for finishing what a dead service left there.

    \b
      cellplane topology migrate --claim-store postgresql://cellplane@db/claims
      cellplane topology copy-claims --to postgresql://cellplane@db/claims
    """  # noqa: D301  click wants the character itself

    async def copy(database: Database) -> Copied:
        from topology.claims_postgresql.copying import copy_claims  # noqa: PLC0415  the driver is an extra

        store = open_store(etcd)
        try:
            source = EtcdClaims(store, Keyspace(etcd.prefix)).store
            name = f"etcd, {etcd.prefix}-claims"
            return await copy_claims(source, name, database, dry_run=dry_run, progress=_progress)
        finally:
            await store.close()

    copied = with_database(claim_store, copy)
    rows = [
        (kind, str(source.count), str(target.count), "yes" if source == target else "no")
        for kind, (source, target) in copied.parts.items()
    ]
    if output == "json":
        kinds = {kind: [asdict(side) for side in sides] for kind, sides in copied.parts.items()}
        print_json({"put": copied.put, "dropped": copied.dropped, "equal": copied.equal, "kinds": kinds})
    else:
        print_table(("KIND", "ETCD", "POSTGRESQL", "EQUAL"), rows, empty="There are no claims.")
    if dry_run:
        records = "record" if copied.put == 1 else "records"
        click.echo(f"{copied.put} {records} would be copied, {copied.dropped} dropped.", err=True)
    elif not copied.equal:
        fail(
            Exit.CONFLICT,
            "etcd changed while it was copied.",
            "Stop what writes claims there, and run it again: it copies what is left.",
        )


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {of}", nl=done == of, err=True)
