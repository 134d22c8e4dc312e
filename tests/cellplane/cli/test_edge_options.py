"""What edges are told, as options."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.edge_options import edge_options
from envoy.edge import CellTls, EdgeSettings, EdgeTls

TLS = ("--edge-cert", "/c.pem", "--edge-key", "/k.pem")


def told(*arguments: str) -> EdgeSettings | str:
    found: list[EdgeSettings] = []

    @click.command
    @edge_options
    def command(edge: EdgeSettings) -> None:
        found.append(edge)

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result.stderr


def test_without_any_it_is_plain_http() -> None:
    assert told() == EdgeSettings()


def test_what_comes_with_tls() -> None:
    found = told(*TLS, "--edge-http3", "--edge-redirect-port", "80", "--edge-public-port", "8443")
    assert isinstance(found, EdgeSettings)
    assert found.tls == EdgeTls(
        certificate="/c.pem", key="/k.pem", redirect_port=80, http3=True, public_port=8443
    )


def test_where_traces_go() -> None:
    found = told("--edge-otlp", "10.0.0.9:4317,otel.example:4317", "--edge-trace-percent", "5")
    assert isinstance(found, EdgeSettings)
    assert found.tracing is not None
    assert [each.host for each in found.tracing.endpoints] == ["10.0.0.9", "otel.example"]
    assert found.tracing.percent == 5


def test_cells_over_tls() -> None:
    found = told("--cell-ca", "/ca", "--cell-cert", "/c", "--cell-key", "/k", "--cell-name", "c{id}.test")
    assert isinstance(found, EdgeSettings)
    assert found.cell_tls == CellTls(ca="/ca", certificate="/c", key="/k", name="c{id}.test")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--cell-cert", "/c"), "need --cell-ca"),
        (("--cell-ca", "/ca", "--cell-name", "cells.test"), "cell_tls.name"),
        (("--edge-otlp", "collector"), "--edge-otlp: 'collector' is no listen address"),
        (("--edge-trace-percent", "101"), "--edge-trace-percent"),
        (("--edge-http3",), "--edge-http3 needs --edge-cert"),
        (("--edge-redirect-port", "80"), "--edge-redirect-port needs --edge-cert"),
        ((*TLS, "--edge-redirect-port", "8080"), "tls.redirect_port"),
        ((*TLS, "--edge-redirect-port", "0"), "--edge-redirect-port"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], named: str) -> None:
    assert named in str(told(*arguments))
