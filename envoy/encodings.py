"""Base64, base36 and checksums as tokens use them, read without trust: a value or None, never an exception.

Text is latin-1, one character a byte, as HTTP has it. `decide.lua` has the same functions for Envoy, and
tests hold both against each other. `Request -> ClassificationKey -> Decision`: below the tokens.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Final
from zlib import crc32

MAX_NUMBER: Final = 2**53 - 1
"""The largest number that Lua counts to without a mistake; more than any id has."""

_ALPHABET36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE36: Final = re.compile(r"[0-9a-z]{1,11}\Z")
_STANDARD: Final = re.compile(r"[A-Za-z0-9+/]*\Z")
_URL: Final = re.compile(r"[A-Za-z0-9_-]*\Z")


def from_base64(text: str) -> str | None:
    """Decode standard base64. Padding may be left out, but not wrong; bits that no byte needs are ignored."""
    bare = text.rstrip("=")
    padding = len(text) - len(bare)
    if padding and (len(text) % 4 or padding > 2):
        return None
    return _decoded(bare) if _STANDARD.match(bare) else None


def from_base64url(text: str) -> str | None:
    """Decode base64 in its URL-safe alphabet, which has no padding."""
    return _decoded(text.replace("-", "+").replace("_", "/")) if _URL.match(text) else None


def _decoded(bare: str) -> str | None:
    if len(bare) % 4 == 1:
        return None
    return b64decode(bare + "=" * (-len(bare) % 4)).decode("latin-1")


def from_base36(text: str) -> int | None:
    """Read a number of digits and small letters, zeros in front or not, up to `MAX_NUMBER`."""
    if not _BASE36.match(text):
        return None
    number = int(text, 36)
    return number if number <= MAX_NUMBER else None


def to_base36(number: int, width: int) -> str:
    """Write a number with zeros in front."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _ALPHABET36[digit] + digits
    return digits.rjust(width, "0")


def checksum(text: str) -> str:
    """Give the CRC32 of a text in the seven characters that a routable token ends with."""
    return to_base36(crc32(text.encode("latin-1")), 7)
