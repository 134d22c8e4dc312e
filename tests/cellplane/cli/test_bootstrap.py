"""`cellplane bootstrap` prints what a real Envoy accepts, and names what none would."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cellplane.cli.root import cellplane
from tests.envoy_process import Bootstrap


def printed(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cellplane, ["bootstrap", "--role", "edge", *arguments])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = yaml.safe_load(result.stdout)
    return document


async def test_envoy_accepts_what_is_printed(envoy_accepts: Callable[[Bootstrap], Awaitable[None]]) -> None:
    document = printed(
        "--node-id", "edge-1", "--region", "eu", "--zone", "a",
        "--xds", "127.0.0.1:18000", "--xds", "127.0.0.2:18000", "--admin", "127.0.0.1:9902",
    )  # fmt: skip

    assert (document["node"]["id"], document["node"]["metadata"]) == ("edge-1", {"role": "edge"})
    assert document["node"]["locality"] == {"region": "eu", "zone": "a"}
    assert document["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9902}
    await envoy_accepts(document)


def test_a_canary_says_so() -> None:
    assert printed("--node-id", "e", "--canary")["node"]["metadata"] == {"role": "edge", "canary": True}


def test_each_replica_may_show_the_certificate_of_its_own_name() -> None:
    document = printed(
        "--node-id", "e", "--xds", "cp-1:1", "--xds", "cp-2:1", "--xds", "10.0.0.3:1", "--xds-ca", "ca.pem"
    )

    socket = document["static_resources"]["clusters"][0]["transport_socket"]["typed_config"]
    names = socket["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert [(name["san_type"], name["matcher"]["exact"]) for name in names] == [
        ("DNS", "cp-1"), ("DNS", "cp-2"), ("IP_ADDRESS", "10.0.0.3"),
    ]  # fmt: skip
    assert socket["sni"] == "cp-1"


def test_several_addresses_may_stand_in_one() -> None:
    one, several = ("--xds", "10.0.0.1:1,10.0.0.2:2"), ("--xds", "10.0.0.1:1", "--xds", "10.0.0.2:2")
    assert printed("--node-id", "e", *one) == printed("--node-id", "e", *several)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--node-id", " "), "--node-id is empty"),
        (("--node-id", "e", "--cell", "3"), "--cell: a sidecar is one of a cell"),
        (("--node-id", "e", "--xds", "http://a:1"), "--xds: 'http://a:1'"),
    ],
)
def test_what_is_wrong_is_told_by_its_option(arguments: tuple[str, ...], named: str) -> None:
    result = CliRunner().invoke(cellplane, ["bootstrap", "--role", "edge", *arguments])
    assert (result.exit_code, named in result.output) == (2, True), result.output


def test_json_says_the_same() -> None:
    result = CliRunner().invoke(
        cellplane, ["bootstrap", "--role", "edge", "--node-id", "e", "--format", "json"]
    )

    assert json.loads(result.stdout) == printed("--node-id", "e")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--node-id", ""], "--node-id"),
        (["--node-id", "e", "--xds", "nowhere"], "nowhere"),
        (["--node-id", "e", "--admin", "9901"], "write HOST:PORT"),
        (["--node-id", "e", "--xds-cert", "c.pem"], "--xds-ca"),
        (["--node-id", "e", "--xds-key", "k.pem"], "--xds-ca"),
        (["--node-id", "e", "--xds-ca", "ca.pem", "--xds-cert", "c.pem"], "go together"),
        ([], "--node-id"),
        (["--node-id", "e", "--cell", "4"], "--cell"),
    ],
)
def test_mistakes_are_named(arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(cellplane, ["bootstrap", "--role", "edge", *arguments])

    assert result.exit_code == 2
    assert named in result.stderr
