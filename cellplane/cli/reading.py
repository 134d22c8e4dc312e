"""Cells and documents read from the Topology Service, as the View that reports and rules are made from.

What the store has at this moment is asked for; where the service does not reach its store, what it knows is
taken, and marked stale. Every command that shows the topology reads through here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, TypeVar

import grpc

from cellplane.cli.outcome import Exit, fail
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, reason_of
from pb.cellplane.topology.v1 import cells_pb2, cells_pb2_grpc, documents_pb2, documents_pb2_grpc
from topology.keys import Keyspace
from topology.model import Document, Stamp
from topology.service.cells_wire import stored_cell
from topology.service.failure import Failure
from topology.view import Quarantined, QuarantineKind, View

T = TypeVar("T")

_KEYS = Keyspace()  # of a View of ours: where the service keeps its records is its own affair


def read_cells(service: ServiceSettings, revision: int = 0) -> View:
    """Give all cells, and the records that are kept out: of now, or as they were at a revision."""

    def ask(channel: grpc.Channel, fresh: bool) -> cells_pb2.ListCellsResponse:
        stub: Any = cells_pb2_grpc.CellServiceStub(channel)
        request = cells_pb2.ListCellsRequest(revision=revision, fresh=fresh)
        answer: cells_pb2.ListCellsResponse = stub.ListCells(request, **_options())
        return answer

    found, stale = _newest(service, ask, may_be_fresh=not revision)
    try:
        cells = {each.id: stored_cell(each) for each in found.cells}
        kept_out = tuple(_kept_out(found.kept_out))
    except (Failure, ValueError) as error:
        fail(Exit.FAILED, f"the service is newer than this command: {error}.", "Update cellplane here.")
    return View(
        keyspace=_KEYS,
        revision=found.revision,
        cells=MappingProxyType(cells),
        quarantined=MappingProxyType({each.key: each for each in kept_out}),
        mod_revisions=MappingProxyType({_KEYS.cell(each.id): each.revision for each in found.cells}),
        stale=stale or found.stale,
    )


def read_cell(service: ServiceSettings, cell_id: int) -> cells_pb2.Cell:
    """Give one cell, of now. Ends the command where there is none."""

    def ask(channel: grpc.Channel, fresh: bool) -> cells_pb2.GetCellResponse:
        stub: Any = cells_pb2_grpc.CellServiceStub(channel)
        answer: cells_pb2.GetCellResponse = stub.GetCell(
            cells_pb2.GetCellRequest(id=cell_id, fresh=fresh), **_options()
        )
        return answer

    return _newest(service, ask)[0].cell


def read_documents(service: ServiceSettings, kind: str, name: str = "", revision: int = 0) -> View:
    """Give the documents of a kind, or one of them, in a View that holds nothing else."""

    def ask(channel: grpc.Channel, fresh: bool) -> documents_pb2.ListDocumentsResponse:
        stub: Any = documents_pb2_grpc.DocumentServiceStub(channel)
        request = documents_pb2.ListDocumentsRequest(kind=kind, name=name, revision=revision, fresh=fresh)
        answer: documents_pb2.ListDocumentsResponse = stub.ListDocuments(request, **_options())
        return answer

    found, stale = _newest(service, ask, may_be_fresh=not revision)
    return View(
        keyspace=_KEYS,
        revision=found.revision,
        documents=MappingProxyType({(each.kind, each.name): _document(each) for each in found.documents}),
        quarantined=MappingProxyType({each.key: each for each in _kept_out(found.kept_out)}),
        stale=stale or found.stale,
    )


def _newest(
    service: ServiceSettings, ask: Callable[[grpc.Channel, bool], T], *, may_be_fresh: bool = True
) -> tuple[T, bool]:
    """Ask for what the store has; where the service does not reach it, for what the service knows."""

    def work(channel: grpc.Channel) -> tuple[T, bool]:
        if not may_be_fresh:
            return ask(channel, False), False
        try:
            return ask(channel, True), False
        except grpc.RpcError as error:
            if reason_of(error) != "STORE_UNAVAILABLE":
                raise
        return ask(channel, False), True

    return call(service, work)


def _options() -> dict[str, Any]:
    return {"timeout": CALL_SECONDS, "metadata": identity()}


def _document(message: documents_pb2.Document) -> Document:
    stamp = Stamp(
        updated_by=message.updated_by, updated_at=message.updated_at.ToJsonString(), reason=message.reason
    )
    return Document(kind=message.kind, name=message.name, body=json.loads(message.body), stamp=stamp)


def _kept_out(records: Iterable[cells_pb2.KeptOut]) -> Iterable[Quarantined]:
    for each in records:
        yield Quarantined(
            key=each.key,
            kind=QuarantineKind(each.kind),
            reason=each.reason,
            create_revision=0,
            mod_revision=each.revision,
            raw=each.raw,
        )
