from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import Authority
from topology.errors import StoreRefused
from topology.etcd_access import Access, Timeouts


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Access(username="root", password="hunter2"))


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (lambda: Access(tls=True, cert=Path("c")), "go together"),
        (lambda: Access(tls=True, key=Path("k")), "go together"),
        (lambda: Access(ca=Path("ca")), "TLS is off"),
        (lambda: Access(server_name="etcd"), "TLS is off"),
        (lambda: Access(password="hunter2"), "without a user name"),
    ],
)
def test_what_makes_no_sense_is_refused(access: object, words: str) -> None:
    assert callable(access)
    with pytest.raises(ValueError, match=words):
        access()


def test_files_are_read_when_they_are_needed(tmp_path: Path) -> None:
    access = Access(tls=True, ca=tmp_path / "ca.pem")
    with pytest.raises(StoreRefused, match=r"a TLS file for etcd can't be read: .*ca\.pem"):
        access.credentials()
    Authority(tmp_path)
    access.credentials()


def test_etcd_is_not_probed_more_often_than_it_allows() -> None:
    assert Timeouts().keepalive >= 5
    assert Timeouts().silence > 2 * Timeouts().progress
