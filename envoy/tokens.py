"""Routable tokens: what a token says of where it belongs, `<prefix><payload>.<version>.<length><crc>`.

Rules hand in the token or its payload and get the fields that it routes by, or why it is none. A token is
unsigned: what is read here may steer a request to a cell that serves, and grants nothing; the application
compares the whole token. `Request -> ClassificationKey -> Decision`: where a key comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from envoy.encodings import checksum, from_base36, from_base64url

MIN_LENGTH: Final = 40
MAX_LENGTH: Final = 333
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]+)\.([0-9a-z]{2})\.([0-9a-z]{2})([0-9a-z]{7})\Z")
_LINE: Final = re.compile(r"([a-z]):([0-9a-z]{1,11})\Z")
_VERSION: Final = "01"
_MAX_PREFIX: Final = 20
_PAYLOAD: Final = range(27, 301)
_RANDOM: Final = range(16, 66)
_ROUTING: Final = range(3, 160)
_MAX_LINES: Final = 10


class Fault(StrEnum):
    """Why a text is no routable token."""

    SHAPE = "no <prefix><payload>.<version>.<length><crc>"
    VERSION = "a version that is not known"
    LENGTH = "a payload whose length is not the one it states"
    CHECKSUM = "a wrong checksum"
    BASE64 = "a payload that is no base64url"
    PARTS = "random and routing parts of a length that no token has"
    ROUTING = "a routing part that is no list of keys and numbers"


@dataclass(frozen=True, slots=True)
class RoutableToken:
    """A token that holds together. `fields` are decimal numbers: c cell, o organization, g group, p project,
    u user, t type.
    """

    prefix: str
    version: str
    fields: Mapping[str, str] = field(hash=False)


def parse_token(text: str) -> RoutableToken | Fault:
    """Read a whole token: its shape, version, length, checksum and payload."""
    found = _TOKEN.match(text)
    if found is None or not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        return Fault.SHAPE
    head, version, stated = found[1], found[2], found[3]
    if version != _VERSION:
        return Fault.VERSION
    length = from_base36(stated)
    if length is None or length not in _PAYLOAD or not 0 <= len(head) - length <= _MAX_PREFIX:
        return Fault.LENGTH
    if checksum(text[:-7]) != found[4]:
        return Fault.CHECKSUM
    at = len(head) - length
    fields = payload_fields(head[at:])
    return fields if isinstance(fields, Fault) else RoutableToken(head[:at], version, fields)


def parse_payload(payload: str, stated_length: str) -> Mapping[str, str] | Fault:
    """Read a payload that was cut out of its token, by the length that the token states in base36."""
    if len(stated_length) != 2 or from_base36(stated_length) != len(payload) or len(payload) not in _PAYLOAD:
        return Fault.LENGTH
    return payload_fields(payload)


def payload_fields(payload: str) -> Mapping[str, str] | Fault:
    """Read `random ‖ routing ‖ length of routing`; the routing part is `key:number` lines, sorted by key."""
    decoded = from_base64url(payload)
    if not decoded:
        return Fault.BASE64
    length = ord(decoded[-1])
    if length not in _ROUTING or len(decoded) - 1 - length not in _RANDOM:
        return Fault.PARTS
    fields: dict[str, str] = {}
    lines = decoded[-1 - length : -1].split("\n")
    last = ""
    for line in lines:
        found = _LINE.match(line)
        number = from_base36(found[2]) if found else None
        if found is None or number is None or found[1] <= last:
            return Fault.ROUTING
        last = found[1]
        fields[last] = str(number)
    return fields if len(lines) <= _MAX_LINES else Fault.ROUTING
