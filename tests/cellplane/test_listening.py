from __future__ import annotations

import socket

import pytest

from cellplane.listening import check_free
from cellplane.settings import Listen, SettingsError


def test_a_port_that_somebody_has_is_told_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"--listen 127.0.0.1:{port}: can't listen there: Address al"):
            check_free(Listen(host="127.0.0.1", port=port), "--listen")
    check_free(Listen(host="127.0.0.1", port=port), "--listen")


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(SettingsError, match="Cannot assign requested address"):
        check_free(Listen(host="192.0.2.1", port=0), "--listen")


def test_a_name_is_left_to_who_listens() -> None:
    check_free(Listen(host="nowhere.invalid", port=1), "--listen")
