"""`cellplane topology backup` and `restore`: all records of an installation to a file, and back to an empty
etcd.

The one asks the Topology Service; the other writes to etcd itself, where there is nothing to serve yet.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final, Never

import click
import grpc

from cellplane.cli.changes import yes_option
from cellplane.cli.connection import etcd_options, with_store
from cellplane.cli.outcome import Exit, confirm, fail, output_option, print_json
from cellplane.cli.service import ServiceSettings, call, identity, service_options
from cellplane.settings import EtcdSettings
from pb.cellplane.topology.v1 import backup_pb2, backup_pb2_grpc
from topology.backup import Backup, Damaged, Kept, Occupied, lines_of, missing, read, restore, spaces
from topology.keys import Keyspace

_SECONDS: Final = 600.0  # a million records take a while
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command("backup")
@click.argument("file", type=_FILE)
@service_options
@output_option
def backup_command(file: Path, service: ServiceSettings, output: str) -> None:
    """Write all cells, rules, claims, leases, placements and moves of one moment to a file.

    Claims that are kept in PostgreSQL are backed up there.
    """
    backup = call(service, _take)
    try:
        _write(file, backup)
    except OSError as error:
        fail(Exit.FAILED, f"{file}: {error.strerror}.")
    _tell(f"{file}: as of revision {backup.revision}", backup.records, backup.revision, output)


@click.command("restore")
@click.argument("file", type=_FILE)
@etcd_options
@click.option("--dry-run", is_flag=True, help="Check the file and etcd, and write nothing.")
@yes_option
@output_option
def restore_command(file: Path, etcd: EtcdSettings, dry_run: bool, yes: bool, output: str) -> None:
    """Write a backup to an etcd that is empty below the prefix; refused otherwise.

    Stop control planes and Topology Services first. A restore that was cut off goes on where it stood when it
    is run again.
    """
    try:
        with file.open("rb") as lines:
            backup = read(lines)
    except OSError as error:
        fail(Exit.REFUSED, f"{file}: {error.strerror}.")
    if isinstance(backup, Damaged):
        fail(Exit.REFUSED, f"{file} {backup.reason}.", "Nothing was written.")
    if odd := {record.space for record in backup.records} - set(spaces(Keyspace(etcd.prefix))):
        fail(Exit.REFUSED, f"{file} holds {', '.join(sorted(odd))}, which this version does not know.")
    rest = with_store(etcd, lambda store, keyspace: missing(store, spaces(keyspace), backup))
    if isinstance(rest, Occupied):
        _occupied(etcd, rest)
    about = f"{file}, as of revision {backup.revision}, to {', '.join(etcd.endpoints)} below {etcd.prefix}"
    if not rest:
        _tell(f"{file} is there already below {etcd.prefix}, nothing to restore", rest, None, output)
        return
    if dry_run:
        _tell(f"would restore {about}", rest, None, output)
        return
    confirm(f"Restore {about}?", yes=yes)
    done = with_store(etcd, lambda store, keyspace: restore(store, spaces(keyspace), rest))
    if isinstance(done, Occupied):
        _occupied(etcd, done)
    _tell(f"restored {about}", rest, done, output)


def _take(channel: grpc.Channel) -> Backup:
    stub = backup_pb2_grpc.BackupServiceStub(channel)
    records: list[Kept] = []
    revision, total = 0, 0
    for part in stub.TakeBackup(backup_pb2.TakeBackupRequest(), timeout=_SECONDS, metadata=identity()):
        revision, total = part.revision, part.total
        records += [Kept(each.space, each.key, each.value) for each in part.records]
    if len(records) != total:
        fail(Exit.FAILED, f"{len(records)} of {total} records came.", "Nothing was written. Try again.")
    return Backup(revision, tuple(records))


def _write(file: Path, backup: Backup) -> None:
    """Write whole or not at all, readable by the owner alone."""
    handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(lines_of(backup))
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _occupied(etcd: EtcdSettings, found: Occupied) -> Never:
    more = f" and {found.count - len(found.keys)} more" if found.count > len(found.keys) else ""
    fail(
        Exit.REFUSED,
        f"etcd is not empty below {etcd.prefix}: it holds {', '.join(found.keys)}{more}.",
        "Restore to an empty etcd or another --etcd-prefix. Nothing that is there is ever written over.",
    )


def _tell(words: str, records: tuple[Kept, ...], revision: int | None, output: str) -> None:
    kinds = Counter(f"{each.space}/{each.key.partition('/')[0]}" for each in records)
    if output == "json":
        print_json({"revision": revision or None, "records": len(records), "kinds": dict(kinds)})
        return
    click.echo(f"{words}: {len(records)} {'record' if len(records) == 1 else 'records'}.")
    for kind, count in sorted(kinds.items()):
        click.echo(f"  {kind}: {count}")
