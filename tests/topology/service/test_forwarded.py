"""Who a proxy says that its client is: exactly one name, or none."""

from __future__ import annotations

import base64

import pytest

from topology.service.forwarded import ENVOYS, SUBJECT_DN, forwarded_name


def der(*names: tuple[str, bytes]) -> str:
    """Spell a subject of common names, each with the tag of its string, by hand."""
    rdns = b""
    for tag, value in names:
        text = bytes.fromhex(tag) + bytes([len(value)]) + value
        pair = bytes.fromhex("0603550403") + text
        inner = b"\x30" + bytes([len(pair)]) + pair
        rdns += b"\x31" + bytes([len(inner)]) + inner
    return base64.b64encode(b"\x30" + bytes([len(rdns)]) + rdns).decode()


ORGANIZATION = bytes.fromhex("310a3008060355040a0c0178")
COMMON_NAME = bytes.fromhex("310e300c06035504030c0541444d494e")
BESIDE_AN_ORGANIZATION = base64.b64encode(b"\x30\x1c" + ORGANIZATION + COMMON_NAME).decode()


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("MBAxDjAMBgNVBAMMBUFETUlO", "ADMIN"),
        (der(("0c", b"CELL-1")), "CELL-1"),
        (der(("13", b"CELL-2")), "CELL-2"),
        (BESIDE_AN_ORGANIZATION, "ADMIN"),
        (der(("0c", b"CELL-1"), ("0c", b"ADMIN")), None),
        (der(("1e", b"CELL-1")), None),
        (der(("0c", b"")), None),
        ("MBAxDjAMBgNVBAMMBUFETU", None),
        ("MA==", None),
        ("MBAxDjAMBgNVBAMMBUFE", None),
        ("%%%", None),
        ("", None),
    ],
)
def test_a_subject_in_der(subject: str, name: str | None) -> None:
    assert forwarded_name({SUBJECT_DN: [subject], ENVOYS: []}.__getitem__) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('By=spiffe://a;Hash=ab;Subject="CN=CELL-4,O=x";URI=', "CELL-4"),
        ('Subject="O=x,CN=ADMIN-ada"', "ADMIN-ada"),
        ("Hash=ab;Subject=CN=ROUTER", "ROUTER"),
        ('Subject="CN=a\\,CN=ADMIN"', "a,CN=ADMIN"),
        ('Subject="O=\\"x;y\\",CN=CELL-4"', "CELL-4"),
        ('Subject="CN=a\\2Cb"', "a,b"),
        ('Subject="CN=Zo\\C3\\AB"', "Zoë"),
        ('Subject="CN=Zo\\C3"', "Zo\ufffd"),
        ('Subject="CN=CELL-4+CN=ADMIN"', None),
        ('Subject="CN=CELL-4";Subject="CN=ADMIN"', None),
        ('Subject="CN=CELL-4",Subject="CN=ADMIN"', None),
        ('Subject="O=x"', None),
        ('Subject="CN=ADMIN', None),
        ("Hash=ab", None),
        ("", None),
    ],
)
def test_envoys_own_header(header: str, name: str | None) -> None:
    assert forwarded_name({SUBJECT_DN: [], ENVOYS: [header]}.__getitem__) == name


def test_two_headers_are_nobodys_word() -> None:
    one, other = "MBAxDjAMBgNVBAMMBUFETUlO", 'Subject="CN=CELL-4"'
    assert forwarded_name({SUBJECT_DN: [one], ENVOYS: [other]}.__getitem__) is None
    assert forwarded_name({SUBJECT_DN: [one, one], ENVOYS: []}.__getitem__) is None
    assert forwarded_name({SUBJECT_DN: [], ENVOYS: []}.__getitem__) is None
