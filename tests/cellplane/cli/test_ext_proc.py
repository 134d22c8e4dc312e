"""Options of `cellplane ext-proc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cellplane.cli import ext_proc as module
from cellplane.cli.root import cellplane
from cellplane.ext_proc import ExtProcSettings
from cellplane.settings import Listen, TlsFiles
from topology.service.classify import Lifetimes


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[ExtProcSettings]:
    """Take the settings instead of running with them."""
    settings: list[ExtProcSettings] = []
    monkeypatch.setattr(module, "run_ext_proc", settings.append)
    monkeypatch.setattr("uvloop.run", lambda _: None)
    return settings


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cellplane, ["ext-proc", *arguments], env=env)


def test_options_become_settings(told: list[Any], tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("ca", "cert", "key")}
    for file in files.values():
        file.touch()
    result = run(
        "--listen", "0.0.0.0:1", "--client-ca", str(files["ca"]), "--cert", str(files["cert"]),
        "--key", str(files["key"]), "--found-ttl", "9",
        env={"CELLPLANE_EXT_PROC_SERVER_STATUS_LISTEN": "0.0.0.0:2", "CELLPLANE_ETCD": "a:1,b:2"},
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (settings,) = told
    assert (settings.listen, settings.status_listen) == (
        Listen(host="0.0.0.0", port=1),
        Listen(host="0.0.0.0", port=2),
    )
    assert settings.lifetimes == Lifetimes(found=9, not_found=5)
    assert settings.tls == TlsFiles(**files)
    assert settings.etcd.endpoints == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--listen", "18010"], "write HOST:PORT"),
        (["--cert", "c.pem"], "--cert and --key go together"),
        (["--client-ca", __file__], "--client-ca needs --cert and --key"),
        (["--found-ttl", "-1"], "found-ttl"),
    ],
)
def test_mistakes_are_named(told: list[Any], arguments: list[str], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert not told


def test_claims_may_be_in_postgresql(told: list[Any]) -> None:
    result = run("--claim-store", "postgresql://cellplane@db:5432/claims")
    assert result.exit_code == 0, result.output
    assert str(told[0].claims.address) == "postgresql://cellplane@db:5432/claims"
