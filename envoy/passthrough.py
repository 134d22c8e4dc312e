"""TLS that the edge hands on unread: on which ports, for which addresses of a cell, to which port of it.

Part of the edge's settings; the command reads it from `PORT=PROTOCOLS[:ENDPOINT_PORT]`, `tls_names` makes
resources of it. `View -> Snapshot`: the part of a Snapshot that no View decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from topology.model import PROTOCOLS, Problem

_FORM: Final = re.compile(r"(?P<port>\d{1,5})=(?P<protocols>[a-z*.,]+)(?::(?P<endpoint>\d{1,5}))?\Z")
_BELOW: Final = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough:
    """A port that takes TLS and hands it on unread, to the cell that has the name the client asks for.

    Names are the hosts of the cells' addresses for `protocols`, or with `below` those one label below, such
    as `alice.pages.example` for `pages.example`. A cell takes it at `endpoint_port`, or where its endpoints
    are (0).
    """

    listen_port: int
    protocols: tuple[str, ...]
    endpoint_port: int = 0
    below: bool = False


def parse_passthrough(text: str) -> Passthrough | Problem:
    """Read `5443=registry,kas:5000`, or `443=*.pages` for the names below."""
    found = _FORM.match(text)
    if found is None:
        message = f"{text!r} is none: write PORT=PROTOCOLS[:ENDPOINT_PORT], such as 5443=registry,kas:5000"
        return Problem(field="passthrough", message=message)
    words = found["protocols"].split(",")
    below = all(word.startswith(_BELOW) for word in words)
    return Passthrough(
        listen_port=int(found["port"]),
        protocols=tuple(word.removeprefix(_BELOW) if below else word for word in words),
        endpoint_port=int(found["endpoint"] or 0),
        below=below,
    )


def passthrough_problems(given: Sequence[Passthrough], taken: Iterable[int]) -> Iterator[Problem]:
    """Judge all of them; `taken` are the ports that the edge has already."""
    ports = set(taken)
    for at, each in enumerate(given):
        path = f"passthrough[{at}]"
        if not 1 <= each.listen_port <= 65535:
            yield Problem(
                field=f"{path}.listen_port", message=f"{each.listen_port} is no port: use 1 to 65535"
            )
        elif each.listen_port in ports:
            message = f"{each.listen_port} is taken by the edge or by another: give each a port of its own"
            yield Problem(field=f"{path}.listen_port", message=message)
        ports.add(each.listen_port)
        if not 0 <= each.endpoint_port <= 65535:
            message = f"{each.endpoint_port} is no port: use 1 to 65535, or 0 for the endpoints' own"
            yield Problem(field=f"{path}.endpoint_port", message=message)
        if not each.protocols or not set(each.protocols) <= set(PROTOCOLS):
            names = ", ".join(each.protocols) or "nothing"
            message = f"{names}: use {', '.join(PROTOCOLS)}, all of them with *. in front or none"
            yield Problem(field=f"{path}.protocols", message=message)
