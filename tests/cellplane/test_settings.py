"""Settings: addresses, files, and the config file's mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.settings import EtcdSettings, Listen, SettingsError, TlsFiles, read_config_file


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:18000", "127.0.0.1", 18000), ("[::]:80", "::", 80), ("edge:0", "edge", 0)],
)
def test_listen_addresses(text: str, host: str, port: int) -> None:
    assert Listen(host=host, port=port) == Listen.parse(text)


def test_a_listen_address_is_written_as_it_was_read() -> None:
    assert str(Listen.parse("[::1]:80")) == "[::1]:80"
    assert str(Listen.parse("127.0.0.1:80")) == "127.0.0.1:80"


@pytest.mark.parametrize("text", ["18000", ":18000", "127.0.0.1:", "127.0.0.1:xds", "127.0.0.1:70000"])
def test_what_is_no_listen_address(text: str) -> None:
    with pytest.raises(SettingsError, match="write HOST:PORT"):
        Listen.parse(text)


def test_half_a_key_pair_is_refused(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.touch()
    with pytest.raises(SettingsError, match="--etcd-cert and --etcd-key go together"):
        TlsFiles(cert=cert).check("etcd")
    with pytest.raises(SettingsError, match="--etcd-ca: there is no file"):
        TlsFiles(ca=tmp_path / "ca.pem").check("etcd")
    assert not TlsFiles().given


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(EtcdSettings(password="secret"))


def test_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "cellplane.toml"
    path.write_text('xds-listen = "0.0.0.0:1"\netcd = ["a:1", "b:2"]\n')

    assert read_config_file(path, {"xds_listen": "", "etcd": ""}, "cellplane control-plane") == {
        "xds_listen": "0.0.0.0:1",
        "etcd": ["a:1", "b:2"],
    }


def test_mistakes_in_a_config_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cellplane.toml"
    with pytest.raises(SettingsError, match="No such file"):
        read_config_file(path, {}, "cellplane control-plane")
    path.write_text("xds-listen 0.0.0.0")
    with pytest.raises(SettingsError, match="is no TOML"):
        read_config_file(path, {}, "cellplane control-plane")
    path.write_text('xds-lisen = "x"\n')
    with pytest.raises(SettingsError, match=r"no setting xds_lisen\. It has: xds-listen"):
        read_config_file(path, {"xds_listen": ""}, "cellplane control-plane")
