"""The store that settings open: plain, and over mutual TLS."""

from __future__ import annotations

from pathlib import Path

from cellplane.settings import EtcdSettings, TlsFiles
from cellplane.stores import losing_data, open_store
from tests.certificates import Authority
from tests.conftest import StartEtcd
from tests.etcd_server import EtcdServer


def test_versions_that_lose_data_are_named() -> None:
    versions = {"a:1": "3.5.1", "b:2": "3.5.21", "c:3": "3.4.23", "d:4": "3.5.2-pre"}

    assert losing_data(versions) == ("a:1 (3.5.1)", "d:4 (3.5.2-pre)")


async def test_a_plain_etcd(etcd: EtcdServer, etcd_prefix: str) -> None:
    store = open_store(EtcdSettings(endpoints=(etcd.endpoint,)))
    try:
        assert (await store.list(etcd_prefix)).records == ()
    finally:
        await store.close()


async def test_an_etcd_that_asks_for_certificates(etcd_server: StartEtcd, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("server", "127.0.0.1", "localhost")
    client = authority.issue("client", "cellplane")
    etcd = await etcd_server(
        (
            f"--cert-file={server.cert}",
            f"--key-file={server.key}",
            f"--trusted-ca-file={authority.ca}",
            "--client-cert-auth",
        ),
        scheme="https",
    )
    tls = TlsFiles(ca=authority.ca, cert=client.cert, key=client.key)
    store = open_store(EtcdSettings(endpoints=(etcd.endpoint,), tls=tls))
    try:
        assert (await store.list("/")).records == ()
    finally:
        await store.close()
