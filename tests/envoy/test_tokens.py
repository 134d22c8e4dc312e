"""Routable tokens, by the reference's vectors, by hand, and by whatever a hostile client may send."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.tokens import Fault, RoutableToken, parse_payload, parse_token
from tests.envoy.token_samples import payload, sealed, token

VECTOR = "EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r1ajj2i3"
LARGEST = "\n".join(f"{key}:{'1' + '0' * 10}" for key in "abcdefghij")[:139]


def test_the_references_vector() -> None:
    assert parse_token(VECTOR) == RoutableToken("", "01", {"o": "1"})
    assert parse_payload("EL25d_AKXDUtqLnIQHEpkG86MQM", "0r") == {"o": "1"}


def test_a_prefix_and_all_keys() -> None:
    found = parse_token(token("c:10\ng:zz\no:1\np:7ps\nt:2\nu:2gosa7pa2gv", "glrtr-"))
    fields = {"c": "36", "g": "1295", "o": "1", "p": "10000", "t": "2", "u": "9007199254740991"}
    assert found == RoutableToken("glrtr-", "01", fields)


def test_the_largest_token() -> None:
    largest = token(LARGEST, "x" * 20, b"\xff" * 65)
    assert len(LARGEST) == 139
    assert isinstance(parse_token(largest), RoutableToken)
    assert len(token("c:3", "")) == MINIMUM
    assert isinstance(parse_token(token("c:3", "")), RoutableToken)


MINIMUM = 40
P = payload("c:3\no:1")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.SHAPE),
        ("glpat-0123456789abcdef", Fault.SHAPE),
        ("x" * 50, Fault.SHAPE),
        (VECTOR[:-1], Fault.SHAPE),
        (f"{VECTOR} ", Fault.SHAPE),
        (f"{VECTOR}\n", Fault.SHAPE),
        (VECTOR.upper(), Fault.SHAPE),
        (VECTOR.replace(".", "_", 1), Fault.SHAPE),
        (f"a.{VECTOR}", Fault.SHAPE),
        (f"\x00{VECTOR}", Fault.SHAPE),
        (f"é{VECTOR}", Fault.SHAPE),
        (token("c:3", "x" * 400), Fault.SHAPE),
        (sealed(P, version="02"), Fault.VERSION),
        (sealed(P, version="00"), Fault.VERSION),
        (sealed(P, length=len(P) + 1), Fault.LENGTH),
        (sealed(P, length=0), Fault.LENGTH),
        (sealed(P, length=1295), Fault.LENGTH),
        (sealed("x" * 21 + P, length=len(P)), Fault.LENGTH),
        (f"{VECTOR[:-7]}1ajj2i4", Fault.CHECKSUM),
        (f"F{VECTOR[1:]}", Fault.CHECKSUM),
        (f"glpat-{VECTOR}", Fault.CHECKSUM),
        (sealed("A" * 29), Fault.BASE64),
        (sealed("A" * 28), Fault.PARTS),
        (sealed(payload("c:3", stated=159)), Fault.PARTS),
        (sealed(payload("c:3\no:1", b"r" * 15)), Fault.PARTS),
        (sealed(payload("c:3\no:1", b"r" * 66)), Fault.PARTS),
        (sealed(payload("c:", b"r" * 20)), Fault.PARTS),
        (sealed(payload("c:3\n", b"r" * 16)), Fault.ROUTING),
        (sealed(payload("o:1\nc:3")), Fault.ROUTING),
        (sealed(payload("c:3\nc:4")), Fault.ROUTING),
        (sealed(payload("c:A", b"r" * 20)), Fault.ROUTING),
        (sealed(payload("C:3", b"r" * 20)), Fault.ROUTING),
        (sealed(payload("c:-3", b"r" * 20)), Fault.ROUTING),
        (sealed(payload("c=3", b"r" * 20)), Fault.ROUTING),
        (sealed(payload("cc:3", b"r" * 20)), Fault.ROUTING),
        (sealed(payload("c:2gosa7pa2gw")), Fault.ROUTING),
        (sealed(payload("c:100000000000")), Fault.ROUTING),
        (sealed(payload("\n".join(f"{key}:1" for key in "abcdefghijk"))), Fault.ROUTING),
    ],
)
def test_what_is_no_token_is_told_apart(text: str, fault: Fault) -> None:
    assert parse_token(text) is fault


@pytest.mark.parametrize(
    ("text", "length"), [(P, "0r"), (P, ""), (P, "0w0"), (P, "é0"), ("A" * 26, "0q"), ("A" * 301, "8d")]
)
def test_a_payload_of_another_length_is_none(text: str, length: str) -> None:
    assert parse_payload(text, length) is Fault.LENGTH


@given(st.text(st.characters(max_codepoint=255), max_size=400))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(parse_token(text), Fault)
    assert isinstance(parse_payload(text, text[:2]), Fault)


@given(st.integers(0, len(VECTOR) - 1), st.characters(max_codepoint=255))
def test_one_other_character_is_found_out(at: int, other: str) -> None:
    changed = VECTOR[:at] + other + VECTOR[at + 1 :]
    assert (changed == VECTOR) == isinstance(parse_token(changed), RoutableToken)


@given(st.binary(min_size=20, max_size=225))
def test_any_sealed_payload_is_judged(data: bytes) -> None:
    inside = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert isinstance(parse_token(sealed(inside)), RoutableToken | Fault)
