"""The Topology Service, composed: etcd → View and claims in memory → gRPC, with the status pages beside it.

Joins `topology.service` to real sockets, clocks and files, in a process of its own or in the control plane's.
It stops in order: no new calls, watchers sent elsewhere, the others finished.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import grpc
from prometheus_client import CollectorRegistry

from cellplane.claim_stores import open_claims
from cellplane.document_writers import WRITERS
from cellplane.listening import check_free
from cellplane.move_hooks import Hook
from cellplane.moves import move_ports, move_runner
from cellplane.override_writer import OverrideWriter
from cellplane.service import for_ever, until_signalled
from cellplane.settings import ClaimStoreSettings, EtcdSettings, Listen, LogSettings, SettingsError, TlsFiles
from cellplane.stores import open_store
from cellplane.topology_metrics import TopologyCollector
from cellplane.topology_rest import RestPages
from cellplane.topology_status import TopologyStatusServer
from cellplane.tracing import tracing_wanted
from envoy.decision import Lookup
from envoy.owners import overridden_at, remembered_owners
from topology.claims.follower import ClaimFollower
from topology.keys import Keyspace
from topology.moves.model import Step
from topology.overrides import KIND, overrides_of
from topology.service.classify import Lifetimes
from topology.service.identity import Names
from topology.service.places import NO_LIMIT, CallLimit
from topology.service.server import ListenFailed, TopologyServer
from topology.service.server_options import ServerOptions
from topology.service.sources import Sources
from topology.store import GroupingStore, LeasingStore
from topology.view import View
from topology.watcher import Watcher
from xds.collector import calm_collector
from xds.errors import CertificateError
from xds.tls import ServerTls, credentials

log = logging.getLogger("cellplane.topology_service")

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Where the service listens, whom it believes, where its claims are.

    `option` is how its listen option begins.
    """

    listen: Listen
    rest_listen: Listen | None
    lifetimes: Lifetimes
    tls: TlsFiles
    names: Names
    limit: CallLimit = NO_LIMIT
    claims: ClaimStoreSettings | None = None
    hooks: Mapping[Step, Hook] = field(default_factory=dict)
    option: str = "--"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyServiceSettings:
    """Everything that a Topology Service in a process of its own is told."""

    etcd: EtcdSettings
    serving: ServingSettings
    status_listen: Listen
    log: LogSettings


class ServiceStore(LeasingStore, GroupingStore, Protocol):
    """What a service is on: its leader holds a lease, its claims are written together."""


class TopologyService:
    """The service on a store that somebody opened and a watcher that somebody runs, who calls `seen`."""

    def __init__(
        self, settings: ServingSettings, store: ServiceStore, keyspace: Keyspace, watcher: Watcher
    ) -> None:
        self._settings = settings
        self._claims = claims = open_claims(settings.claims, store, keyspace)
        self._follower = ClaimFollower(claims.store)
        self.sources = Sources(
            lambda: watcher.view,
            self._follower,
            lambda: watcher.state.connected,
            watcher.reached,
            watcher.listen,
        )
        self._tracing = tracing_wanted("cellplane-topology")
        ports = move_ports(store, keyspace, settings.hooks)
        self._server = TopologyServer(
            self.sources,
            claims.store,
            store,
            keyspace,
            writers={**WRITERS, KIND: OverrideWriter(self._follower)},
            names=settings.names,
            options=ServerOptions(limit=settings.limit, around=self._tracing),
            move_ports=ports,
        )
        self._moves = move_runner(store, keyspace, self.sources, ports, claims.on)
        self._pages = RestPages(self._server, settings.names, settings.lifetimes, self._tracing)
        self.collector = TopologyCollector(self._server, self._follower, watcher.state, self._moves)
        self._read = asyncio.Event()

    def lookup(self) -> Lookup | None:
        """Give who owns what, from memory; None until the claims are read."""
        view = self.sources.newest_view()
        if view is None or not self._follower.loaded:
            return None
        overridden = overridden_at(overrides_of(view.documents), datetime.now(UTC))
        return remembered_owners(self._follower.index, overridden)

    def seen(self, _: View) -> None:
        """Take note that there is a View."""
        self._read.set()

    async def start(self) -> None:
        """Listen. Raise SettingsError where an address cannot be had."""
        settings = self._settings
        await self._claims.check()
        check_free(settings.listen, f"{settings.option}listen")
        try:
            await self._server.start(
                str(settings.listen), _credentials(settings.tls), verified=settings.tls.ca is not None
            )
        except (ListenFailed, CertificateError) as error:
            raise SettingsError(f"{settings.option}listen {settings.listen}: {error}.") from error
        if settings.tls.ca is None:
            log.log(
                logging.INFO if _is_loopback(settings.listen.host) else logging.WARNING,
                "access_rules_off: without a CA for clients nobody is verified: everybody may do anything",
            )
        if settings.rest_listen is not None:
            await self._pages.start(settings.rest_listen, settings.tls)
        rest = settings.rest_listen or "off"
        log.info("serving topology=%s rest=%s claims=%s", settings.listen, rest, self._claims)

    def run(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Follow the claims, and say when everything has been read."""
        return [
            tasks.create_task(for_ever(self._follower.run())),
            *self._claims.run(tasks),
            tasks.create_task(for_ever(self._server.sweep())),
            tasks.create_task(for_ever(self._carry_moves())),
            tasks.create_task(_announce(self._server, self._follower, self._read)),
        ]

    async def _carry_moves(self) -> None:
        """Campaign for the moves, once all that they are decided by has been read."""
        await self._read.wait()
        await self._follower.reached(0)
        await self._moves.run()

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Take no more calls, send watchers elsewhere, let the others finish. Harmless if never started."""
        await self._pages.stop()
        await self._server.stop(grace_seconds)

    async def close(self) -> None:
        """Let go of the claims and send what was traced, when nothing runs any more."""
        await self._claims.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)


async def run_topology_service(settings: TopologyServiceSettings) -> None:
    """Run until SIGTERM or SIGINT. Raise SettingsError where an address cannot be had."""
    await until_signalled(settings.log, _composed(settings))


@asynccontextmanager
async def _composed(settings: TopologyServiceSettings) -> AsyncIterator[None]:
    keyspace = Keyspace(settings.etcd.prefix)
    store = open_store(settings.etcd)
    watcher = Watcher(store, keyspace)
    service = TopologyService(settings.serving, store, keyspace, watcher)
    registry = CollectorRegistry()
    registry.register(service.collector)
    status = TopologyStatusServer(service.sources, watcher.state, registry)
    try:
        await status.start(settings.status_listen)
        await service.start()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(for_ever(watcher.run(service.seen))), *service.run(tasks)]
            log.info("started status=%s", settings.status_listen)
            yield
            await service.stop(STOP_SECONDS)
            for task in running:
                task.cancel()
    finally:
        await service.stop()
        await status.stop()
        await service.close()
        await store.close()


async def _announce(server: TopologyServer, follower: ClaimFollower, read: asyncio.Event) -> None:
    """Say that the service is healthy once everything has been read; it stays so."""
    await read.wait()
    await follower.reached(0)
    # Claims may be millions of objects: looking through all of them again and again takes seconds each time.
    calm_collector()
    server.refresh_health()
    log.info("ready claims=%d cursor=%d", len(follower.index), follower.index.cursor)


def _credentials(files: TlsFiles) -> grpc.ServerCredentials | None:
    if files.cert is None or files.key is None:
        return None
    return credentials(ServerTls(certificate=files.cert, key=files.key, client_ca=files.ca))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
