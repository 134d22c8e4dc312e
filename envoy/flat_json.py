"""JSON from a request, read without trust: the strings and whole numbers at the top of one object.

Rules take JWT claims with it. Not the standard reader, because Lua inside Envoy must read the same in the
same way, byte by byte: nothing that two readers could take differently is let through (a name twice, half a
character, what comes after the end). `Request -> ClassificationKey -> Decision`: below the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MAX_JSON: Final = 8192
MAX_DEPTH: Final = 16

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))(?![0-9])(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"true|false|null")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}


class _NotJsonError(Exception):
    """The text is no JSON, or JSON that is not to be trusted."""


def json_fields(text: str) -> Mapping[str, str] | None:
    """Read an object's strings, and whole numbers as they are written; None where it is no such JSON."""
    if len(text) > MAX_JSON:
        return None
    reader = _Reader(text)
    try:
        fields = reader.top()
    except _NotJsonError:
        return None
    return fields


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def top(self) -> Mapping[str, str]:
        fields: dict[str, str] = {}
        self._space()
        if self._peek() != "{":
            raise _NotJsonError
        self._object(1, fields)
        self._space()
        if self._at != len(self._text):
            raise _NotJsonError
        return fields

    def _value(self, depth: int) -> str | None:
        """Read any value; give the text of a string or whole number."""
        match self._peek():
            case '"':
                return self._string()
            case "{":
                self._object(depth + 1, {})
            case "[":
                self._array(depth + 1)
            case _:
                number = _NUMBER.match(self._text, self._at)
                found = number or _WORD.match(self._text, self._at)
                if found is None:
                    raise _NotJsonError
                self._at = found.end()
                if number and number[2] is None and number[3] is None:
                    return number[1]
        return None

    def _object(self, depth: int, fields: dict[str, str]) -> None:
        names: set[str] = set()
        self._open(depth)
        while self._more("}", first=not names):
            if self._peek() != '"':
                raise _NotJsonError
            name = self._string()
            self._space()
            self._take(":")
            self._space()
            value = self._value(depth)
            if name in names:
                raise _NotJsonError
            names.add(name)
            if value is not None:
                fields[name] = value

    def _array(self, depth: int) -> None:
        self._open(depth)
        first = True
        while self._more("]", first=first):
            self._value(depth)
            first = False

    def _open(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _NotJsonError
        self._at += 1

    def _more(self, end: str, *, first: bool) -> bool:
        self._space()
        if self._peek() == end:
            self._at += 1
            return False
        if not first:
            self._take(",")
            self._space()
        return True

    def _string(self) -> str:
        self._at += 1
        out = ""
        while True:
            found = _PLAIN.match(self._text, self._at)
            if found is None:
                raise AssertionError("it matches nothing too")
            out += found[0]
            self._at = found.end()
            if self._peek() == '"':
                self._at += 1
                return out
            self._take("\\")
            out += self._escape()

    def _escape(self) -> str:
        letter = self._peek()
        self._at += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != "u":
            raise _NotJsonError
        code = self._hex()
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self._at):
            self._at += 2
            low = self._hex()
            if not 0xDC00 <= low < 0xE000:
                raise _NotJsonError
            code = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
        if 0xD800 <= code < 0xE000:
            raise _NotJsonError
        return chr(code).encode().decode("latin-1")

    def _hex(self) -> int:
        found = _HEX.match(self._text, self._at)
        if found is None:
            raise _NotJsonError
        self._at = found.end()
        return int(found[0], 16)

    def _space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, mark: str) -> None:
        if self._peek() != mark:
            raise _NotJsonError
        self._at += 1
