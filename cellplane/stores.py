"""The store of an installation: the one place where the command and the control plane choose the etcd
adapter.
"""

from __future__ import annotations

from cellplane.settings import EtcdSettings
from topology.etcd import Access, EtcdStore


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
