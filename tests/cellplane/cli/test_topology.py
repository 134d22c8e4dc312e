"""Options of `cellplane topology`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cellplane.cli import topology as module
from cellplane.cli.root import cellplane
from cellplane.settings import Listen, TlsFiles
from cellplane.topology_service import TopologyServiceSettings
from topology.service.classify import Lifetimes
from topology.service.identity import Names


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[TopologyServiceSettings]:
    """Take the settings instead of running with them."""
    settings: list[TopologyServiceSettings] = []
    monkeypatch.setattr(module, "run_topology_service", settings.append)
    monkeypatch.setattr("uvloop.run", lambda _: None)
    return settings


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cellplane, ["topology", *arguments], env=env)


def test_options_become_settings(told: list[Any], tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("ca", "cert", "key")}
    for file in files.values():
        file.touch()
    result = run(
        "--listen", "0.0.0.0:1", "--client-ca", str(files["ca"]), "--cert", str(files["cert"]),
        "--key", str(files["key"]), "--rest-listen", "0.0.0.0:3", "--found-ttl", "9",
        "--admin", "ops", "--router", "edge", "--router", "ssh",
        env={"CELLPLANE_TOPOLOGY_SERVER_STATUS_LISTEN": "0.0.0.0:2", "CELLPLANE_ETCD": "a:1,b:2"},
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (settings,) = told
    assert (settings.serving.listen, settings.status_listen) == (
        Listen(host="0.0.0.0", port=1),
        Listen(host="0.0.0.0", port=2),
    )
    assert settings.serving.rest_listen == Listen(host="0.0.0.0", port=3)
    assert settings.serving.lifetimes == Lifetimes(found=9, not_found=5)
    assert settings.serving.tls == TlsFiles(**files)
    assert settings.serving.names == Names(routers=frozenset({"edge", "ssh"}), admins=frozenset({"ops"}))
    assert settings.etcd.endpoints == ("a:1", "b:2")
    assert settings.serving.claims is None


def test_claims_may_lie_elsewhere(told: list[Any]) -> None:
    result = run(env={"CELLPLANE_CLAIM_STORE": "postgresql://ada:hunter2@db/claims"})
    assert result.exit_code == 0, result.output
    assert str(told[0].serving.claims.address) == "postgresql://ada@db/claims"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--listen", "9095"], "write HOST:PORT"),
        (["--cert", "c.pem"], "--cert and --key go together"),
        (["--client-ca", __file__], "--client-ca needs --cert and --key"),
        (["--cert", "/nowhere/c.pem", "--key", "/nowhere/k.pem"], "--cert: there is no file /nowhere/c.pem"),
    ],
)
def test_mistakes_are_named(told: list[Any], arguments: list[str], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert not told
