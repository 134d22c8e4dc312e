"""A request sent to a real edge, and what it decided, beside what the evaluator says: `explain --live`.

The edge names rule and cell in its answer. What it answers comes from the cell: the request is for real.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cellplane.cli.outcome import Exit, fail
from cellplane.explaining import status_of
from envoy.decision import Explanation, Outcome
from envoy.edge import CELL_HEADER, RULE_HEADER
from envoy.request import Request

HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECONDS = 10.0
# They announce a body, and none is sent: edge and cell would wait for it.
_OF_A_BODY = frozenset({"content-length", "transfer-encoding", "expect"})


@dataclass(frozen=True, slots=True)
class Live:
    """What a real edge decided. `cell` is the name of a cluster; `peer` is where we came from."""

    status: int
    rule: str
    cell: str
    peer: str


def ask_edge(edge: str, request: Request, ca: Path | None) -> Live:
    """Send the request to the edge at this URL. End the command where none answers."""
    place = urlsplit(edge)
    if place.scheme not in {"http", "https"} or not place.hostname:
        fail(Exit.USAGE, f"--live: {edge!r} is no edge: write http://HOST:PORT or https://HOST:PORT.")
    for name, _ in request.headers:
        if name.lower() in _OF_A_BODY:
            fail(Exit.USAGE, f"--live sends no body, so no {name}: leave that header out.")
    try:
        connection = _connection(place.scheme, place.hostname, place.port, request, ca)
        connection.connect()
        peer = str(connection.sock.getsockname()[0])
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", request.authority or place.netloc)
        for name, value in request.headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        fail(Exit.UNAVAILABLE, f"no edge answers at {edge}: {error}.")
    return Live(answer.status, answer.getheader(RULE_HEADER, ""), answer.getheader(CELL_HEADER, ""), peer)


def differences(found: Explanation, live: Live) -> Iterator[str]:
    """Say in what the edge decided otherwise."""
    decision = found.decision
    if decision.outcome is Outcome.BAD_PATH:
        if live.status != 400 or live.rule:
            yield f"the edge answered {live.status} by rule {live.rule or '-'}, not 400 before any rule"
        return
    if not live.rule:
        yield (
            f"{live.status} came before any rule was asked, not by {decision.rule}: the edge refuses such a "
            "request, or sends it to HTTPS, or what answers is no edge"
        )
        return
    if live.rule != decision.rule:
        yield f"the edge decided by rule {live.rule or '-'}, not {decision.rule}"
    cells = {f"cell-{cell}" for cell, _ in decision.candidates} or {decision.cluster}
    if decision.outcome is Outcome.QUARANTINED:
        cells = {f"cell-{decision.cell}"}
    if live.cell not in cells:
        yield f"the edge sent it to {live.cell or 'no cell'}, not to {' or '.join(sorted(cells)) or 'none'}"
    status = status_of(decision)
    if status and live.status != status:
        yield f"the edge answered {live.status}, not {status}"


def _connection(
    scheme: str, host: str, port: int | None, request: Request, ca: Path | None
) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    name = request.authority.rpartition(":")[0] or request.authority
    return _Named(host, port, name or host, context)


class _Named(http.client.HTTPSConnection):
    """Connects to one place and wants the certificate of another name: an edge by its address."""

    def __init__(self, host: str, port: int | None, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=_SECONDS, context=context)
        self._name, self._tls = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
