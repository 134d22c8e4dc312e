from __future__ import annotations

import pytest

from envoy.passthrough import Passthrough, parse_passthrough, passthrough_problems
from topology.model import Problem

REGISTRY = Passthrough(listen_port=5443, protocols=("registry", "kas"), endpoint_port=5000)


def test_a_text_becomes_a_port() -> None:
    assert parse_passthrough("5443=registry,kas:5000") == REGISTRY
    assert parse_passthrough("443=*.pages") == Passthrough(listen_port=443, protocols=("pages",), below=True)
    assert parse_passthrough("443=ssh") == Passthrough(listen_port=443, protocols=("ssh",))
    for text in ("443", "443=", "=ssh", "443=ssh:", "443=SSH", "ssh=443"):
        found = parse_passthrough(text)
        assert isinstance(found, Problem)
        assert "write PORT=PROTOCOLS[:ENDPOINT_PORT], such as 5443=registry,kas:5000" in found.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8080=ssh", "passthrough[0].listen_port: 8080 is taken by the edge or by another"),
        ("0=ssh", "passthrough[0].listen_port: 0 is no port"),
        ("443=ssh:70000", "passthrough[0].endpoint_port: 70000 is no port"),
        ("443=ftp", "passthrough[0].protocols: ftp: use web, registry, ssh, kas, pages"),
        ("443=ssh,*.pages", "passthrough[0].protocols: ssh, *.pages: use web"),
        ("443=*", "passthrough[0].protocols: *: use web"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(text: str, said: str) -> None:
    found = parse_passthrough(text)
    assert isinstance(found, Passthrough)
    (problem,) = passthrough_problems((found,), (8080,))
    assert str(problem).startswith(said)


def test_each_has_a_port_of_its_own() -> None:
    assert not list(passthrough_problems((REGISTRY,), (8080,)))
    (problem,) = passthrough_problems((REGISTRY, REGISTRY), (8080,))
    assert problem.field == "passthrough[1].listen_port"
