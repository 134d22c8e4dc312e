"""DocumentService: JSON documents that the topology keeps for others, read by all, written under their rules.

The server registers it. Which kinds may be written, and what must hold for them, it is told by the
composition root: it knows neither rules nor pushes. Third road: a service call plans a `Txn`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import grpc

from pb.cellplane.topology.v1 import cells_pb2, documents_pb2, documents_pb2_grpc
from topology.keys import DOCUMENT_KINDS, DocumentKey
from topology.model import Document, Stamp
from topology.planning import Outcome
from topology.service.cells_wire import timestamp
from topology.service.changer import Changer, stamp_of_caller
from topology.service.failure import Failure, invalid
from topology.service.gate import Context
from topology.service.reader import Reader, kept_out
from topology.steps import Step
from topology.view import Quarantined, View

# Plans a document written whole, or, without a body, its end.
Writer: TypeAlias = Callable[[View, str, Mapping[str, Any] | None, Stamp], Outcome]
Writers: TypeAlias = Mapping[str, Writer]


class DocumentsService(documents_pb2_grpc.DocumentServiceServicer):
    """Documents of all kinds; `writers` plans those that may be written, by kind."""

    def __init__(self, reader: Reader, changer: Changer, writers: Writers) -> None:
        self._reader = reader
        self._changer = changer
        self._writers = writers

    async def ListDocuments(
        self, request: documents_pb2.ListDocumentsRequest, context: Context
    ) -> documents_pb2.ListDocumentsResponse:
        _check_kind(request.kind)
        read = await self._reader.read(request.revision, fresh=request.fresh)
        view = read.view
        documents = [
            document_message(document, view.document_revision(kind, name))
            for (kind, name), document in view.documents.items()
            if kind == request.kind and request.name in ("", name)
        ]
        odd = [record for record in view.quarantined.values() if _is_about(view, record, request)]
        return documents_pb2.ListDocumentsResponse(
            documents=documents, revision=view.revision, kept_out=kept_out(odd), stale=read.stale
        )

    async def PutDocument(
        self, request: documents_pb2.PutDocumentRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._change(request, "writing", body_of(request.body))

    async def DeleteDocument(
        self, request: documents_pb2.DeleteDocumentRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._change(request, "ending", None)

    async def _change(
        self,
        request: documents_pb2.PutDocumentRequest | documents_pb2.DeleteDocumentRequest,
        doing: str,
        body: Mapping[str, Any] | None,
    ) -> cells_pb2.ChangeResponse:
        _check_kind(request.kind)
        writer = self._writers.get(request.kind)
        if writer is None:
            words = f"kind: {request.kind} is written by the machinery alone; these may be: "
            raise Failure(
                grpc.StatusCode.FAILED_PRECONDITION,
                words + (", ".join(sorted(self._writers)) or "none"),
                "KIND_READ_ONLY",
            )
        stamp = stamp_of_caller(request.reason)
        what = DOCUMENT_KINDS[request.kind].format(name=request.name)
        step = Step(f"{doing} {what}", lambda view: writer(view, request.name, body, stamp))
        return await self._changer.change([step], dry_run=request.dry_run, shown=request.shown)


def document_message(document: Document, revision: int) -> documents_pb2.Document:
    """Spell a document with the revision at which it was written last."""
    return documents_pb2.Document(
        kind=document.kind,
        name=document.name,
        body=json.dumps(dict(document.body), ensure_ascii=False),
        updated_by=document.stamp.updated_by,
        updated_at=timestamp(document.stamp.updated_at),
        reason=document.stamp.reason,
        revision=revision,
    )


def body_of(text: str) -> Mapping[str, Any]:
    """Read a document's body. Raises Failure where it is no JSON object."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"body: is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("body: must be a JSON object")
    return body


def _check_kind(kind: str) -> None:
    if kind not in DOCUMENT_KINDS:
        raise invalid(f"kind: {kind[:64]!r} is none: use one of {', '.join(DOCUMENT_KINDS)}")


def _is_about(view: View, record: Quarantined, request: documents_pb2.ListDocumentsRequest) -> bool:
    key = view.keyspace.parse(record.key)
    return isinstance(key, DocumentKey) and key.kind == request.kind and request.name in ("", key.name)
