"""The control plane, composed: etcd → watcher → publisher → cache → streams, with the status pages beside it.

The only place that joins the packages to real sockets, clocks and files. It starts everything, and stops it
in order on a signal.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from cellplane.certificates import CertificatesCollector
from cellplane.console_access import ConsoleSettings
from cellplane.console_pages import ConsolePages, Shown
from cellplane.delivery import Delivery
from cellplane.envoy_check import EnvoyCheck
from cellplane.hold_keeper import HoldKeeper
from cellplane.identities import Classifier
from cellplane.latest import Latest
from cellplane.listening import check_free
from cellplane.metrics import ControlPlaneCollector
from cellplane.operation_metrics import OperationsCollector
from cellplane.operations import Operations
from cellplane.publisher import Publisher
from cellplane.push_tracker import PushTracker
from cellplane.pushes import EDGE
from cellplane.recorder import Recorder
from cellplane.saved_view import saved_path, saved_view
from cellplane.service import for_ever, until_signalled
from cellplane.settings import EtcdSettings, Listen, LogSettings, SettingsError, TlsFiles
from cellplane.sidecars import Sidecars
from cellplane.status import StatusServer
from cellplane.stores import open_store, warn_of_versions
from cellplane.topology_service import ServingSettings, TopologyService
from cellplane.tracing import traced
from cellplane.wave_metrics import WaveCollector
from cellplane.wave_views import WaveViews
from envoy.edge import EdgeSettings
from envoy.sidecar import SidecarSettings
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.service.changer import Changer
from topology.sidecars import SidecarKeys
from topology.view import View
from topology.watcher import Watcher
from xds.cache import Cache
from xds.collector import calm_collector
from xds.errors import CertificateError, ListenError
from xds.options import ServerOptions
from xds.server import AdsServer
from xds.tls import ServerTls

log = logging.getLogger("cellplane.control_plane")

_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneSettings:
    """Everything that a control plane is told."""

    etcd: EtcdSettings
    xds_listen: Listen
    xds_tls: TlsFiles
    status_readers: frozenset[str]
    status_listen: Listen
    status_tls: TlsFiles
    console: ConsoleSettings
    edge: EdgeSettings
    sidecar: SidecarSettings | None
    topology: ServingSettings | None
    state_dir: Path | None
    envoy_binary: Path | None
    etcd_patience_seconds: float
    replica: str
    log: LogSettings


async def run_control_plane(settings: ControlPlaneSettings) -> None:
    """Run until SIGTERM or SIGINT. Raise SettingsError where an address cannot be had."""
    await until_signalled(settings.log, _composed(settings))


@asynccontextmanager
async def _composed(settings: ControlPlaneSettings) -> AsyncIterator[None]:
    replica = settings.replica or socket.gethostname()
    keyspace = Keyspace(settings.etcd.prefix)
    store = open_store(settings.etcd)
    path = saved_path(settings.state_dir)
    cache = Cache()
    options = ServerOptions(status_readers=settings.status_readers)
    identifier = f"cellplane/{importlib.metadata.version('cellplane')} {replica}"
    views: Latest[View] = Latest()
    saved = saved_view(path, keyspace)
    watcher = Watcher(store, keyspace, initial=saved)
    server = AdsServer(
        cache, Classifier(lambda: watcher.state.connected), identifier=identifier, options=options
    )
    recorder = Recorder(store, keyspace, path, replica)
    tracker = traced(PushTracker(server.fleet), replica)
    publisher = Publisher(
        cache,
        settings.edge,
        recorder,
        saved,
        tell=tracker.published,
        delivery=Delivery(
            WaveViews(store, keyspace, lambda: _again(watcher, views)), EDGE, tracker.withdrawn
        ),
        check=EnvoyCheck(settings.envoy_binary, lambda: _again(watcher, views)),
    )
    keeper = HoldKeeper(store, server.holds, replica)
    if saved is not None:
        keeper.learn(saved)
    sidecars = Sidecars(
        settings.sidecar, cache, server, store, SidecarKeys.beside(keyspace), replica, publisher
    )
    registry = CollectorRegistry()
    registry.register(
        ControlPlaneCollector(server.fleet, publisher.state, watcher.state, server.holds, cache)
    )
    topology = _topology(settings, store, watcher, registry)
    # What is held is known before anything is published of a View.
    listeners = [
        keeper.learn,
        publisher.arrived,
        views.set,
        sidecars.seen,
        *([topology.seen] if topology else []),
    ]

    def seen(view: View) -> None:
        for listen in listeners:
            listen(view)

    status = StatusServer(
        server.fleet,
        publisher.state,
        watcher.state,
        registry,
        lambda: recorder.save_error or keeper.write_error,
        server.holds,
        replica,
    )
    operations = Operations(store, keyspace, server.fleet, server.holds, tracker, publisher, status, replica)
    registry.register(
        OperationsCollector(server.fleet, cache, publisher.state, watcher.state, tracker, operations)
    )
    registry.register(CertificatesCollector(_certificates(settings)))
    shown = Shown(
        view=lambda: publisher.state.view,
        readiness=status.readiness,
        fleet=operations.fleet,
        history=operations.history,
        lookup=topology.lookup if topology is not None else lambda: None,
    )
    ConsolePages(status.pages, shown, Changer(store, keyspace), settings.console)
    registry.register(WaveCollector(publisher.state, operations.waves, server.fleet))
    try:
        await status.start(settings.status_listen, settings.status_tls)
        await _listen(server, topology, settings)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(for_ever(watcher.run(seen))),
                tasks.create_task(for_ever(recorder.run())),
                tasks.create_task(for_ever(keeper.run())),
                tasks.create_task(for_ever(publisher.check.run())),
                *(tasks.create_task(for_ever(work)) for work in (*operations.running(), *sidecars.running())),
                tasks.create_task(for_ever(_publish(publisher, views, settings.etcd_patience_seconds))),
                tasks.create_task(warn_of_versions(store)),
                *(topology.run(tasks) if topology is not None else ()),
            ]
            log.info(
                "started replica=%s xds=%s status=%s", replica, settings.xds_listen, settings.status_listen
            )
            calm_collector()
            yield
            for task in running:
                task.cancel()
    finally:
        if topology is not None:
            await topology.stop(_STOP_SECONDS)
            await topology.close()
        await recorder.close()
        await operations.close()
        await server.stop(_STOP_SECONDS)
        await status.stop()
        await store.close()


def _certificates(settings: ControlPlaneSettings) -> dict[str, Path | None]:
    topology = settings.topology.tls.cert if settings.topology is not None else None
    etcd, xds, status = settings.etcd.tls.cert, settings.xds_tls.cert, settings.status_tls.cert
    return {"etcd": etcd, "xds": xds, "status": status, "topology": topology}


def _again(watcher: Watcher, views: Latest[View]) -> None:
    """Have the newest View offered once more: what it needs has come."""
    if watcher.view is not None:
        views.set(watcher.view)


def _topology(
    settings: ControlPlaneSettings, store: EtcdStore, watcher: Watcher, registry: CollectorRegistry
) -> TopologyService | None:
    """Make the Topology Service of this process, if it shall have one: on the same store and View."""
    if settings.topology is None:
        return None
    service = TopologyService(settings.topology, store, Keyspace(settings.etcd.prefix), watcher)
    registry.register(service.collector)
    return service


async def _listen(
    server: AdsServer, topology: TopologyService | None, settings: ControlPlaneSettings
) -> None:
    files = settings.xds_tls
    tls = None
    if files.cert is not None and files.key is not None:
        tls = ServerTls(certificate=files.cert, key=files.key, client_ca=files.ca)
    check_free(settings.xds_listen, "--xds-listen")
    try:
        await server.start(str(settings.xds_listen), tls)
    except (ListenError, CertificateError) as error:
        raise SettingsError(f"--xds-listen {settings.xds_listen}: {error}.") from error
    if topology is not None:
        await topology.start()


async def _publish(publisher: Publisher, views: Latest[View], patience_seconds: float) -> None:
    """Serve what etcd says; where it says nothing for too long, what was saved, until it does."""
    first = await views.next(patience_seconds)
    if first is not None:
        views.set(first)
    elif not publisher.publish_saved():
        log.error(
            "nothing_to_serve: etcd does not answer and no View is saved; Envoys are refused until it does"
        )
    await publisher.run(views)
