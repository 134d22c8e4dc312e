"""Leases on a real etcd: they run out by themselves, and what they carry goes with them."""

from __future__ import annotations

import pytest

from tests.etcd_server import EtcdServer
from tests.processes import eventually
from topology.errors import LeaseGone
from topology.etcd import EtcdStore
from topology.store import Txn


async def test_a_lease_that_nobody_keeps_alive_runs_out_with_its_keys(
    etcd: EtcdServer, etcd_prefix: str
) -> None:
    store = EtcdStore([etcd.endpoint])
    lease = await store.grant(1)
    await store.keep_alive(lease)
    await store.commit(Txn(puts=((f"{etcd_prefix}mine", b"here"),), lease=lease))

    async def gone() -> bool:
        return not (await store.list(etcd_prefix)).records

    await eventually(gone, "the end of the lease", within=10)
    with pytest.raises(LeaseGone):
        await store.keep_alive(lease)
    await store.close()
