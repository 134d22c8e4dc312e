"""What sidecars are told, as options."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.sidecar_options import sidecar_options
from envoy.edge import EdgeTls, LookupTls
from envoy.sidecar import Outbound, SidecarSettings
from topology.model import Endpoint

LISTEN = ("--sidecar-listen", "0.0.0.0:8081")


def told(*arguments: str) -> SidecarSettings | str | None:
    found: list[SidecarSettings | None] = []

    @click.command
    @sidecar_options
    def command(sidecar: SidecarSettings | None) -> None:
        found.append(sidecar)

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result.stderr


def test_without_a_port_there_are_none() -> None:
    assert told() is None


def test_all_of_it() -> None:
    assert told(
        *(*LISTEN, "--sidecar-app", "localhost:3000", "--sidecar-app-http2"),
        *("--sidecar-cert", "/c", "--sidecar-key", "/k", "--sidecar-client-ca", "/a"),
        *("--sidecar-topology", "t1:9095,t2:9095", "--sidecar-outbound", "127.0.0.1:9096"),
        *("--sidecar-topology-ca", "/ta", "--sidecar-topology-cert", "/tc", "--sidecar-topology-key", "/tk"),
    ) == SidecarSettings(
        listen_port=8081,
        application=Endpoint(host="localhost", port=3000),
        http2=True,
        tls=EdgeTls(certificate="/c", key="/k", client_ca="/a"),
        outbound=Outbound(
            listen_port=9096,
            endpoints=(Endpoint(host="t1", port=9095), Endpoint(host="t2", port=9095)),
            tls=LookupTls(ca="/ta", certificate="/tc", key="/tk"),
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--sidecar-topology", "t:1"), "--sidecar-topology needs --sidecar-listen"),
        (("--sidecar-client-ca", "/a"), "--sidecar-client-ca needs --sidecar-listen"),
        ((*LISTEN, "--sidecar-cert", "/c", "--sidecar-key", "/k"), "--sidecar-client-ca go together"),
        ((*LISTEN, "--sidecar-app", "nowhere"), "--sidecar-app"),
        ((*LISTEN, "--sidecar-topology-ca", "/a"), "--sidecar-topology-ca needs --sidecar-topology"),
        ((*LISTEN, "--sidecar-topology", "t:1", "--sidecar-topology-cert", "/c"), "go together"),
        ((*LISTEN, "--sidecar-topology", "t:1", "--sidecar-outbound", "0.0.0.0:8081"), "8081 is taken"),
        (("--sidecar-listen", "edge.test:80"), "no IP address"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], named: str) -> None:
    assert named in str(told(*arguments))
