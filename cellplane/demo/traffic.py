"""Steady traffic through the edge, each request with what it should meet, each answer with what it met.

The tour reads the record between two marks to check a step request by request; nothing is sampled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

_BODY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One kind of request. `owner` is the cell that must answer; None for traffic that nobody owns."""

    kind: str
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    owner: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `cell` is the cell that answered, None where none did; `rule` is what the cell was
    told.
    """

    ask: Ask
    status: int
    cell: int | None
    rule: str
    seen_by_cell: Mapping[str, str]
    response_headers: Mapping[str, str]
    error: str = ""


def session_ask(cell_id: int) -> Ask:
    """Return a request whose session cookie names a cell."""
    return Ask(
        kind=f"session of cell {cell_id}",
        headers={"cookie": f"_gitlab_session=cell-{cell_id}-5eed"},
        owner=cell_id,
    )


def path_ask(path: str, cell_id: int) -> Ask:
    """Return a request whose path belongs to a cell."""
    return Ask(kind=f"path {path}", path=f"{path}/project", owner=cell_id)


UNOWNED = Ask(kind="unowned", path="/explore")


async def ask(session: aiohttp.ClientSession, url: str, request: Ask) -> Answer:
    """Send one request and read the whole answer; a failure to get one is an answer with status 0."""
    try:
        async with (
            asyncio.timeout(_BODY_SECONDS),
            session.get(url + request.path, headers=dict(request.headers), allow_redirects=False) as response,
        ):
            body = await response.json() if response.content_type == "application/json" else {}
            seen = body.get("headers", {})
            return Answer(
                ask=request,
                status=response.status,
                cell=body.get("cell"),
                rule=seen.get("x-cellplane-rule", ""),
                seen_by_cell=seen,
                response_headers={name.lower(): value for name, value in response.headers.items()},
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(
            ask=request, status=0, cell=None, rule="", seen_by_cell={}, response_headers={}, error=repr(error)
        )


class Traffic:
    """Send a fixed round of requests at a fixed rate until stopped."""

    def __init__(self, url: str, round_of_asks: list[Ask], rate_per_second: float) -> None:
        self._url = url
        self._round = round_of_asks
        self._pause_seconds = 1.0 / rate_per_second
        self.answers: list[Answer] = []
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Send until cancelled; a slow answer does not slow the rate."""
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            loop = asyncio.get_running_loop()
            due = loop.time()
            number = 0
            while True:
                tasks.create_task(self._one(session, self._round[number % len(self._round)]))
                number += 1
                due += self._pause_seconds
                await asyncio.sleep(max(0.0, due - loop.time()))

    def mark(self) -> int:
        """Return a mark for `since`."""
        return len(self.answers)

    def since(self, mark: int) -> list[Answer]:
        """Return what was answered after a mark."""
        return self.answers[mark:]

    async def more(self, count: int) -> None:
        """Wait until this many more answers have come."""
        goal = len(self.answers) + count
        while len(self.answers) < goal:
            self._arrived.clear()
            await self._arrived.wait()

    async def _one(self, session: aiohttp.ClientSession, request: Ask) -> None:
        self.answers.append(await ask(session, self._url, request))
        self._arrived.set()


def wrong_owner(answers: list[Answer]) -> list[Answer]:
    """Return owned requests that another cell answered."""
    return [a for a in answers if a.ask.owner is not None and a.cell is not None and a.cell != a.ask.owner]


def failed(answers: list[Answer], *, quarantined: int | None = None) -> list[Answer]:
    """Return what did not get 200, leaving out the 503 that a quarantined cell's own traffic is meant to
    get.
    """
    return [
        a
        for a in answers
        if a.status != 200
        and not (a.status == 503 and quarantined is not None and a.ask.owner == quarantined)
    ]


def by_cell(answers: list[Answer]) -> Counter[int | None]:
    """Count answers by the cell that gave them."""
    return Counter(a.cell for a in answers)
