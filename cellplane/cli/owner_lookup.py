"""Who owns what a request names, asked of the Topology Service: the lookup of `cellplane explain`.

Nobody owns it: that is an answer. A service that does not answer ends the command.
"""

from __future__ import annotations

from typing import cast

import grpc

from cellplane.cli.claim_arguments import stub
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity
from envoy.classification import BUCKETS, ClassificationKey
from envoy.owners import Overridden, nobody
from envoy.questions import bucket_of
from pb.cellplane.topology.v1 import transfer_pb2, transfer_pb2_grpc
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from topology.claims.owners import FIRST_EPOCH
from topology.service.claim_wire import metadata_of


class Owners:
    """A lookup that asks this service, and notes at which epoch each owner is that it found. What operators
    say of an owner goes before.
    """

    def __init__(self, service: ServiceSettings, overridden: Overridden = nobody) -> None:
        self._overridden = overridden
        self.epochs: dict[ClassificationKey, int] = {}
        self._service = service

    def __call__(self, key: ClassificationKey) -> int | None:
        """Give the cell that owns what is named, or None."""
        bucket = bucket_of(BUCKETS[key.type], key.value)
        if bucket is None:
            return None
        wanted = messages_pb2.Bucket(type=int(bucket.type), value=bucket.value)  # type: ignore[arg-type]
        request = service_pb2.GetRecordRequest(bucket=wanted)

        def ask(channel: grpc.Channel) -> tuple[int, int] | None:
            try:
                answer = stub(channel).GetRecord(request, timeout=CALL_SECONDS, metadata=identity())
            except grpc.RpcError as error:
                failed = cast("grpc.Call", error)  # of a call that fails, the error is the call
                if failed.code() is grpc.StatusCode.NOT_FOUND:
                    return None
                raise
            said = self._overridden(metadata_of(answer.record.metadata, "record").subject)
            cell_id = said[0] if said else int(answer.record.cell_id)
            subject = answer.record.metadata.subject
            if not subject.type:
                return cell_id, FIRST_EPOCH  # claimed for nobody, so never moved
            named = f"{messages_pb2.Subject.Type.Name(subject.type)}/{subject.id}"
            owner = transfer_pb2_grpc.TransferServiceStub(channel).GetOwner(
                transfer_pb2.GetOwnerRequest(owner=named), timeout=CALL_SECONDS, metadata=identity()
            )
            return cell_id, int(owner.epoch)

        found = call(self._service, ask)
        if found is None:
            return None
        cell, self.epochs[key] = found
        return cell
