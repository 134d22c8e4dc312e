"""A backup over gRPC: every record of the store at one moment, in as many messages as it takes.

The server registers it; who calls writes the file. Third road, read back: what every `Txn` has left.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Final

import grpc

from pb.cellplane.topology.v1 import backup_pb2 as wire
from pb.cellplane.topology.v1 import backup_pb2_grpc
from topology.backup import Backup, spaces, take
from topology.errors import ListAgain
from topology.keys import Keyspace
from topology.service.failure import Failure
from topology.service.gate import Context, current_caller
from topology.store import Store

log = logging.getLogger("topology.audit")

AT_ONCE: Final = 1000  # records in a message
_BYTES: Final = 1024 * 1024
_ATTEMPTS: Final = 3


class BackupService(backup_pb2_grpc.BackupServiceServicer):
    """Reads one store."""

    def __init__(self, store: Store, keyspace: Keyspace) -> None:
        self._store = store
        self._keyspace = keyspace

    async def TakeBackup(
        self, request: wire.TakeBackupRequest, context: Context
    ) -> AsyncIterator[wire.TakeBackupResponse]:
        backup = await self._take()
        log.info(
            "backup_taken by=%s revision=%d records=%d",
            current_caller().name,
            backup.revision,
            len(backup.records),
        )
        message = wire.TakeBackupResponse(revision=backup.revision, total=len(backup.records))
        size = 0
        for record in backup.records:
            if size > _BYTES or len(message.records) == AT_ONCE:
                yield message
                message = wire.TakeBackupResponse(revision=backup.revision, total=len(backup.records))
                size = 0
            message.records.add(space=record.space, key=record.key, value=record.value)
            size += len(record.value)
        yield message

    async def _take(self) -> Backup:
        for _ in range(_ATTEMPTS):
            try:
                return await take(self._store, spaces(self._keyspace))
            except ListAgain:  # compacted between two pages
                continue
        raise Failure(
            grpc.StatusCode.UNAVAILABLE, "the store compacts faster than it is read: try again", "COMPACTED"
        )
