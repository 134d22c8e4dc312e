from __future__ import annotations

from typing import Any

import pytest

from envoy.certificates import KIND, NAME, files_in_force, parse_certificates
from envoy.edge import EdgeTls
from tests.envoy.edge_rig import STAMP
from topology.model import Document
from topology.view import View

OWN = EdgeTls(certificate="/own.pem", key="/own.key", redirect_port=80)
BODY = {"schema": 1, "certificate": "/c.pem", "key": "/k.pem"}


def view(body: Any) -> View:
    return View(documents={(KIND, NAME): Document(kind=KIND, name=NAME, body=body, stamp=STAMP)})


def test_a_document_names_other_files_and_nothing_else() -> None:
    assert files_in_force(View(), OWN) == OWN
    found = files_in_force(view(BODY), OWN)
    assert found == EdgeTls(certificate="/c.pem", key="/k.pem", redirect_port=80)


def test_only_the_settings_say_whether_clients_are_asked() -> None:
    with_ca = {**BODY, "client_ca": "/new-ca.pem"}
    assert files_in_force(view(with_ca), OWN).client_ca == ""
    asking = EdgeTls(certificate="/own.pem", key="/own.key", client_ca="/ca.pem")
    assert files_in_force(view(with_ca), asking).client_ca == "/new-ca.pem"
    assert files_in_force(view(BODY), asking).client_ca == "/ca.pem"


def test_a_document_that_cannot_be_read_leaves_what_was() -> None:
    assert files_in_force(view({"schema": 2}), OWN) == OWN


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        ({**BODY, "schema": 2}, "schema"),
        ({**BODY, "schema": True}, "schema"),
        ({"schema": 1, "certificate": "/c.pem"}, "key"),
        ({**BODY, "key": "relative.key"}, "key"),
        ({**BODY, "certificate": "-----BEGIN CERTIFICATE-----"}, "certificate"),
        ({**BODY, "certificate": "/a\0b"}, "certificate"),
        ({**BODY, "client_ca": 7}, "client_ca"),
        ({**BODY, "password": "x"}, "password"),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str) -> None:
    found = parse_certificates(body)
    assert not isinstance(found, EdgeTls)
    assert [each.field for each in found] == [field]
