"""What a certificate says, read as PEM and as DER; and what becomes of calls and watches when it runs out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pb.cellplane.topology.v1 import cells_pb2
from tests.topology.service.stage import Stage, drained, failure
from topology.service import certificate
from topology.service.certificate import NONE_SHOWN, shown

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)


def made(names: Sequence[str], encoding: serialization.Encoding = serialization.Encoding.PEM) -> bytes:
    """Make a certificate with common names, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(BEGINS)
        .not_valid_after(BEGINS + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(encoding)


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_the_name_and_the_end(encoding: serialization.Encoding) -> None:
    read = shown(made(["ADMIN-Zoë"], encoding))
    assert read.name == "ADMIN-Zoë"
    assert read.until == (BEGINS + timedelta(days=1)).timestamp()


@pytest.mark.parametrize("names", [(), ("CELL-2", "ADMIN-eve"), ("ADMIN-eve", "CELL-2")])
def test_none_or_several_names_are_nobodys(names: Sequence[str]) -> None:
    assert shown(made(names)).name == ""


def test_what_cannot_be_read_names_nobody() -> None:
    assert shown(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n") == NONE_SHOWN
    assert shown(b"") == NONE_SHOWN
    assert NONE_SHOWN.seconds_left == math.inf


async def test_a_connection_is_worth_nothing_once_its_certificate_has_run_out(
    guarded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = guarded.client("ADMIN-ada")
    await client.cells.ListCells(cells_pb2.ListCellsRequest())
    monkeypatch.setattr(certificate, "_now", lambda: math.inf)
    refused = await failure(client.cells.ListCells(cells_pb2.ListCellsRequest()))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_EXPIRED")
    assert refused.words == "the certificate of this connection has expired: connect again with a new one"


async def test_a_watch_ends_with_its_certificate(guarded: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guarded.authority is not None
    # All that trustme makes ends at one moment, half a second from now.
    ends = shown(guarded.authority.issue_cert("client.test").cert_chain_pems[0].bytes()).until
    monkeypatch.setattr(certificate, "_now", lambda: ends - 0.5)
    call: Any = guarded.client("ADMIN-ada").cells.Watch(cells_pb2.WatchCellsRequest())
    await call.read()
    ended = await failure(drained(call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_EXPIRED")
