"""The Topology Service, composed: etcd → View and claims in memory → gRPC, with the status pages beside it.

Joins `topology.service` to real sockets, clocks and files. It starts everything, and stops it in order on a
signal: no new calls, watchers sent elsewhere, the others finished.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from prometheus_client import CollectorRegistry

from cellplane.service import for_ever, until_signalled
from cellplane.settings import EtcdSettings, Listen, SettingsError, TlsFiles
from cellplane.stores import open_store
from cellplane.topology_metrics import TopologyCollector
from cellplane.topology_rest import ClassifyPages
from cellplane.topology_status import TopologyStatusServer
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.service.classify import Lifetimes
from topology.service.identity import Names
from topology.service.server import ListenFailed, TopologyServer
from topology.service.sources import Sources
from topology.view import View
from topology.watcher import Watcher
from xds.errors import CertificateError
from xds.tls import ServerTls, credentials

log = logging.getLogger("cellplane.topology_service")

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyServiceSettings:
    """Everything that a Topology Service is told."""

    etcd: EtcdSettings
    listen: Listen
    rest_listen: Listen | None
    lifetimes: Lifetimes
    tls: TlsFiles
    status_listen: Listen
    names: Names
    log_level: str


async def run_topology_service(settings: TopologyServiceSettings) -> None:
    """Run until SIGTERM or SIGINT. Raise SettingsError where an address cannot be had."""
    await until_signalled(settings.log_level, _composed(settings))


@asynccontextmanager
async def _composed(settings: TopologyServiceSettings) -> AsyncIterator[None]:
    keyspace = Keyspace(settings.etcd.prefix)
    store = open_store(settings.etcd)
    claims = StoredClaims(store, ClaimKeyspace.beside(keyspace))
    watcher, follower = Watcher(store, keyspace), ClaimFollower(claims)
    sources = Sources(lambda: watcher.view, follower)
    server = TopologyServer(sources, claims, store, keyspace, names=settings.names)
    registry = CollectorRegistry()
    registry.register(TopologyCollector(server, follower, watcher.state))
    pages = ClassifyPages(server.classify, settings.names, settings.lifetimes)
    status = TopologyStatusServer(sources, watcher.state, registry)
    read = asyncio.Event()

    def publish(_: View) -> None:
        read.set()

    try:
        await status.start(settings.status_listen)
        await _listen(server, settings)
        if settings.rest_listen is not None:
            await pages.start(settings.rest_listen, settings.tls)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(for_ever(watcher.run(publish))),
                tasks.create_task(for_ever(follower.run())),
                tasks.create_task(_announce(server, follower, read)),
            ]
            log.info(
                "started topology=%s rest=%s status=%s",
                settings.listen,
                settings.rest_listen or "off",
                settings.status_listen,
            )
            yield
            await pages.stop()
            await server.stop(_STOP_SECONDS)
            for task in running:
                task.cancel()
    finally:
        await pages.stop()
        await server.stop(0)
        await status.stop()
        await store.close()


async def _announce(server: TopologyServer, follower: ClaimFollower, read: asyncio.Event) -> None:
    """Say that the service is healthy once everything has been read; it stays so."""
    await read.wait()
    await follower.reached(0)
    await server.refresh_health()
    log.info("ready claims=%d cursor=%d", len(follower.index), follower.index.cursor)


async def _listen(server: TopologyServer, settings: TopologyServiceSettings) -> None:
    try:
        own = _credentials(settings.tls)
        await server.start(str(settings.listen), own, verified=settings.tls.ca is not None)
    except (ListenFailed, CertificateError) as error:
        raise SettingsError(f"--listen {settings.listen}: {error}.") from error
    if settings.tls.ca is None:
        level = logging.INFO if _is_loopback(settings.listen.host) else logging.WARNING
        log.log(
            level, "access_rules_off: without --client-ca nobody is verified, and everybody may do anything"
        )


def _credentials(files: TlsFiles) -> grpc.ServerCredentials | None:
    if files.cert is None or files.key is None:
        return None
    return credentials(ServerTls(certificate=files.cert, key=files.key, client_ca=files.ca))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
