"""Who calls, and whether they may: roles from a certificate's common name, rules from the method's option.

The gate hands in what TLS verified and what the descriptors say. It reads no certificate and knows no gRPC.
Stands before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from topology.model import MAX_ID
from topology.service.forwarded import forwarded_name

_CELL: Final = re.compile(r"cell-([1-9][0-9]{0,9})\Z", re.IGNORECASE)
_ROUTER: Final = re.compile(r"router(-[a-z0-9._-]+)?\Z", re.IGNORECASE)
_ADMIN: Final = re.compile(r"admin(-[a-z0-9._-]+)?\Z", re.IGNORECASE)


class Rule(IntEnum):
    """The wire's rules, by their numbers."""

    ANY_AUTHENTICATED = 1
    ANY_CELL = 2
    MATCHING_CELL_ONLY = 3
    ANY_ROUTER = 4
    ANY_ADMIN = 5


class Role(StrEnum):
    """What a caller is. UNVERIFIED: nobody asked for a certificate, so no rule can be applied. NOBODY: a
    trusted proxy forwarded no identity, and nothing is open to nobody.
    """

    UNVERIFIED = "unverified"
    NOBODY = "nobody"
    UNKNOWN = "unknown"
    CELL = "cell"
    ROUTER = "router"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `cell_id` is a cell's, and 0 for all others."""

    role: Role
    name: str
    cell_id: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """Common names that are routers or admins besides ROUTER, ROUTER-…, ADMIN and ADMIN-…; and the proxies
    whose word on who their client is counts.
    """

    routers: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()


NO_MORE_NAMES: Final = Names()


def caller_of(common_name: str, names: Names = NO_MORE_NAMES) -> Caller:
    """Read a verified common name: CELL-4, ROUTER-eu, ADMIN-ada, in any case; or one of the names."""
    if common_name in names.admins or _ADMIN.match(common_name):
        return Caller(Role.ADMIN, common_name)
    if common_name in names.routers or _ROUTER.match(common_name):
        return Caller(Role.ROUTER, common_name)
    cell = _CELL.match(common_name)
    if cell and int(cell[1]) <= MAX_ID:
        return Caller(Role.CELL, common_name, int(cell[1]))
    return Caller(Role.UNKNOWN, common_name)


def identify(
    common_name: str, headers: Callable[[str], Sequence[str]], names: Names = NO_MORE_NAMES
) -> Caller:
    """Say who calls, by the verified common name; behind a trusted proxy, by what that forwards.

    `headers` gives all values of a header. They are not looked at where the caller is no trusted proxy.
    """
    if common_name not in names.proxies:
        return caller_of(common_name, names)
    forwarded = forwarded_name(headers)
    # A proxy never speaks for itself, nor for another proxy.
    if not forwarded or forwarded in names.proxies:
        return Caller(Role.NOBODY, f"a client of {common_name}")
    return caller_of(forwarded, names)


def may(caller: Caller, rules: Iterable[int], cell_id: int | None) -> bool:
    """Tell whether one of the rules lets the caller in. `cell_id` is the request's, None where it has none.

    A rule that this version does not know lets nobody in.
    """
    if caller.role in (Role.UNVERIFIED, Role.NOBODY):
        return caller.role is Role.UNVERIFIED
    lets_in: dict[int, bool] = {
        Rule.ANY_AUTHENTICATED: True,
        Rule.ANY_CELL: caller.role is Role.CELL,
        Rule.MATCHING_CELL_ONLY: caller.role is Role.CELL and caller.cell_id == cell_id,
        Rule.ANY_ROUTER: caller.role is Role.ROUTER,
        Rule.ANY_ADMIN: caller.role is Role.ADMIN,
    }
    return any(lets_in.get(rule, False) for rule in rules)
