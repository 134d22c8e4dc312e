"""Who was let in stays for as long as its certificate, those who signed it, and the rule say so; over gRPC
too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from grpc import StatusCode, aio, ssl_channel_credentials

from tests.certificates import Authority
from tests.envoy.certificates import Operators
from tests.xds.configuration import both, snapshot
from tests.xds.stage import asked, cache_of, delta, delta_request, ending, serving
from tests.xds.test_csds import fetch
from xds.authorization import DISTRUSTED, EXPIRED, Admitted, Authorities, Authorization
from xds.nodes import Identity, Node, Refusal
from xds.options import ServerOptions
from xds.tls import ServerTls
from xds.wire import ProtocolError, Status

NODE = Node(id="edge-1")


@dataclass
class Door:
    """An authorization whose clock and rule are the test's."""

    now: float
    group: str | Refusal = "edge"

    def __post_init__(self) -> None:
        self.met: list[Identity | None] = []
        self.authorization = Authorization(self.classify, lambda: self.now)

    def classify(self, _: Node, identity: Identity | None) -> str | Refusal:
        self.met.append(identity)
        return self.group

    def admitted(self, pem: bytes = b"") -> Admitted:
        context = {"x509_pem_cert": [pem], "peer_dns": [b"edge-1"]} if pem else {}
        admitted = self.authorization.admit(NODE, context)
        assert isinstance(admitted, Admitted)
        return admitted


def dates(pem: bytes) -> tuple[float, float]:
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def replaced(file: Path, by: Path) -> None:
    """Put another file in its place, which is seen however soon that is."""
    before = file.stat().st_mtime_ns
    by.replace(file)
    os.utime(file, ns=(before + 1, before + 1))


def test_without_certificates_the_rule_alone_decides() -> None:
    door = Door(now=0.0)
    admitted = door.admitted()
    assert door.met == [None]
    assert door.authorization.recheck(admitted) is None
    door.group = "canary"
    assert door.authorization.recheck(admitted) == ProtocolError(
        Status.UNAVAILABLE, "this node belongs to group 'canary' now; connect again"
    )
    door.group = Refusal("gone")
    assert door.authorization.recheck(admitted) == ProtocolError(Status.PERMISSION_DENIED, "gone")
    assert door.authorization.admit(NODE, {}) == ProtocolError(Status.PERMISSION_DENIED, "gone")


def test_a_stream_ends_when_its_certificate_does(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("client", "edge-1").cert.read_bytes()
    begins, ends = dates(pem)
    door = Door(now=begins)
    door.authorization.trust(authority.ca)
    admitted = door.admitted(pem)
    assert door.met == [Identity(dns_names=("edge-1",))]
    assert door.authorization.recheck(admitted) is None
    door.now = ends + 1.0
    assert door.authorization.recheck(admitted) is EXPIRED


def test_a_stream_ends_when_who_vouched_for_it_is_trusted_no_more(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    pem = old.issue("client", "edge-1").cert.read_bytes()
    door = Door(now=dates(pem)[0])
    trusted = old.ca
    door.authorization.trust(trusted)
    admitted = door.admitted(pem)
    both = tmp_path / "both.pem"
    both.write_bytes(new.ca.read_bytes() + old.ca.read_bytes())
    replaced(trusted, both)
    assert door.authorization.recheck(admitted) is None
    replaced(trusted, new.ca)
    assert door.authorization.recheck(admitted) is DISTRUSTED


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nhalf", None])
def test_a_file_that_is_half_written_leaves_who_was_trusted(tmp_path: Path, content: bytes | None) -> None:
    file = Authority(tmp_path).ca
    authorities = Authorities(file)
    (trusted,) = authorities.now()
    other = tmp_path / "other.pem"
    if content is None:
        file.unlink()
    else:
        other.write_bytes(content)
        replaced(file, other)
    assert authorities.now() == (trusted,)


def test_who_came_by_way_of_an_intermediate_is_not_asked_for_it_again(tmp_path: Path) -> None:
    root = trustme.CA()
    pem = root.create_child_ca().issue_cert("edge-1").cert_chain_pems[0].bytes()
    file = tmp_path / "ca.pem"
    root.cert_pem.write_to_path(str(file))
    begins, ends = dates(pem)
    door = Door(now=begins)
    door.authorization.trust(file)
    admitted = door.admitted(pem)
    assert not admitted.is_signed_directly
    assert door.authorization.recheck(admitted) is None
    door.now = ends + 1.0
    assert door.authorization.recheck(admitted) is EXPIRED


def test_a_certificate_that_only_grpc_can_read_lives_as_long_as_its_stream() -> None:
    door = Door(now=1e12)
    admitted = door.admitted(b"not for us")
    assert (admitted.certificate, admitted.identity) == (None, Identity(dns_names=("edge-1",)))
    assert door.authorization.recheck(admitted) is None


async def test_over_grpc_a_stream_ends_when_who_vouched_for_it_is_trusted_no_more(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    server, client = ours.issue("server", "127.0.0.1"), theirs.issue("client", "node-1")
    tls = ServerTls(certificate=server.cert, key=server.key, client_ca=theirs.ca)
    options = ServerOptions(identity_seconds=0.05)
    credentials = ssl_channel_credentials(
        ours.ca.read_bytes(), client.key.read_bytes(), client.cert.read_bytes()
    )
    async with serving(cache_of(snapshot(1, both("a"))), options=options, tls=tls) as stage:
        call = delta(await stage.channel(credentials))
        await asked(call, delta_request())
        replaced(theirs.ca, Authority(tmp_path / "new").ca)
        assert await ending(call) == (StatusCode.UNAUTHENTICATED, DISTRUSTED.message)


async def test_over_grpc_a_certificate_that_names_nobody_is_not_taken_for_none(tmp_path: Path) -> None:
    ours, operators = Authority(tmp_path / "ours"), Operators(tmp_path / "operators")
    server, (certificate, key) = ours.issue("server", "127.0.0.1"), operators.issue("nobody")
    tls = ServerTls(certificate=server.cert, key=server.key, client_ca=operators.ca)
    credentials = ssl_channel_credentials(ours.ca.read_bytes(), key.read_bytes(), certificate.read_bytes())
    met: list[Identity | None] = []

    def classify(_: Node, identity: Identity | None) -> str | Refusal:
        met.append(identity)
        return "edge" if identity is None else Refusal("the certificate names nobody")

    async with serving(cache_of(snapshot(1, both("a"))), classify, tls=tls) as stage:
        channel = await stage.channel(credentials)
        assert (await ending(delta(channel), delta_request()))[0] is StatusCode.PERMISSION_DENIED
        assert met == [Identity()]
        with pytest.raises(aio.AioRpcError) as refused:
            await fetch(channel)
        assert refused.value.code() is StatusCode.PERMISSION_DENIED
