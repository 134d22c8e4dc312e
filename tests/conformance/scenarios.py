"""What the public xds-test-harness checks, in our own words: its 20 scenarios, with the types and variants
of each.

A scenario is a function that plays one client against a state; a row says with what. 98 runs in all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.conformance.player import Player, Variant

SOTW: Final = (Variant(incremental=False, aggregated=False), Variant(incremental=False, aggregated=True))
DELTA: Final = (Variant(incremental=True, aggregated=False), Variant(incremental=True, aggregated=True))
SOTW_ADS: Final = SOTW[1:]
DELTA_ADS: Final = DELTA[1:]

CELLS: Final = ("ash", "birch", "cedar", "dogwood")
NEW: Final = "elm"

Play = Callable[[Player, str, str], Awaitable[None]]


# --- subscribing


async def everything_comes_at_once(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service)
    await player.receives_together(service, CELLS, "1")
    await player.is_never_told_more_than_necessary(service)


async def a_change_brings_everything_again(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service)
    await player.receives(service, CELLS, "1")
    await player.update(service, CELLS[1], "2")
    await player.receives_together(service, CELLS, "2")
    await player.is_never_told_more_than_necessary(service)


async def what_is_added_comes_with_everything(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service)
    await player.receives(service, CELLS, "1")
    await player.add(service, NEW, "2")
    await player.receives_together(service, (*CELLS, NEW), "2")
    await player.is_never_told_more_than_necessary(service)


async def names_bring_what_they_name(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, CELLS[3], CELLS[1])
    await player.receives(service, (CELLS[3], CELLS[1]), "1")
    await player.is_never_told_more_than_necessary(service)


async def a_change_brings_all_that_was_named(player: Player, service: str, _: str) -> None:
    named = (CELLS[3], CELLS[0])
    await player.state([service], CELLS)
    player.subscribe(service, *named)
    await player.receives(service, named, "1")
    await player.update(service, named[0], "2")
    await player.receives_together(service, named, "2")
    await player.is_never_told_more_than_necessary(service)


async def a_change_brings_what_changed(player: Player, service: str, _: str) -> None:
    named = (CELLS[0], CELLS[2])
    await player.state([service], CELLS)
    player.subscribe(service, *named)
    await player.receives(service, named, "1")
    await player.update(service, named[1], "2")
    await player.receives(service, named[1:], "2")
    await player.is_never_told_more_than_necessary(service)


async def what_was_missing_comes_with_all_that_was_named(player: Player, service: str, _: str) -> None:
    there = CELLS[1:3]
    await player.state([service], CELLS)
    player.subscribe(service, *there, NEW)
    await player.receives(service, there, "1")
    await player.add(service, NEW, "2")
    await player.receives_together(service, (*there, NEW), "2")
    await player.is_never_told_more_than_necessary(service)


async def what_was_missing_comes(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, CELLS[0], NEW)
    await player.receives(service, CELLS[:1], "1")
    await player.add(service, NEW, "2")
    await player.receives(service, (NEW,), "2")
    await player.is_never_told_more_than_necessary(service)


async def two_types_share_a_stream(player: Player, service: str, other: str) -> None:
    name = CELLS[1]
    await player.state([service, other], CELLS)
    player.subscribe(service, name)
    await player.receives(service, (name,), "1")
    player.subscribe(other, name)
    await player.receives(other, (name,), "1")
    await player.update(service, name, "2")
    await player.receives(service, (name,), "2")
    await player.is_never_told_more_than_necessary(service)


# --- unsubscribing


async def fewer_names_still_get_their_changes(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, *CELLS[:3])
    await player.receives(service, CELLS[:3], "1")
    player.narrow(service, CELLS[1])
    await player.is_heard(service)
    await player.update(service, CELLS[1], "2")
    await player.receives_together(service, CELLS[1:2], "2")
    await player.is_never_told_more_than_necessary(service)


async def fewer_names_get_their_changes_only(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, CELLS[1], CELLS[3])
    await player.receives(service, (CELLS[1], CELLS[3]), "1")
    player.narrow(service, CELLS[1])
    await player.is_heard(service)
    await player.update(service, CELLS[1], "2")
    await player.receives_only(service, CELLS[1], "2")
    await player.is_never_told_more_than_necessary(service)


async def no_names_get_nothing(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, *CELLS[:2])
    await player.receives(service, CELLS[:2], "1")
    player.unsubscribe_all(service)
    await player.is_heard(service)
    await player.update(service, CELLS[1], "2")
    await player.receives_nothing(service)


# --- delta


async def subscriptions_add_up(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    for name in CELLS[:2]:
        player.subscribe(service, name)
        await player.receives(service, (name,), "1")
    await player.is_never_told_more_than_necessary(service)


async def a_change_brings_nothing_else(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS)
    player.subscribe(service, *CELLS)
    await player.receives(service, CELLS, "1")
    await player.update(service, CELLS[2], "2")
    await player.receives(service, CELLS[2:3], "2")
    player.came_alone(service, CELLS[2])
    await player.is_never_told_more_than_necessary(service)


async def what_is_missing_comes_when_it_is_there(player: Player, service: str, _: str) -> None:
    await player.state([service], CELLS[:1])
    player.subscribe(service, CELLS[0], NEW)
    await player.receives(service, CELLS[:1], "1")
    player.came_alone(service, CELLS[0])
    await player.add(service, NEW, "1")
    await player.receives(service, (NEW,), "1")
    player.came_alone(service, NEW, nonce_only=True)
    await player.is_never_told_more_than_necessary(service)


async def what_goes_is_said_to_be_removed(player: Player, service: str, _: str) -> None:
    named = CELLS[:2]
    await player.state([service], named)
    player.subscribe(service, *named)
    await player.receives(service, named, "1")
    await player.remove(service, named[1])
    await player.is_told_removed(service, named[1])
    await player.add(service, named[1], "2")
    await player.receives(service, named[1:], "2")
    player.came_alone(service, named[1])
    await player.is_never_told_more_than_necessary(service)


async def dropped_names_are_heard_of_no_more(player: Player, service: str, _: str) -> None:
    named = CELLS[:2]
    await player.state([service], named)
    player.subscribe(service, *named)
    await player.receives(service, named, "1")
    for name in reversed(named):
        player.unsubscribe(service, name)
        await player.is_heard(service)
        await player.update(service, name, "2")
        await player.never_receives(service, name)
    await player.is_never_told_more_than_necessary(service)


async def two_types_share_a_delta_stream(player: Player, service: str, other: str) -> None:
    name = CELLS[1]
    both = (service, other)
    await player.state(both, CELLS)
    for one in both:
        player.subscribe(one, name)
    for one in both:
        await player.receives(one, (name,), "1")
    for one in both:
        await player.update(one, name, "2")
        await player.receives(one, (name,), "2")
    await player.is_never_told_more_than_necessary(service)


# --- the table


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row: what is played, for which types (two where it needs two), in which variants."""

    number: str
    """S for subscribing, U for unsubscribing, D for Delta; in the order in which the harness has them."""
    play: Play
    services: tuple[str, ...]
    variants: tuple[Variant, ...]


FULL: Final = ("CDS", "LDS")
PARTIAL: Final = ("RDS", "EDS")
ALL: Final = ("CDS", "LDS", "RDS", "EDS")

SCENARIOS: Final = (
    Scenario("S1", everything_comes_at_once, FULL, SOTW),
    Scenario("S2", a_change_brings_everything_again, FULL, SOTW),
    Scenario("S3", what_is_added_comes_with_everything, FULL, SOTW),
    Scenario("S4", names_bring_what_they_name, ("LDS", "RDS"), (*SOTW, *DELTA)),
    Scenario("S5", a_change_brings_all_that_was_named, FULL, SOTW),
    Scenario("S6", a_change_brings_what_changed, PARTIAL, SOTW),
    Scenario("S7", what_was_missing_comes_with_all_that_was_named, FULL, SOTW),
    Scenario("S8", what_was_missing_comes, PARTIAL, SOTW),
    Scenario("S9", two_types_share_a_stream, ("CDS+LDS", "RDS+EDS"), SOTW_ADS),
    Scenario("U1", fewer_names_still_get_their_changes, FULL, SOTW),
    Scenario("U2", fewer_names_get_their_changes_only, PARTIAL, SOTW),
    Scenario("U3", no_names_get_nothing, ALL, SOTW),
    Scenario("D1", subscriptions_add_up, ALL, DELTA),
    Scenario("D2", a_change_brings_nothing_else, ALL, DELTA),
    Scenario("D3", what_is_missing_comes_when_it_is_there, ALL, DELTA),
    Scenario("D4", what_goes_is_said_to_be_removed, ALL, DELTA),
    Scenario("D5", dropped_names_are_heard_of_no_more, ALL, DELTA),
    Scenario("D6", two_types_share_a_delta_stream, ("CDS+LDS", "LDS+CDS", "RDS+EDS", "EDS+RDS"), DELTA_ADS),
)


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario with one type, or two, in one variant."""

    scenario: Scenario
    services: str
    variant: Variant

    def __str__(self) -> str:
        return f"{self.scenario.number}-{self.services}-{self.variant}"

    async def play(self, player: Player) -> None:
        """Play it. Raises NonconformantError where the server does what it must not."""
        service, _, other = self.services.partition("+")
        await self.scenario.play(player, service, other)


def _runs() -> Iterator[Run]:
    for scenario in SCENARIOS:
        for services in scenario.services:
            for variant in scenario.variants:
                yield Run(scenario, services, variant)


RUNS: Final[tuple[Run, ...]] = tuple(_runs())
