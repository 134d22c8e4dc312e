"""Bytes by hand are the bytes that protobuf makes."""

from __future__ import annotations

import pytest

from pb.envoy.service.discovery.v3 import discovery_pb2
from xds.encoding import duration_field, field, field_head, text_field, varint


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16384, "808001"),
        (2**32, "8080808010"),
    ],
)
def test_varints(value: int, encoded: str) -> None:
    assert varint(value).hex() == encoded


def test_fields_are_read_by_protobuf() -> None:
    text = "ü" * 200
    resource = discovery_pb2.Resource.FromString(text_field(3, text) + field(1, b"v"))
    assert (resource.name, resource.version) == (text, "v")


def test_a_head_goes_before_its_content() -> None:
    assert field_head(2, 3) + b"abc" == field(2, b"abc") == b"\x12\x03abc"


def test_an_empty_text_is_left_out() -> None:
    assert text_field(3, "") == b""


@pytest.mark.parametrize(
    ("seconds", "whole", "nanos"), [(90.0, 90, 0), (0.25, 0, 250_000_000), (3600.000000001, 3600, 1)]
)
def test_a_duration_is_read_by_protobuf(seconds: float, whole: int, nanos: int) -> None:
    ttl = discovery_pb2.Resource.FromString(duration_field(6, seconds)).ttl
    assert (ttl.seconds, ttl.nanos) == (whole, nanos)


def test_no_duration_is_left_out() -> None:
    assert duration_field(6, 0.0) == b""
