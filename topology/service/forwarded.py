"""The name of a client as a proxy forwards it: from `x-client-cert-subject-dn` or Envoy's own header.

`identity` asks only where the proxy's certificate says that it is trusted. What is not exactly one name is
none. Stands before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

# GitLab's: base64 of the subject as DER. Envoy's: text, of which `Subject="…"` counts.
SUBJECT_DN: Final = "x-client-cert-subject-dn"
ENVOYS: Final = "x-forwarded-client-cert"
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_STRINGS: Final = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii"}
_SEQUENCE, _SET = 0x30, 0x31
_PART: Final = re.compile(r'(?:[^;,"]|"(?:[^"\\]|\\.)*")+')
_ATTRIBUTE: Final = re.compile(r"(?:[^,+\\]|\\.)+")
_ESCAPES: Final = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)")


def forwarded_name(headers: Callable[[str], Sequence[str]]) -> str | None:
    """Give the client's common name; None where there is not exactly one."""
    subject, envoys = headers(SUBJECT_DN), headers(ENVOYS)
    if len(subject) + len(envoys) != 1:
        return None
    names = tuple(_of_der(subject[0]) if subject else _of_envoy(envoys[0]))
    return names[0] if len(names) == 1 and names[0] else None


def _of_der(text: str) -> Iterator[str]:
    """Yield the common names of a subject: SEQUENCE OF SET OF SEQUENCE { type, value }."""
    try:
        whole = base64.b64decode(text, validate=True)
        ((tag, subject),) = _parts(whole)
        if tag != _SEQUENCE:
            return
        found = [
            value.decode(_STRINGS[kind])
            for _, names in _parts(subject)
            for _, name in _parts(names)
            if name.startswith(_COMMON_NAME)
            for kind, value in _parts(name[len(_COMMON_NAME) :])
        ]
    except (binascii.Error, ValueError, KeyError, IndexError):
        return
    yield from found


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what lies behind one another in DER. Raises ValueError where something is cut short."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 2:
                raise ValueError("no subject is that long")
            length = int.from_bytes(data[at : at + octets])
            at += octets
        if at + length > len(data):
            raise ValueError("cut short")
        yield tag, data[at : at + length]
        at += length


def _of_envoy(text: str) -> Iterator[str]:
    """Yield the common names of the client that Envoy saw. A list is the word of several proxies:
    nobody's.
    """
    parts = _PART.findall(text)
    if ";".join(parts) != text:
        return
    for part in parts:
        key, _, value = part.partition("=")
        if key.lower() != "subject":
            continue
        # Between the quotes stands the subject of RFC 2253 as it is, with its own escapes only.
        if value.startswith('"'):
            value = value[1:-1]
        for attribute in _ATTRIBUTE.findall(value):
            name, _, common_name = attribute.partition("=")
            if name.strip().upper() == "CN":
                yield _ESCAPES.sub(_unescaped, common_name)


def _unescaped(found: re.Match[str]) -> str:
    """Read bytes of UTF-8 that follow one another, or a character that would mean something else."""
    return bytes.fromhex(found[1].replace("\\", "")).decode(errors="replace") if found[1] else found[2]
