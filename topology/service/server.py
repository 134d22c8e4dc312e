"""The Topology Service on grpc.aio: all services behind one gate, with health and reflection beside it.

The composition root gives it sources, stores and credentials, and stops it. It chooses no adapter and reads
no file. `Request -> ClassificationKey -> Decision`, and the third road: where calls come in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from pb.cellplane.topology.v1 import (
    backup_pb2,
    backup_pb2_grpc,
    cells_pb2,
    cells_pb2_grpc,
    claims_watch_pb2,
    claims_watch_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    moves_pb2,
    moves_pb2_grpc,
    placement_pb2,
    placement_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from pb.gitlab.cells.topology_service import (
    cell_service_pb2,
    cell_service_pb2_grpc,
    classify_service_pb2,
    classify_service_pb2_grpc,
    health_service_pb2,
    health_service_pb2_grpc,
    sequence_service_pb2,
    sequence_service_pb2_grpc,
)
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2 as claim_service_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2_grpc as claim_service_pb2_grpc
from topology.claims.store import ClaimStore
from topology.keys import Keyspace
from topology.placements import Placements
from topology.service.backup_service import BackupService
from topology.service.cells_service import CellsService
from topology.service.changer import Changer
from topology.service.claim_service import ClaimService
from topology.service.claim_watch_service import ClaimWatchService
from topology.service.counts import Counts
from topology.service.documents_service import DocumentsService, Writers
from topology.service.gate import Gate, rules_of
from topology.service.health_service import Health
from topology.service.identity import NO_MORE_NAMES, Names
from topology.service.methods import Methods
from topology.service.move_planner import NO_PORTS, MovePorts
from topology.service.moves_service import MoveService
from topology.service.placement_follower import PlacementFollower
from topology.service.placement_service import PlacementService
from topology.service.places import Places
from topology.service.reader import Reader
from topology.service.reflection_service import Reflection
from topology.service.routing_services import CLASSIFY, CellService, ClassifyService, HealthService
from topology.service.server_options import DEFAULT_OPTIONS, ServerOptions
from topology.service.sources import Sources
from topology.service.transfer_service import TransferService
from topology.store import Store

FILES: Final = (
    backup_pb2.DESCRIPTOR,
    cells_pb2.DESCRIPTOR,
    cell_service_pb2.DESCRIPTOR,
    claim_service_pb2.DESCRIPTOR,
    claims_watch_pb2.DESCRIPTOR,
    classify_service_pb2.DESCRIPTOR,
    documents_pb2.DESCRIPTOR,
    health_service_pb2.DESCRIPTOR,
    moves_pb2.DESCRIPTOR,
    placement_pb2.DESCRIPTOR,
    sequence_service_pb2.DESCRIPTOR,
    transfer_pb2.DESCRIPTOR,
)
SERVICES: Final = tuple(service.full_name for file in FILES for service in file.services_by_name.values())


class ListenFailed(Exception):
    """The address can't be had."""


class TopologyServer:
    """Serves what the sources know. Ready from the moment they have been read, and from then on."""

    def __init__(
        self,
        sources: Sources,
        claims: ClaimStore,
        store: Store,
        keyspace: Keyspace,
        *,
        writers: Writers = MappingProxyType({}),
        names: Names = NO_MORE_NAMES,
        options: ServerOptions = DEFAULT_OPTIONS,
        move_ports: MovePorts = NO_PORTS,
    ) -> None:
        self.counts = Counts()
        self.places = Places(options.limit)
        self.classify = ClassifyService(sources)
        self.cells = CellsService(sources, claims, store, keyspace)
        self.documents = DocumentsService(Reader(sources, store, keyspace), Changer(store, keyspace), writers)
        self._claims = ClaimService(sources, claims, store)
        self._transfers = TransferService(sources, claims, store, keyspace)
        self.claim_watches = ClaimWatchService(claims, sources.follower)
        placements = Placements(store, keyspace)
        self._placements = PlacementService(sources, placements)
        self._placement_follower = PlacementFollower(sources, placements)
        self.moves = MoveService(sources, claims, store, keyspace, move_ports)
        self._cell = CellService(sources)
        self._backups = BackupService(store, keyspace)
        self._by_name: Mapping[str, Any] = {
            "cellplane.topology.v1.CellService": self.cells,
            "cellplane.topology.v1.DocumentService": self.documents,
            "cellplane.topology.v1.MoveService": self.moves,
            "gitlab.cells.topology_service.CellService": self._cell,
            "gitlab.cells.topology_service.claims.v1.ClaimService": self._claims,
        }
        self._sources = sources
        self._names = names
        self._options = options
        self._health = Health(SERVICES)
        self._reflection = Reflection((*SERVICES, "grpc.health.v1.Health"))
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, credentials: grpc.ServerCredentials | None, *, verified: bool) -> int:
        """Listen, and give the port (`host:0` picks one). Raises ListenFailed.

        `verified`: the credentials demand client certificates, so that access rules can be applied.
        """
        gate = Gate(
            rules_of(FILES),
            verified=verified,
            names=self._names,
            counts=self.counts,
            around=self._options.around,
            places=self.places,
            unread=(CLASSIFY,),
        )
        server = grpc.aio.server(
            options=self._options.channel(),
            maximum_concurrent_rpcs=self._options.max_concurrent_calls,
        )
        methods = Methods()
        self._register(methods.taking(), methods.taking(gate.guarded))
        server.add_generic_rpc_handlers((methods,))
        self.refresh_health()
        try:
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ListenFailed(f"can't listen on {address}: the port is taken, or is not ours") from error
        await server.start()
        self._server = server
        return int(port)

    async def answer(self, method: str, request: Message) -> Message:
        """Answer a question that came another way than over gRPC. Raises what the service raises.

        Whoever calls has let the asker in; only methods that change nothing are asked so.
        """
        _, service, name = method.split("/")
        answered: Message = await getattr(self._by_name[service], name)(request, None)
        return answered

    async def sweep(self) -> None:
        """Tidy up behind services that died, and behind transfers, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._transfers.sweep())
            tasks.create_task(self._placement_follower.run())

    def refresh_health(self) -> None:
        """Say whether questions can be answered by now. Called when sources may have become ready."""
        self._health.set(serving=self._sources.ready)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Take no more calls, send watchers elsewhere, let the others finish. Harmless if never started."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.end()
        stopping = asyncio.ensure_future(server.stop(grace_seconds))
        self._reflection.end()
        self.cells.watches.end()
        self.claim_watches.watches.end()
        self.moves.watches.end()
        await stopping

    def _register(self, unguarded: Any, guarded: Any) -> None:
        classify_service_pb2_grpc.add_ClassifyServiceServicer_to_server(self.classify, guarded)
        cell_service_pb2_grpc.add_CellServiceServicer_to_server(self._cell, guarded)
        sequence_service_pb2_grpc.add_SequenceServiceServicer_to_server(
            sequence_service_pb2_grpc.SequenceServiceServicer(), guarded
        )
        claim_service_pb2_grpc.add_ClaimServiceServicer_to_server(self._claims, guarded)
        claims_watch_pb2_grpc.add_ClaimWatchServiceServicer_to_server(self.claim_watches, guarded)
        placement_pb2_grpc.add_PlacementServiceServicer_to_server(self._placements, guarded)
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(self._transfers, guarded)
        moves_pb2_grpc.add_MoveServiceServicer_to_server(self.moves, guarded)
        cells_pb2_grpc.add_CellServiceServicer_to_server(self.cells, guarded)
        backup_pb2_grpc.add_BackupServiceServicer_to_server(self._backups, guarded)
        documents_pb2_grpc.add_DocumentServiceServicer_to_server(self.documents, guarded)
        # Nothing is told here but whether the service is up, and what its API is.
        health_service_pb2_grpc.add_HealthServiceServicer_to_server(HealthService(self._sources), unguarded)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, unguarded)
        add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server  # it has no types
        add_reflection(self._reflection, unguarded)
