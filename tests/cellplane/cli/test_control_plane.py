"""Options, environment and config file of `cellplane control-plane`, and which of them wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cellplane.cli import control_plane as module
from cellplane.cli.root import cellplane
from cellplane.control_plane import ControlPlaneSettings
from cellplane.settings import Listen
from envoy.passthrough import Passthrough


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[ControlPlaneSettings]:
    """Take the settings instead of running with them."""
    settings: list[ControlPlaneSettings] = []
    monkeypatch.setattr(module, "run_control_plane", settings.append)
    monkeypatch.setattr("uvloop.run", lambda _: None)
    return settings


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cellplane, ["control-plane", *arguments], env=env)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    told: list[Any], tmp_path: Path
) -> None:
    config = tmp_path / "cellplane.toml"
    config.write_text('xds-listen = "1.1.1.1:1"\nstatus-listen = "1.1.1.1:2"\nedge-listen = "1.1.1.1:3"\n')
    environment = {"CELLPLANE_STATUS_LISTEN": "2.2.2.2:2", "CELLPLANE_EDGE_LISTEN": "2.2.2.2:3"}

    result = run("--config", str(config), "--edge-listen", "3.3.3.3:3", env=environment)

    assert result.exit_code == 0, result.output
    (settings,) = told
    assert Listen(host="1.1.1.1", port=1) == settings.xds_listen
    assert Listen(host="2.2.2.2", port=2) == settings.status_listen
    assert (settings.edge.listen_address, settings.edge.listen_port) == ("3.3.3.3", 3)


def test_several_etcd_endpoints_from_file_environment_and_options(told: list[Any], tmp_path: Path) -> None:
    config = tmp_path / "cellplane.toml"
    config.write_text('etcd = ["a:1", "b:2"]\n')
    run("--config", str(config))
    run(env={"CELLPLANE_ETCD": "c:3,d:4"})
    run("--etcd", "e:5", "--etcd", "f:6")

    endpoints = [settings.etcd.endpoints for settings in told]
    assert endpoints == [("a:1", "b:2"), ("c:3", "d:4"), ("e:5", "f:6")]


def test_ports_for_tls_that_is_handed_on(told: list[Any]) -> None:
    run("--edge-passthrough", "5443=registry,kas:5000", "--edge-passthrough", "443=*.pages")
    assert told[0].edge.passthrough == (
        Passthrough(listen_port=5443, protocols=("registry", "kas"), endpoint_port=5000),
        Passthrough(listen_port=443, protocols=("pages",), below=True),
    )


def test_who_may_ask_for_the_status_of_envoys(told: list[Any], tmp_path: Path) -> None:
    tls = ("--xds-cert", __file__, "--xds-key", __file__, "--xds-client-ca", __file__)
    config = tmp_path / "cellplane.toml"
    config.write_text('status-reader = ["ops.example", "spiffe://example/ops"]\n')

    run(*tls)
    run(*tls, "--config", str(config))
    run(*tls, "--status-reader", "ops.example")
    run(*tls, env={"CELLPLANE_STATUS_READER": "one two"})

    assert [settings.status_readers for settings in told] == [
        frozenset(),
        {"ops.example", "spiffe://example/ops"},
        {"ops.example"},
        {"one", "two"},
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--xds-listen", "18000"], "--xds-listen: '18000' is no listen address; write HOST:PORT"),
        (["--status-listen", "127.0.0.1"], "--status-listen: '127.0.0.1' is no listen address"),
        (["--xds-cert", "c.pem"], "go together"),
        (["--status-reader", "ops"], "--status-reader needs --xds-client-ca"),
        (["--xds-client-ca", __file__], "--xds-cert and --xds-key"),
        (["--edge-cert", "c.pem"], "--edge-cert and --edge-key"),
        (["--edge-client-ca", "ca.pem"], "--edge-client-ca needs"),
        (["--edge-listen", "example.com:80"], "listen_address"),
        (["--edge-passthrough", "443"], "--edge-passthrough: '443' is none: write PORT=PROTOCOLS"),
        (["--edge-passthrough", "8080=ssh"], "passthrough[0].listen_port: 8080 is taken"),
        (["--health-check-path", "health"], "health_check_path"),
        (["--ext-proc", "10.0.0.5"], "--ext-proc: '10.0.0.5' is no listen address"),
        (["--ext-proc-cert", "c.pem"], "--ext-proc-cert and --ext-proc-key go together"),
        (["--ext-proc-cert", "c.pem", "--ext-proc-key", "k"], "needs --ext-proc-ca"),
        (["--ext-proc-timeout", "2"], "--ext-proc-timeout"),
        (["--etcd", "nonsense"], "--etcd"),
        (["--etcd-cert", "c.pem"], "--etcd-cert and --etcd-key"),
        (["--config", "/nowhere/cellplane.toml"], "No such file"),
    ],
)
def test_mistakes_are_named(told: list[Any], arguments: list[str], named: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert not told


def test_without_ext_proc_nobody_is_asked(told: list[Any]) -> None:
    run()
    run("--ext-proc", "10.0.0.5:1,owners.internal:2", "--ext-proc", "[::1]:3", "--ext-proc-timeout", "0.01")

    without, given = (settings.edge.lookups for settings in told)
    assert without is None
    assert [(place.host, place.port) for place in given.endpoints] == [
        ("10.0.0.5", 1),
        ("owners.internal", 2),
        ("::1", 3),
    ]
    assert (given.timeout_seconds, given.stale_seconds) == (0.01, 3600)


def test_an_unknown_setting_in_the_file_is_named(told: list[Any], tmp_path: Path) -> None:
    config = tmp_path / "cellplane.toml"
    config.write_text('xds-lisen = "1.1.1.1:1"\n')

    result = run("--config", str(config))

    assert result.exit_code == 2
    assert "xds_lisen" in result.stderr
    assert "xds-listen" in result.stderr


def test_help_teaches() -> None:
    said = run("--help").stdout

    assert "A first start" in said
    assert "The command line wins over the environment" in said
