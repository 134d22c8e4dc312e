"""What a player expects and does not get, it reports: each expectation, disappointed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from grpc import aio

from tests.conformance.conftest import Target
from tests.conformance.pace import AsTheHarness, NoLongerThanNeeded
from tests.conformance.player import NonconformantError, Pace, Player, Variant
from tests.conformance.scenarios import DELTA, SOTW

PATIENT = NoLongerThanNeeded()
IMPATIENT = NoLongerThanNeeded(patience_seconds=0.3)
"""For what never comes."""


class Disturbed(Player):
    """Is told of a change whenever it adds something: in the middle of what shall prove silence."""

    async def add(self, service: str, name: str, version: str) -> None:
        await self.update(service, "a", "2")
        await self.receives(service, ("a",), "2")
        await super().add(service, name, version)


@asynccontextmanager
async def playing(
    target: Target, variant: Variant, pace: Pace = PATIENT, player: type[Player] = Player
) -> AsyncIterator[Player]:
    """Give a player that has received two endpoints."""
    async with aio.insecure_channel(target.xds) as xds, aio.insecure_channel(target.adapter) as adapter:
        one = player(variant, f"{variant}-{id(pace)}", xds, adapter, pace)
        try:
            await one.state(["EDS"], ("a", "b"))
            one.subscribe("EDS", "a", "b")
            await PATIENT.until(one, lambda: one._lacks("EDS", ("a", "b"), "1"), 0.5)
            yield one
        finally:
            await one.close()
            await one.clear()


async def test_a_version_that_does_not_come(target: Target) -> None:
    async with playing(target, SOTW[0], IMPATIENT) as player:
        with pytest.raises(NonconformantError, match="EDS should be at 2"):
            await player.receives("EDS", ("a",), "2")


async def test_what_comes_in_two_responses(target: Target) -> None:
    async with playing(target, SOTW[0]) as player:
        for name in ("a", "b"):
            await player.update("EDS", name, "2")
            await player.receives("EDS", (name,), "2")
        with pytest.raises(NonconformantError, match="came in several responses"):
            await player.receives_together("EDS", ("a", "b"), "2")


async def test_what_does_not_come_alone(target: Target) -> None:
    async with playing(target, DELTA[0]) as player:
        with pytest.raises(NonconformantError, match="EDS b came as a did"):
            player.came_alone("EDS", "a")
        await player.update("EDS", "b", "1")
        await player.is_heard("EDS")
        player.came_alone("EDS", "b", nonce_only=True)
        with pytest.raises(NonconformantError, match="EDS a came as b did"):
            player.came_alone("EDS", "b")


async def test_more_than_was_to_come(target: Target) -> None:
    async with playing(target, SOTW[0], IMPATIENT) as player:
        await player.update("EDS", "a", "2")
        with pytest.raises(NonconformantError, match="EDS a 2 should be all"):
            await player.receives_only("EDS", "a", "2")


async def test_what_was_not_to_come(target: Target) -> None:
    async with playing(target, DELTA[0]) as player:
        player.seen["EDS"].clear()
        await player.update("EDS", "a", "2")
        with pytest.raises(NonconformantError, match="EDS a came"):
            await player.never_receives("EDS", "a")
        with pytest.raises(NonconformantError, match="came: "):
            await player.receives_nothing("EDS")


async def test_a_removal_that_is_not_told(target: Target) -> None:
    async with playing(target, DELTA[0], IMPATIENT) as player:
        with pytest.raises(NonconformantError, match="EDS a was not said to be removed"):
            await player.is_told_removed("EDS", "a")


async def test_a_response_that_nobody_asked_for(target: Target) -> None:
    async with playing(target, SOTW[0], player=Disturbed) as player:
        told = player.responses
        with pytest.raises(NonconformantError, match="1 responses that nobody asked for"):
            await player.is_never_told_more_than_necessary("EDS")
        assert player.responses == told + 2


async def test_a_stream_that_ended(target: Target) -> None:
    async with playing(target, SOTW[0]) as player:
        player.node = "somebody else"
        player.subscribe("EDS", "a")
        with pytest.raises(NonconformantError, match="the node changed its id"):
            await player.receives("EDS", ("a",), "1")


async def test_as_the_harness_it_counts_when_all_was_said(target: Target) -> None:
    async with playing(target, SOTW[0], AsTheHarness(speed=20.0)) as player:
        await player.is_never_told_more_than_necessary("EDS")
        player.responses = player.requests
        with pytest.raises(NonconformantError, match="an acknowledgement was answered"):
            await player.is_never_told_more_than_necessary("EDS")
