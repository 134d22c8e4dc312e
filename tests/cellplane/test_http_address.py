from __future__ import annotations

import urllib.request
from urllib.error import URLError

import pytest

from cellplane.http_address import url_of, why


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1:18001", "http://127.0.0.1:18001"),
        ("http://127.0.0.1:18001/", "http://127.0.0.1:18001"),
        ("https://control.example", "https://control.example"),
    ],
)
def test_an_address_may_be_typed_without_its_scheme(typed: str, url: str) -> None:
    assert url_of(typed) == url


def test_a_closed_port_is_told_in_plain_words(closed_port: int) -> None:
    with pytest.raises(URLError) as refused:
        urllib.request.urlopen(url_of(f"127.0.0.1:{closed_port}"), timeout=10)  # noqa: S310
    assert why(refused.value) == "Connection refused"
    assert why(TimeoutError("timed out")) == "timed out"
    assert why(ValueError("Expecting value: line 1")) == "Expecting value: line 1"
