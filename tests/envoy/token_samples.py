"""Tokens for tests, made by the book and not by what reads them."""

from __future__ import annotations

import base64
import zlib

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int, width: int = 1) -> str:
    text = ""
    while number:
        text = DIGITS[number % 36] + text
        number //= 36
    return text.rjust(width, "0")


def sealed(head: str, version: str = "01", length: int | None = None) -> str:
    """Add version, length and checksum to prefix and payload, right or wrong."""
    body = f"{head}.{version}.{base36(len(head) if length is None else length, 2)}"
    return body + base36(zlib.crc32(body.encode()), 7)


def payload(routing: str, random: bytes = b"\x5a" * 16, stated: int | None = None) -> str:
    """Put the random part, the routing part and its length together."""
    data = random + routing.encode() + bytes([len(routing) if stated is None else stated])
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(routing: str = "c:3\no:1", prefix: str = "glpat-", random: bytes = b"\x5a" * 16) -> str:
    inside = payload(routing, random)
    return sealed(prefix + inside, length=len(inside))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()


def jwt(claims: str, head: str = '{"alg":"RS256"}') -> str:
    parts = [
        base64.urlsafe_b64encode(text.encode("latin-1")).rstrip(b"=").decode() for text in (head, claims)
    ]
    return ".".join([*parts, "c2lnbmF0dXJl"])
