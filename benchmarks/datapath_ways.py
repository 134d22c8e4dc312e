"""The ways of deciding that the data path benchmark compares, and the requests that are decided so."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.datapath_edges import PREFIXES
from benchmarks.wrk import Request
from tests.envoy.token_samples import base36, token

HOT, COLD = 2_000, 40_000
"""More cold names than Envoy remembers, so that one is forgotten before it is asked for again."""
LONG = 40_000
"""How many requests a run has; no run sends so many, so none comes twice."""
NAMES = [f"hot-{at}" for at in range(HOT)] + [f"cold-{at}" for at in range(COLD)]
COOKIES = "preferred_language=en; visitor=9f86d081884c7d659a2feaa0c55ad015; _gitlab_session={}-" + "5eed" * 8
_SHARES = list(accumulate(1 / (rank + 1) for rank in range(HOT)))


class Mix:
    """Makes sequences of requests, none of which asks for a cold name that was asked for not long ago."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self._random = random.Random(1)
        self._cold = 0

    def each(self, make: Callable[[int], Request]) -> list[Request]:
        """Send to all cells alike."""
        made = [make(cell_id) for cell_id in range(1, self.cells + 1)]
        return self._random.choices(made, k=LONG)

    def zipf(self, remembered: float) -> list[Request]:
        """Ask for owners as customers do, but for a share that nobody asked for lately."""
        hot = self._random.choices(range(HOT), cum_weights=_SHARES, k=LONG)
        return [
            Request(f"/hot-{at}/project") if self._random.random() < remembered else self._fresh()
            for at in hot
        ]

    def hot(self) -> list[Request]:
        """Ask for each name, so that it is remembered: in another order each time, or wrk would send a name
        over the same connection again and again, and one worker of several would never hear it.
        """
        names = [Request(f"/hot-{at}/project") for at in range(HOT)]
        return [each for _ in range(LONG // HOT) for each in self._random.sample(names, HOT)]

    def _fresh(self) -> Request:
        self._cold = (self._cold + 1) % COLD
        return Request(f"/cold-{self._cold}/project")


@dataclass(frozen=True, slots=True)
class Way:
    """A way of deciding; `least` is what its ratio may be, `rule` what decides."""

    name: str
    title: str
    rule: str
    least: float | None
    requests: Callable[[Mix], list[Request]]


def _page(headers: dict[str, str]) -> Request:
    return Request("/users/sign_in", headers)


WAYS = (
    Way("override", "operator override", "override", 0.90,
        lambda mix: mix.each(lambda cell: _page({"x-cellplane-override": f"cell-{cell}"}))),
    Way("pinned", "path prefix", "pinned", 0.90,
        lambda _: [Request(f"/pinned-{at % PREFIXES}/x") for at in range(LONG)]),
    Way("session", "session cookie", "session", 0.90,
        lambda mix: mix.each(lambda cell: _page({"cookie": COOKIES.format(f"cell-{cell}")}))),
    Way("default", "default by weight", "default", 0.90, lambda _: [_page({})] * LONG),
    Way("token", "token decoded in Lua", "private-token", 0.75,
        lambda mix: mix.each(lambda cell: Request("/api/v4/user", {"private-token": _token(cell)}))),
    Way("remembered", "owner remembered in Lua", "namespace", 0.80, lambda mix: mix.zipf(1)),
    Way("zipf98", "owners, 98 % remembered", "namespace", 0.75, lambda mix: mix.zipf(0.98)),
    Way("zipf90", "owners, 90 % remembered", "namespace", 0.60, lambda mix: mix.zipf(0.90)),
    Way("asked", "ext_proc on every request", "namespace", None, lambda mix: mix.zipf(0)),
)  # fmt: skip


def _token(cell_id: int) -> str:
    return token(f"c:{base36(cell_id)}\no:1")
