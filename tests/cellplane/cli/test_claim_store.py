"""Options that say where claims are: no secret on the command line, and mistakes named without repeating
it.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cellplane.cli.claim_store import claim_store_options
from cellplane.cli.outcome import Exit
from cellplane.settings import ClaimStoreSettings

PLAIN = "postgresql://ada@db/claims"
SECRET = "postgresql://ada:hunter2@db/claims"


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    @click.command()
    @claim_store_options()
    def command(claim_store: ClaimStoreSettings | None) -> None:
        if claim_store is None:
            click.echo("in etcd")
            return
        address = claim_store.address
        click.echo(f"{address.url} {address.password} {claim_store.connections} / {claim_store!r} {address}")

    return CliRunner().invoke(command, arguments, env=env)


def test_without_it_claims_are_in_etcd() -> None:
    assert run().output == "in etcd\n"


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    given, shown = run(env={"CELLPLANE_CLAIM_STORE": SECRET}).output.split(" / ")
    assert given == f"{SECRET} None 10"
    assert "hunter2" not in shown
    assert "postgresql://ada@db/claims" in shown
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    result = run(
        "--claim-store", PLAIN, "--claim-store-password-file", str(file), "--claim-store-connections", "3"
    )
    given, shown = result.output.split(" / ")
    assert given == f"{PLAIN} hunter2 3"
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--claim-store", SECRET], "carries a password, which everybody on this machine can read"),
        (["--claim-store", "mysql://ada:hunter2@db/claims"], "write postgresql://USER@HOST:PORT/DATABASE"),
        (["--claim-store", f"{PLAIN}?sslrootcert=/nowhere.pem"], "sslrootcert /nowhere.pem: No such file"),
        (["--claim-store", "postgresql://ada:hunter2@db:abc/claims"], "'abc' for a port"),
        (["--claim-store-password-file", "x"], "needs --claim-store"),
        (["--claim-store", PLAIN, "--claim-store-password-file", "/nowhere"], "No such file"),
        (["--claim-store", PLAIN, "--claim-store-password-file", "/dev/null"], "is empty"),
    ],
)
def test_mistakes_are_named(arguments: list[str], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "hunter2" not in result.output


def test_two_passwords_are_one_too_many(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    result = run("--claim-store-password-file", str(file), env={"CELLPLANE_CLAIM_STORE": SECRET})
    assert result.exit_code == 2
    assert "leave one of them out" in result.stderr


def test_where_it_is_required_an_empty_one_is_none() -> None:
    @click.command()
    @claim_store_options(required=True)
    def command(claim_store: ClaimStoreSettings) -> None:
        raise AssertionError(claim_store)

    result = CliRunner().invoke(command, ["--claim-store", ""])
    assert result.exit_code == Exit.USAGE
    assert "--claim-store is empty; write postgresql://" in result.output


def test_a_group_leaves_them_to_the_command_below_it(tmp_path: Path) -> None:
    """The password's file in the environment, the URL behind the command: the group has no URL."""

    @click.group(invoke_without_command=True)
    @claim_store_options()
    def group(claim_store: ClaimStoreSettings | None) -> None:
        assert claim_store is None

    @group.command()
    @claim_store_options(required=True)
    def below(claim_store: ClaimStoreSettings) -> None:
        click.echo(claim_store.address.password)

    file = tmp_path / "password"
    file.write_text("hunter2")
    environment = {"CELLPLANE_CLAIM_STORE_PASSWORD_FILE": str(file)}
    result = CliRunner().invoke(group, ["below", "--claim-store", PLAIN], env=environment)
    assert result.output == "hunter2\n"
    assert "needs --claim-store" in CliRunner().invoke(group, [], env=environment).output
