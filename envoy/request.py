"""A request as the edge sees it, and the parts of it that rules look at.

The evaluator gets it from commands and tests; its parts are read exactly as Envoy and `decide.lua` read them.
It knows no rule and no cell. `Request -> ClassificationKey -> Decision`, its first noun.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Final

_PORT: Final = re.compile(r":[0-9]*\Z")
_SMALL: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_COOKIE_SEPARATOR: Final = re.compile(r"[;,]")
QUICK_HEADERS: Final = ("cookie", "x-cellplane-override", "private-token", "job-token", "runner-token")
"""Which headers Envoy keeps at hand (`bootstrap`), besides our own: what rules for a product like GitLab ask
of each request. Of several lines of such a name Envoy makes one at once, of those that are not empty.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the edge sees of a request: the direct peer, and the names in its verified certificate, if any.

    Headers are as sent, in order, a name more than once where it was; text is latin-1, as HTTP has it.
    `authority` is the Host header or `:authority`.
    """

    method: str = "GET"
    path: str = "/"
    authority: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""
    identities: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """Give a header's value as Envoy matches it: several are joined with commas, cookies as one list."""
        values = [value.strip(" \t") for key, value in self.headers if key.lower() == name]
        if not values:
            return None
        if name in QUICK_HEADERS:
            return ("; " if name == "cookie" else ",").join(filter(None, values))
        return ",".join(values)

    def cookies(self, name: str) -> tuple[str, ...]:
        """Give the values of a cookie: more than one where it was sent more than once."""
        return tuple(_cookies(self.header("cookie") or "", name))


def host_name(authority: str) -> str:
    """Give the host of an authority as names are claimed: in small letters, without its port."""
    return _PORT.sub("", authority).translate(_SMALL)


def without_dot(authority: str) -> str:
    """Take the dot away that ends a whole name, as Envoy does: `www.example.:80` is `www.example:80`."""
    head, dot, rest = authority.rpartition(".")
    return head + rest if dot and (not rest or rest.startswith(":")) else authority


def query_values(path: str, name: str) -> tuple[str, ...]:
    """Give the values of a query parameter, as they are written: nothing is decoded."""
    _, _, query = path.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    return tuple(value for key, _, value in pairs if key == name)


def _cookies(header: str, name: str) -> Iterator[str]:
    for pair in _COOKIE_SEPARATOR.split(header):
        key, equals, value = pair.lstrip(" \t").partition("=")
        if equals and key == name:
            yield value
