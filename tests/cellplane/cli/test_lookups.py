"""Where Envoys ask for owners, as options."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.lookups import lookup_options
from envoy.edge import Lookups, LookupTls


def told(*arguments: str) -> Lookups | None:
    found: list[Lookups | None] = []

    @click.command
    @lookup_options
    def command(lookups: Lookups | None) -> None:
        found.append(lookups)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return found[0]


def test_files_make_it_tls() -> None:
    plain, one_way = told("--ext-proc", "a:1"), told("--ext-proc", "a:1", "--ext-proc-ca", "ca.pem")
    both = told(
        "--ext-proc", "a:1", "--ext-proc-ca", "ca.pem", "--ext-proc-cert", "c.pem", "--ext-proc-key", "k.pem"
    )
    assert plain is not None
    assert plain.tls is None
    assert one_way is not None
    assert one_way.tls == LookupTls(ca="ca.pem")
    assert both is not None
    assert both.tls == LookupTls(ca="ca.pem", certificate="c.pem", key="k.pem")


@pytest.mark.parametrize("arguments", [(), ("--ext-proc-stale", "5")])
def test_without_servers_nobody_is_asked(arguments: tuple[str, ...]) -> None:
    assert told(*arguments) is None


def test_files_for_nobody_are_a_mistake() -> None:
    @click.command
    @lookup_options
    def command(lookups: Lookups | None) -> None:
        raise AssertionError("it must not come so far")

    result = CliRunner().invoke(command, ["--ext-proc-ca", "ca.pem"])
    assert result.exit_code == 2
    assert "--ext-proc-ca needs --ext-proc" in result.stderr
