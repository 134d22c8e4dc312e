"""The store of an installation: the one place where the command and the control plane choose the etcd
adapter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from cellplane.diagnosis import EtcdMember
from cellplane.settings import EtcdSettings
from topology.errors import StoreError
from topology.etcd import Access, EtcdStore

log = logging.getLogger("cellplane.stores")

_VERSIONS_PAUSE_SECONDS = 5.0
_MEMBER_SECONDS = 8.0


def open_store(etcd: EtcdSettings) -> EtcdStore:
    """Return a store for these settings; nothing is sent before its first use."""
    access = Access(
        tls=etcd.tls.given,
        ca=etcd.tls.ca,
        cert=etcd.tls.cert,
        key=etcd.tls.key,
        username=etcd.user,
        password=etcd.password,
    )
    return EtcdStore(etcd.endpoints, access=access)


async def member_status(etcd: EtcdSettings, endpoint: str) -> EtcdMember:
    """Ask one endpoint how it is, and for how long a read of the topology takes there."""
    store = open_store(replace(etcd, endpoints=(endpoint,)))
    try:
        async with asyncio.timeout(_MEMBER_SECONDS):
            began = time.perf_counter()
            await store.list(f"{etcd.prefix}/cells/")
            seconds = time.perf_counter() - began
            status = await store.status()
    except (StoreError, TimeoutError) as error:
        return EtcdMember(endpoint=endpoint, problem=str(error) or "does not answer in time")
    finally:
        await store.close()
    return EtcdMember(
        endpoint=endpoint,
        version=status.version,
        has_leader=bool(status.leader),
        size=status.dbSize,
        seconds=seconds,
        errors=tuple(status.errors),
    )


def losing_data(versions: Mapping[str, str]) -> tuple[str, ...]:
    """Name the endpoints whose etcd can lose committed data when it is killed: 3.5.0 to 3.5.2.

    See https://github.com/etcd-io/etcd/issues/13766.
    """
    return tuple(
        f"{endpoint} ({version})"
        for endpoint, version in versions.items()
        if version.split("-")[0] in {"3.5.0", "3.5.1", "3.5.2"}
    )


async def warn_of_versions(store: EtcdStore) -> None:
    """Say once, as soon as etcd answers, if it is of a version that can lose data."""
    while True:
        try:
            versions = await store.versions()
        except StoreError:
            await asyncio.sleep(_VERSIONS_PAUSE_SECONDS)
            continue
        for etcd in losing_data(versions):
            log.warning(
                "etcd_loses_data endpoint=%s; 3.5.0 to 3.5.2 can lose committed data, use 3.5.3 or later",
                etcd,
            )
        return
