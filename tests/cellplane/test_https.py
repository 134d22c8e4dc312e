"""TLS of what is served over HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from cellplane.https import common_name, https_context
from cellplane.settings import TlsFiles
from tests.certificates import Authority


def test_without_a_certificate_there_is_no_tls() -> None:
    assert https_context(TlsFiles(), demanding=False) is None


@pytest.mark.parametrize(("demanding", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_OPTIONAL)])
def test_clients_must_or_may_show_a_certificate(
    tmp_path: Path, demanding: bool, mode: ssl.VerifyMode
) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "localhost")
    files = TlsFiles(ca=authority.ca, cert=server.cert, key=server.key)
    context = https_context(files, demanding=demanding)
    assert context is not None
    assert context.verify_mode == mode
    alone = https_context(TlsFiles(cert=server.cert, key=server.key), demanding=demanding)
    assert alone is not None
    assert alone.verify_mode == ssl.CERT_NONE


def test_the_common_name_of_a_certificate() -> None:
    assert common_name(None) == ""
    assert common_name({}) == ""
    subject = ((("organizationName", "acme"),), (("commonName", "admin-ada"),))
    assert common_name({"subject": subject}) == "admin-ada"
