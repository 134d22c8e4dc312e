"""Requests made by chance from what is special in requests, the same ones each time; hostile ones among them.

Together with the tables they are the corpus that goes through Python, LuaJIT and a real Envoy. They carry no
expectation: all engines have to agree.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator

from tests.envoy import match_table, request_table
from tests.envoy.match_table import Asked
from tests.envoy.token_samples import basic, jwt, payload, sealed, token

Header = tuple[str, str]
CELLS = (
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "11",
    "12",
    "33",
    "111",
    "0",
    "03",
    "-1",
    "a",
    "",
    "9" * 20,
)
NUMBERS = (*"123478bc0", "33", "03", "zz", "A", "", "2gosa7pa2gv", "2gosa7pa2gw")
PREFIXES = (
    "cell-1",
    "cell-3",
    "cell-4",
    "cell-11",
    "cell-99",
    "eu-west",
    "eu",
    "cell-",
    "CELL-3",
    "cell-3-x",
)
ODD = (
    "\xe9",
    "\xff\xfe",
    "%00",
    "%2F",
    "%2f",
    "..",
    "//",
    "\\",
    ";",
    ",",
    "=",
    "&",
    "$",
    "^",
    "'",
    '"',
    "{",
    "<",
)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "PROPFIND", "OPTIONS", "TRACE")
HOSTS = (
    "edge.test",
    "edge.test",
    "gitlab.test",
    "GitLab.Test:443",
    "about.gitlab.test",
    "x.docs.gitlab.test",
    "a",
    "[::1]:80",
)
SCOPES = (
    "repository:acme/web:pull",
    "repository%3Aacme%2Fweb%3Apull%2Cpush",
    "repository(plugin):globex/x:pull",
    "repository:globex:*",
    "repository:a:5000/x:pull",
    "registry:catalog:*",
    "repository:%ff:pull",
    "a%",
    "",
)
SEGMENTS = (
    "acme",
    "users",
    "users.json",
    "api",
    "v1",
    "v3",
    "v4",
    "-",
    "admin",
    "help",
    "site",
    "jwt",
    "auth",
    "closed",
    "shut",
    "robots.txt",
    "v2",
    "groups",
    "caf%C3%A9",
    "%61cme",
    "a%2Fb",
    "",
    ".",
    "..",
    "ACME",
    "sub",
    "deep",
)


class Maker:
    """Makes requests from one seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def request(self) -> Asked:
        one = self._chance
        makers: tuple[Callable[[], Header], ...] = (
            self._private,
            self._job,
            self._runner,
            self._bearer,
            self._basic,
            self._cookie,
            self._cookie,
            self._override,
            self._forged,
            self._admin,
        )
        headers = tuple(one.choice(makers)() for _ in range(one.choice((0, 1, 1, 1, 2, 2, 3))))
        peer = one.choice((request_table.OPERATOR, request_table.STRANGER, request_table.STRANGER))
        return Asked(
            "", self._path(), headers, method=one.choice(METHODS), authority=one.choice(HOSTS), peer=peer
        )

    def _path(self) -> str:
        one = self._chance
        path = "/" + "/".join(one.choice(SEGMENTS) for _ in range(one.randint(0, 4)))
        if one.random() < 0.15:
            path += one.choice(ODD[2:])  # over HTTP/1.1 Envoy takes no other bytes than ASCII in a path
        if one.random() < 0.05:
            scopes = (one.choice(SCOPES) for _ in range(one.randint(1, 4)))
            return "/jwt/auth?scope=" + one.choice(("&scope=", "+", "%20")).join(scopes)
        if one.random() < 0.35:
            names = ("cell", "q", "first", "cells", "x", "%63ell", "")
            pairs = (
                one.choice(names) + one.choice(("=", "=", "", "==")) + one.choice(CELLS)
                for _ in range(one.randint(1, 3))
            )
            path += "?" + one.choice(("&", "&", ";", "?")).join(pairs)
        if one.random() < 0.01:
            path += "/" + "x" * one.choice((4090, 9000))
        return path

    def _routing(self) -> str:
        one = self._chance
        keys = sorted(one.sample("cogput", one.randint(1, 4)))
        if one.random() < 0.1:
            one.shuffle(keys)
        lines = [f"{key}:{one.choice(NUMBERS)}" for key in keys]
        return one.choice(("\n", "\n", "\n", "\n", "\r\n", ",")).join(lines)

    def _token(self, prefix: str) -> str:
        one = self._chance
        routing = self._routing()
        whole = token(
            routing,
            prefix,
            bytes(one.randrange(256) for _ in range(one.choice((15, 16, 16, 16, 17, 65, 66)))),
        )
        match one.randrange(12):
            case 0:
                at = one.randrange(len(whole))
                return whole[:at] + one.choice("aA0._-+=\xff") + whole[at + 1 :]
            case 1:
                return whole[: one.randrange(len(whole))]
            case 2:
                inside = payload(routing, stated=one.choice((0, 2, 3, len(routing) + 1, 159, 200, 255)))
                return sealed(prefix + inside, length=len(inside))
            case 3:
                inside = payload(routing)
                return sealed(prefix + inside, version=one.choice(("00", "02", "zz")), length=len(inside))
            case 4:
                return one.choice(
                    ("", "x", "x" * 4095, "x" * 4097, "glpat-" + "a" * 20, "\xe9" * 40, whole + whole)
                )
            case _:
                return whole

    def _private(self) -> Header:
        return self._chance.choice(("private-token", "PRIVATE-TOKEN", "private_token")), self._token("glpat-")

    def _job(self) -> Header:
        return "job-token", self._token(self._chance.choice(("", "glcbt-", "x" * 20, "x" * 21)))

    def _runner(self) -> Header:
        return "runner-token", self._token(self._chance.choice(("glrt-", "glrtr-", "glrtx-", "")))

    def _bearer(self) -> Header:
        word = self._chance.choice(("Bearer ", "bearer ", "Bearer  ", "BEARER ", "Bearer\t", "Token "))
        return "authorization", word + self._token("glpat-")

    def _claims(self) -> str:
        one = self._chance
        body: dict[str, object] = {"iat": 1700000000, "cell_prefix": one.choice(PREFIXES)}
        if one.random() < 0.3:
            body[one.choice(("cell_prefix", "aud", "\xe9", "nested"))] = one.choice(
                (3, None, True, 1.5, [1, {"a": "b"}], {"cell_prefix": "cell-1"})
            )
        text = json.dumps(body)
        if one.random() < 0.3:
            at = one.randrange(len(text))
            text = text[:at] + one.choice('{}[]",:\\u\x00\xff0e') + text[at + one.randint(0, 1) :]
        return text

    def _basic(self) -> Header:
        one = self._chance
        password = f"glcbt-{jwt(self._claims())}" if one.random() < 0.6 else self._token("glpat-")
        value = basic(one.choice(("", "git", "gitlab-ci-token", "\xe9")), password)
        if one.random() < 0.15:
            at = one.randrange(6, len(value))
            value = value[:at] + one.choice("=+_ -,\xff") + value[at:]
        return "authorization", value

    def _pin(self) -> str:
        one = self._chance
        fields = {
            one.choice(("cell", "number", "other")): one.choice((*CELLS, 3, 11, True, None)) for _ in range(2)
        }
        text = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()
        if one.random() < 0.2:
            at = one.randrange(len(text))
            text = text[:at] + one.choice("=+/.A_") + text[at:]
        return one.choice(("v1.", "v1.", "v1.", "v2.", "")) + text

    def _cookie(self) -> Header:
        one = self._chance
        found = []
        for _ in range(one.choice((1, 1, 2, 3))):
            name = one.choice(("_gitlab_session", "_gitlab_session", "pin", "a", "x_gitlab_session", "PIN"))
            value = (
                self._pin()
                if name.lower() == "pin"
                else one.choice(PREFIXES) + one.choice(("-0123", "-", "", "-x-y", "_"))
            )
            found.append(name + one.choice(("=", "=", "=", " =", "", "==")) + value)
        return "cookie", one.choice(("; ", "; ", ";", ",", ";\t", " ")).join(found)

    def _override(self) -> Header:
        return "x-cellplane-override", self._chance.choice(
            ("cell-3", "cell-4", "cell-2", "cell-9", "cell-03", "", "x")
        )

    def _forged(self) -> Header:
        one = self._chance
        name = one.choice(
            (
                "X-Cellplane-Cell",
                "x-cellplane-rule",
                "x_cellplane_cell",
                "x-cellplane-session",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-original-url",
                "cellplane.keys",
                "x-envoy-original-path",
                "x-http-method-override",
            )
        )
        return name, one.choice(("cell-4", "1", "127.0.0.1", "/acme", "PUT", *ODD[:2]))

    def _admin(self) -> Header:
        return "x-admin", self._chance.choice(("1", "", "\xff"))


def generated(count: int, seed: int = 4) -> Iterator[Asked]:
    """Make requests."""
    maker = Maker(seed)
    for _ in range(count):
        yield maker.request()


def written() -> Iterator[Asked]:
    """Give the requests of both tables, without what is expected of them by other rules."""
    yield from match_table.rows()
    for row in request_table.rows():
        yield Asked("", row.path, row.headers, peer=row.peer)
