"""Certificates come from files, are read again when these change, and say who the client is."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest
from grpc import aio

from tests.certificates import Authority
from tests.conversation import over_grpc
from tests.xds.configuration import both, snapshot
from xds.cache import Cache
from xds.errors import CertificateError
from xds.nodes import Identity, Node
from xds.resource import CLUSTER
from xds.server import AdsServer
from xds.tls import ServerTls, _Files, credentials, identity


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ({}, None),
        ({"transport_security_type": [b"ssl"]}, None),
        ({"x509_pem_cert": [b"-"], "x509_common_name": [b"edge-1"]}, Identity(common_name="edge-1")),
        (
            {
                "x509_pem_cert": [b"-"],
                "x509_common_name": [b"edge-1"],
                "peer_uri": [b"spiffe://here/edge/1"],
                "peer_dns": [b"edge-1.example", b"spiffe://here/edge/no-uri"],
                "peer_ip": [b"10.0.0.1"],
            },
            Identity(
                common_name="edge-1",
                uris=("spiffe://here/edge/1",),
                dns_names=("edge-1.example", "spiffe://here/edge/no-uri", "10.0.0.1"),
            ),
        ),
        # Who shows a certificate that names nobody is not one who was asked for none.
        ({"x509_pem_cert": [b"-"], "x509_common_name": [b""]}, Identity()),
    ],
)
def test_an_identity_is_what_the_certificate_says(
    context: dict[str, list[bytes]], found: Identity | None
) -> None:
    assert identity(context) == found


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    server = Authority(tmp_path).issue("server", "127.0.0.1")
    with pytest.raises(CertificateError, match=r"gone\.pem: No such file or directory"):
        credentials(ServerTls(certificate=tmp_path / "gone.pem", key=server.key))


def test_files_are_read_again_when_they_change_and_only_then(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "127.0.0.1")
    files = _Files(ServerTls(certificate=server.cert, key=server.key, client_ca=authority.ca))
    files.load()
    assert files.if_changed() is None
    authority.issue("server", "127.0.0.1")
    later = server.cert.stat().st_mtime_ns + 1_000_000_000
    os.utime(server.cert, ns=(later, later))
    assert files.if_changed() is not None
    assert files.if_changed() is None
    # While one is missing, the last good ones stand.
    server.key.unlink()
    assert files.if_changed() is None


async def test_a_client_is_known_by_its_certificate_and_nobody_gets_in_without(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server_files, client_files = (
        authority.issue("server", "localhost"),
        authority.issue("client", "edge-1.example"),
    )
    seen: list[Identity | None] = []

    def group_of(_: Node, shown: Identity | None) -> str:
        seen.append(shown)
        return "group"

    cache = Cache()
    cache.publish("group", snapshot(1, both("a")))
    server = AdsServer(cache, group_of, identifier="")
    tls = ServerTls(certificate=server_files.cert, key=server_files.key, client_ca=authority.ca)
    port = await server.start("localhost:0", tls)
    ca = authority.ca.read_bytes()
    try:
        known = grpc.ssl_channel_credentials(
            ca, client_files.key.read_bytes(), client_files.cert.read_bytes()
        )
        async with (
            aio.secure_channel(f"localhost:{port}", known) as channel,
            over_grpc("delta", port, channel=channel) as talk,
        ):
            await talk.envoy.asks(CLUSTER)
            await talk.expect.sends(CLUSTER, "a")
        assert [one.dns_names for one in seen if one is not None] == [("edge-1.example",)]
        stranger = grpc.ssl_channel_credentials(ca)
        async with (
            aio.secure_channel(f"localhost:{port}", stranger) as channel,
            over_grpc("delta", port, channel=channel) as talk,
        ):
            with pytest.raises(aio.AioRpcError) as refused:
                await talk.envoy.asks(CLUSTER)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert len(seen) == 1
    finally:
        await server.stop(0.1)


def test_files_that_could_not_be_read_once_are_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "127.0.0.1")
    files = _Files(ServerTls(certificate=server.cert, key=server.key))
    files.load()
    authority.issue("renewed", "127.0.0.1").cert.replace(server.cert)

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        assert files.if_changed() is None
    assert files.if_changed() is not None
