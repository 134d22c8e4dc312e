"""Reaching the Topology Service from the command line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from cellplane.cli.service import identity, stamp
from tests.cellplane.cli.topology_thread import topology_in_a_thread
from tests.etcd_server import EtcdServer
from topology.apply import read_view


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cellplane, ["claims", "get", "ROUTES", "a", *arguments])
    return result.exit_code, result.stderr


def test_nobody_there_is_said_with_the_address(free_port: Callable[[], int]) -> None:
    address = f"127.0.0.1:{free_port()}"
    code, words = run("--topology", address)
    assert code == Exit.UNAVAILABLE
    assert f"the Topology Service does not answer at {address}" in words
    assert "--topology or CELLPLANE_TOPOLOGY" in words


def test_one_that_is_mute_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellplane.cli.claims.CALL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        code, words = run("--topology", address)
    assert code == Exit.UNAVAILABLE
    assert f"the Topology Service at {address} did not answer in time" in words


def test_another_kind_of_server_is_told_as_one(etcd: EtcdServer) -> None:
    code, words = run("--topology", etcd.endpoint)
    assert code == Exit.FAILED
    assert f"{etcd.endpoint} does not know what it is asked: unknown service gitlab." in words
    assert "an older release: name the right address with --topology" in words


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--topology-cert", __file__), "--topology-cert and --topology-key go together"),
        (("--topology-ca", "/nowhere"), "there is no file /nowhere"),
        (("--topology", ""), "--topology '' is no address; write HOST:PORT"),
        (("--topology", "http://127.0.0.1:9095"), "write HOST:PORT, without http://"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], named: str) -> None:
    code, words = run(*arguments)
    assert code == Exit.USAGE
    assert named in words


def test_who_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLPLANE_USER", "ada")
    assert identity() == (("x-cellplane-user-bin", b"ada"),)
    monkeypatch.setenv("CELLPLANE_USER", "Åsa")
    assert identity() == (("x-cellplane-user-bin", "Åsa".encode()),)
    monkeypatch.delenv("CELLPLANE_USER")
    ((name, who),) = identity()
    assert name == "x-cellplane-user-bin"
    assert isinstance(who, bytes)
    assert b"@" in who


def test_a_ca_that_is_no_certificate_is_an_answer_too(tmp_path: Path, free_port: Callable[[], int]) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("nonsense")
    code, _ = run("--topology", f"127.0.0.1:{free_port()}", "--topology-ca", str(ca))
    assert code == Exit.UNAVAILABLE


def test_a_stamp_says_who_when_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLPLANE_USER", "ada")
    mark = stamp("because")

    assert (mark.updated_by, mark.reason) == ("ada", "because")
    assert mark.updated_at.endswith("+00:00")
    monkeypatch.delenv("CELLPLANE_USER")
    assert "@" in stamp("").updated_by


def test_under_mtls_the_certificate_says_who_did_it_and_what_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with topology_in_a_thread(verified=True) as topology:
        authority = topology.stage.authority
        assert authority is not None
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("CELLPLANE_TOPOLOGY", topology.address)
        monkeypatch.setenv("CELLPLANE_TOPOLOGY_CA", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("CELLPLANE_USER", "ADMIN-eve")

        def weigh(name: str) -> tuple[int, str]:
            leaf = authority.issue_cert("client.test", common_name=name)
            leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
            leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
            monkeypatch.setenv("CELLPLANE_TOPOLOGY_CERT", str(tmp_path / "cert.pem"))
            monkeypatch.setenv("CELLPLANE_TOPOLOGY_KEY", str(tmp_path / "key.pem"))
            result = CliRunner().invoke(cellplane, ["cells", "set-weight", "1", "7"])
            return result.exit_code, result.output

        code, words = weigh("ROUTER-eu")
        assert code == Exit.REFUSED
        assert "'ROUTER-eu' (router) may not call" in words
        assert "--topology-cert" in words
        assert weigh("ADMIN-ada")[0] == Exit.OK
        view = topology.do(read_view(topology.stage.store, topology.stage.keyspace))
        assert (view.cells[1].weight, view.cells[1].stamp.updated_by) == (7, "ADMIN-ada")
