"""Options that reach etcd."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.connection import etcd_options
from cellplane.settings import EtcdSettings


def given(*arguments: str, **environment: str) -> EtcdSettings | str:
    found: list[EtcdSettings] = []

    @click.command()
    @etcd_options
    def command(etcd: EtcdSettings) -> None:
        found.append(etcd)

    result = CliRunner(env={"CELLPLANE_ETCD": None, **environment}).invoke(command, arguments)
    return found[0] if found else result.stderr


def endpoints(*arguments: str, **environment: str) -> tuple[str, ...]:
    found = given(*arguments, **environment)
    assert isinstance(found, EtcdSettings), found
    return found.endpoints


def test_endpoints_are_one_or_several() -> None:
    assert endpoints() == ("127.0.0.1:2379",)
    assert endpoints("--etcd", "a:1", "--etcd", "b:2") == ("a:1", "b:2")
    assert endpoints("--etcd", "a:1,b:2") == ("a:1", "b:2")
    assert endpoints(CELLPLANE_ETCD="a:1 b:2, c:3") == ("a:1", "b:2", "c:3")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--etcd", "nowhere"), "--etcd: 'nowhere' is no endpoint"),
        (("--etcd-key", "k.pem"), "--etcd-cert and --etcd-key go together"),
        (("--etcd-ca", "/nowhere/ca.pem"), "--etcd-ca: there is no file"),
        (("--etcd-prefix", "cellplane"), "--etcd-prefix"),
        (("--etcd-password", "secret"), "--etcd-password needs --etcd-user"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], named: str) -> None:
    found = given(*arguments)

    assert isinstance(found, str), found
    assert named in found
