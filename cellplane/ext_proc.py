"""`cellplane ext-proc`, composed: etcd → View, claims and rules in memory → ext_proc, with the status pages
beside it.

Joins `envoy.ext_proc` to real sockets, clocks and files. It starts everything, and stops it in order on a
signal: not healthy, no new streams, the others answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from cellplane.claim_stores import open_claims
from cellplane.ext_proc_metrics import ExtProcCollector
from cellplane.listening import check_free
from cellplane.rules_in_force import RulesInForce
from cellplane.rules_shadow import RulesShadow, ShadowCollector
from cellplane.service import for_ever, until_signalled
from cellplane.settings import ClaimStoreSettings, EtcdSettings, Listen, LogSettings, SettingsError, TlsFiles
from cellplane.stores import open_store
from cellplane.topology_status import TopologyStatusServer
from cellplane.tracing import tracing_wanted
from envoy.ext_proc import ExtProcServer
from topology.claims.follower import ClaimFollower
from topology.keys import Keyspace
from topology.service.classify import Lifetimes
from topology.service.sources import Sources
from topology.view import View
from topology.watcher import Watcher
from xds.errors import CertificateError, ListenError
from xds.tls import ServerTls, credentials

log = logging.getLogger("cellplane.ext_proc")

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtProcSettings:
    """Everything that an ext_proc server is told."""

    etcd: EtcdSettings
    claims: ClaimStoreSettings | None
    listen: Listen
    lifetimes: Lifetimes
    tls: TlsFiles
    status_listen: Listen
    log: LogSettings


async def run_ext_proc(settings: ExtProcSettings) -> None:
    """Run until SIGTERM or SIGINT. Raise SettingsError where an address cannot be had."""
    await until_signalled(settings.log, _composed(settings))


@asynccontextmanager
async def _composed(settings: ExtProcSettings) -> AsyncIterator[None]:
    keyspace = Keyspace(settings.etcd.prefix)
    store = open_store(settings.etcd)
    watcher = Watcher(store, keyspace)
    claims = open_claims(settings.claims, store, keyspace)
    follower = ClaimFollower(claims.store)
    sources = Sources(lambda: watcher.view, follower)
    rules, read = RulesInForce(), asyncio.Event()
    names: Container[str] = ()

    shadow = RulesShadow(sources, rules)

    def seen(view: View) -> None:
        nonlocal names
        rules.read(view)
        shadow.read(view)
        names = frozenset(rule.name for rule in rules.ruleset.rules) if rules.ruleset else ()
        read.set()

    tracing = tracing_wanted("cellplane-ext-proc")
    traced = {"around": tracing.stream} if tracing else {}
    server = ExtProcServer(
        sources,
        settings.lifetimes,
        lambda: names,
        claims_beside_topology=settings.claims is None,
        shown=shadow.shown,
        **traced,
    )
    registry = CollectorRegistry()
    registry.register(ExtProcCollector(server, follower, watcher.state))
    registry.register(ShadowCollector(shadow))
    status = TopologyStatusServer(sources, watcher.state, registry)
    status.add("/v1/shadow", shadow.page)
    try:
        await claims.check()
        await status.start(settings.status_listen)
        await _listen(server, settings)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(for_ever(watcher.run(seen))),
                tasks.create_task(for_ever(follower.run())),
                tasks.create_task(_announce(server, follower, read)),
            ]
            log.info("started ext_proc=%s status=%s", settings.listen, settings.status_listen)
            yield
            await server.stop(_STOP_SECONDS)
            for task in running:
                task.cancel()
    finally:
        await server.stop(0)
        await status.stop()
        await claims.close()
        await store.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)  # it waits for its exporter


async def _announce(server: ExtProcServer, follower: ClaimFollower, read: asyncio.Event) -> None:
    """Say that the server is healthy once everything has been read; it stays so, for what is known stands."""
    await read.wait()
    await follower.reached(0)
    await server.refresh_health()
    log.info("ready claims=%d cursor=%d", len(follower.index), follower.index.cursor)


async def _listen(server: ExtProcServer, settings: ExtProcSettings) -> None:
    files = settings.tls
    check_free(settings.listen, "--listen")
    try:
        own = None
        if files.cert is not None and files.key is not None:
            own = credentials(ServerTls(certificate=files.cert, key=files.key, client_ca=files.ca))
        await server.start(str(settings.listen), own)
    except (ListenError, CertificateError) as error:
        raise SettingsError(f"--listen {settings.listen}: {error}.") from error
