from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.encodings import checksum, from_base36, from_base64, from_base64url, to_base36


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("YQ==", "a"),
        ("YQ", "a"),
        ("YR==", "a"),
        ("YWI=", "ab"),
        ("YWI", "ab"),
        ("YWJj", "abc"),
        ("+/+/", "\xfb\xff\xbf"),
        ("YQ=", None),
        ("YQ===", None),
        ("YWJj=", None),
        ("YWJj====", None),
        ("Y", None),
        ("Y===", None),
        ("=", None),
        ("====", None),
        ("YQ==YQ==", None),
        ("Y Q=", None),
        ("YQ==\n", None),
        ("_-_-", None),
        ("é", None),
        ("\x00", None),
    ],
)
def test_base64(text: str, expected: str | None) -> None:
    assert from_base64(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("YQ", "a"),
        ("-_-_", "\xfb\xff\xbf"),
        ("YQ==", None),
        ("+/", None),
        ("Y", None),
        ("Y\n", None),
    ],
)
def test_base64url(text: str, expected: str | None) -> None:
    assert from_base64url(text) == expected


@given(st.binary(max_size=100))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    assert from_base64(base64.b64encode(data).decode()) == data.decode("latin-1")
    assert from_base64url(base64.urlsafe_b64encode(data).rstrip(b"=").decode()) == data.decode("latin-1")


@given(st.text(st.characters(max_codepoint=255)))
def test_nothing_is_too_odd(text: str) -> None:
    assert from_base64(text) is None or isinstance(from_base64(text), str)
    assert from_base64url(text) is None or isinstance(from_base64url(text), str)
    assert from_base36(text) is None or isinstance(from_base36(text), int)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("00z", 35),
        ("10", 36),
        ("2gosa7pa2gv", 2**53 - 1),
        ("2gosa7pa2gw", None),
        ("zzzzzzzzzzz", None),
        ("000000000001", None),
        ("", None),
        ("A", None),
        ("-1", None),
        ("1_0", None),
        ("1 ", None),
        ("1\n", None),
        ("\u0661", None),
    ],
)
def test_base36(text: str, number: int | None) -> None:
    assert from_base36(text) == number


def test_numbers_and_checksums_have_zeros_in_front() -> None:
    assert (to_base36(0, 2), to_base36(27, 2), to_base36(1295, 2)) == ("00", "0r", "zz")
    assert checksum("EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r") == "1ajj2i3"
    assert checksum("") == "0000000"
