"""Options of the console: what goes together, and what does not."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cellplane.cli.console_options import console_options
from tests.certificates import Authority


@click.command()
@console_options
def shown(**options: object) -> None:
    click.echo(repr(options))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(shown, arguments)


def test_without_options_the_console_is_read_only() -> None:
    assert "operators=frozenset()" in run().output


def test_a_proxy_and_its_header() -> None:
    result = run("--console-operator=ada", "--console-proxy=10.0.0.7", "--console-user-header=X-Auth-Email")
    assert "IPv4Network('10.0.0.7/32')" in result.output
    assert "user_header='x-auth-email'" in result.output
    assert "certificates=False" in result.output


def test_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "localhost")
    result = run(
        "--console-operator=ada", f"--status-cert={server.cert}", f"--status-key={server.key}",
        f"--status-client-ca={authority.ca}",
    )  # fmt: skip
    assert "certificates=True" in result.output, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--console-operator=ada"], "--console-operator needs --console-proxy or --status-client-ca"),
        (["--console-proxy=10.0.0.7"], "--console-proxy needs --console-operator"),
        (["--console-operator=ada", "--console-proxy=x"], "--console-proxy: 'x'"),
        (["--console-user-header=a b"], "--console-user-header: 'a b' is no header's name"),
        (["--status-cert=/nowhere"], "--status-cert and --status-key go together"),
        (["--status-client-ca=/nowhere"], "--status-client-ca needs --status-cert and --status-key"),
        (["--status-cert=/nowhere", "--status-key=/nowhere"], "--status-cert: there is no file /nowhere"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
