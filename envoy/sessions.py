"""The session cookie's value to its cell, inside the Cookie header, without code and without a list of cells.

A prefix tree of substring searches finds the one cell that may be meant, in about as many steps as the cell's
number has digits; one regular expression then makes sure that it stands in the cookie of that name. This
costs Envoy a few per cent of a request. Taking the value out first, by CEL, costs as much as the request.
`branches` hands in the leaves (`View -> Snapshot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from envoy import matchers
from envoy.matchers import ANY_BYTES, Entry, OnMatch, entry, listed, quoted

_COOKIES: Final = matchers.header("cookie")
MAX_DEPTH: Final = 10
"""Envoy reads messages nested up to 100 deep, and each level of the tree takes four."""


def cookie_start(cookie: str) -> str:
    """Match everything up to the value of a cookie of this name.

    Cookies are parted by semicolons; Envoy joins several Cookie lines with commas.
    """
    return rf"(?:{ANY_BYTES}[;,][ \t]*)?{quoted(cookie)}="


def once(cookie: str) -> matchers.Predicate:
    """Match where the cookie is there, at least once."""
    return matchers.matches(_COOKIES, cookie_start(cookie) + ANY_BYTES)


def twice(cookie: str) -> matchers.Predicate:
    """Match where the cookie is there more than once."""
    return matchers.matches(
        _COOKIES, rf"{cookie_start(cookie)}{ANY_BYTES}[;,][ \t]*{quoted(cookie)}={ANY_BYTES}"
    )


def maybe(cookie: str) -> matchers.Predicate:
    """Match where the cookie may be there: cheap, for requests without it end here."""
    return matchers.contains(_COOKIES, f"{cookie}=")


def session_tree(cookie: str, leaves: Mapping[str, OnMatch]) -> OnMatch:
    """Lead to the leaf whose key the cookie's value starts with. No key may be the start of another."""
    return _Tree(cookie, leaves).node("", sorted(leaves), 1)


class _Tree:
    def __init__(self, cookie: str, leaves: Mapping[str, OnMatch]) -> None:
        self._cookie = cookie
        self._leaves = leaves

    def node(self, prefix: str, keys: list[str], depth: int) -> OnMatch:
        groups: dict[str, list[str]] = {}
        for key in keys:
            groups.setdefault(key if depth == MAX_DEPTH else key[: len(prefix) + 1], []).append(key)
        return listed(self._entry(group, depth) for group in groups.values())

    def _entry(self, keys: list[str], depth: int) -> Entry:
        if len(keys) == 1:
            return self._leaf(keys[0])
        shared = _shared_start(keys[0], keys[-1])
        found = matchers.contains(_COOKIES, f"{self._cookie}={shared}")
        return entry(found, self.node(shared, keys, depth + 1))

    def _leaf(self, key: str) -> Entry:
        return entry(_starts_with(self._cookie, key), self._leaves[key])


@lru_cache(maxsize=32_768)  # a change of one cell asks for all the others again
def _starts_with(cookie: str, key: str) -> matchers.Predicate:
    found = matchers.contains(_COOKIES, f"{cookie}={key}")
    certain = matchers.matches(_COOKIES, f"{cookie_start(cookie)}{quoted(key)}{ANY_BYTES}")
    return matchers.all_of(found, certain)


def _shared_start(first: str, last: str) -> str:
    """Give what all keys between two sorted ones start with."""
    for at, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:at]
    raise AssertionError(f"{first} is the start of {last}: no View lets that in")
