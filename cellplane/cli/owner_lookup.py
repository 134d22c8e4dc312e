"""Who owns what a request names, asked of the Topology Service: the lookup of `cellplane explain`.

Nobody owns it: that is an answer. A service that does not answer ends the command.
"""

from __future__ import annotations

from typing import cast

import grpc

from cellplane.cli.claim_arguments import stub
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity
from envoy.classification import BUCKETS, ClassificationKey
from envoy.decision import Lookup
from envoy.questions import bucket_of
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2


def owners(service: ServiceSettings) -> Lookup:
    """Give a lookup that asks this service."""

    def owner(key: ClassificationKey) -> int | None:
        bucket = bucket_of(BUCKETS[key.type], key.value)
        if bucket is None:
            return None
        wanted = messages_pb2.Bucket(type=int(bucket.type), value=bucket.value)  # type: ignore[arg-type]
        request = service_pb2.GetRecordRequest(bucket=wanted)

        def ask(channel: grpc.Channel) -> int | None:
            try:
                answer = stub(channel).GetRecord(request, timeout=CALL_SECONDS, metadata=identity())
            except grpc.RpcError as error:
                failed = cast("grpc.Call", error)  # of a call that fails, the error is the call
                if failed.code() is grpc.StatusCode.NOT_FOUND:
                    return None
                raise
            return int(answer.record.cell_id)

        return call(service, ask)

    return owner
