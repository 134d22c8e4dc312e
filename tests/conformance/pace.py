"""How long a player waits: as long as the public harness does, or no longer than it takes.

The harness sleeps for fixed times and looks then. Tests can't: they wait until it is so, and let silence be
proven by the answer to a later question.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.conformance.player import Check, NonconformantError, Player


@dataclass(frozen=True, slots=True)
class AsTheHarness:
    """Wait for as long as the harness waits, whatever happens, and look then. Nothing is added."""

    speed: float = 1.0
    """So many times faster than the harness: for a look at the player itself."""

    async def until(self, player: Player, check: Check, seconds: float) -> None:
        await self._wait(player, seconds)
        _look(player, check)

    async def quiet(self, player: Player, service: str, check: Check, seconds: float) -> None:
        await self.until(player, check, seconds)

    async def heard(self, player: Player, service: str) -> None:
        """Go on at once: the harness relies on it that what was said first is heard first."""

    async def finish(self, player: Player, service: str, check: Check) -> None:
        player.hang_up()
        await asyncio.sleep(3.0 / self.speed)
        if problem := check():
            raise NonconformantError(problem)

    async def _wait(self, player: Player, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds / self.speed
        while (left := due - loop.time()) > 0 and not player.broken:
            player.moved.clear()
            try:
                async with asyncio.timeout(left):
                    await player.moved.wait()
            except TimeoutError:
                return


@dataclass(frozen=True, slots=True)
class NoLongerThanNeeded:
    """Wait until it is so, and fail after a while. Silence lasts until the server has answered something
    else.
    """

    patience_seconds: float = 10.0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def until(self, player: Player, check: Check, seconds: float) -> None:
        try:
            async with asyncio.timeout(self.patience_seconds):
                while not player.broken and (check() or not player.has_said_all):
                    player.moved.clear()
                    await player.moved.wait()
        except TimeoutError:
            pass
        _look(player, check)

    async def quiet(self, player: Player, service: str, check: Check, seconds: float) -> None:
        await player.pass_barrier(service, next(self._numbers))
        _look(player, check)

    async def heard(self, player: Player, service: str) -> None:
        await player.pass_barrier(service, next(self._numbers))

    async def finish(self, player: Player, service: str, check: Check) -> None:
        before = player.responses
        await player.pass_barrier(service, next(self._numbers))
        await self.until(player, check, 0.0)
        if player.responses != before + 1:
            raise NonconformantError(f"{player.responses - before - 1} responses that nobody asked for")


def _look(player: Player, check: Check) -> None:
    if problem := player.broken or check():
        raise NonconformantError(problem)
