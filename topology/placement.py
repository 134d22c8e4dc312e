"""Where a newcomer goes: chosen by state, region, ring, room and weight, with the reason in words.

`placements` asks it and keeps the answer. The same key and the same cells always give the same choice; over
many keys the choices divide by weight. It reserves nothing. Third road: decides what a `Txn` will say.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from topology import lifecycle
from topology.model import Cell, Problem

MAX_KEY: Final = 256  # characters
_BITS: Final = 53  # what a double tells apart between 0 and 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementWish:
    """A newcomer: `key` names the request, which is answered once. Empty region, no ring: any.

    `owner` is the subject of what will be claimed for it, if that is known; it is kept with the placement.
    """

    key: str
    region: str = ""
    ring: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A cell, and why this one. `considered` says of each other cell why not."""

    cell: Cell
    why: str
    considered: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class NoRoom:
    """No cell can take the newcomer; of each, why."""

    considered: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        told = "; ".join(f"cell {cell_id} {words}" for cell_id, words in self.considered[:20])
        more = f"; and {len(self.considered) - 20} more" if len(self.considered) > 20 else ""
        return f"no cell can take the newcomer: {told or 'there is none'}{more}"


def placement_problems(wish: PlacementWish) -> tuple[Problem, ...]:
    """Say what is wrong with a wish by itself."""
    problems = []
    if not 1 <= len(wish.key) <= MAX_KEY:
        message = f"is {len(wish.key)} characters long: use 1 to {MAX_KEY}"
        problems.append(Problem(field="request_key", message=message))
    if len(wish.region) > MAX_KEY:
        message = f"is {len(wish.region)} characters long: keep it within {MAX_KEY}"
        problems.append(Problem(field="region", message=message))
    if wish.ring is not None and wish.ring < 0:
        problems.append(Problem(field="ring", message=f"{wish.ring} is none: rings begin at 0"))
    return tuple(problems)


def choose(cells: Iterable[Cell], placed: Mapping[int, int], wish: PlacementWish) -> Chosen | NoRoom:
    """Choose a cell for a newcomer. `placed` counts who is in each cell by now.

    Each cell draws a time by the key, exponential with its weight, and the first wins: so shares go by
    weight, and a cell that comes or goes moves only those that it wins or loses.
    """
    fit: list[Cell] = []
    unfit: list[tuple[int, str]] = []
    for cell in cells:
        if words := _unfit(cell, placed.get(cell.id, 0), wish):
            unfit.append((cell.id, words))
        else:
            fit.append(cell)
    if not fit:
        return NoRoom(tuple(unfit))
    winner = min(fit, key=lambda cell: (_draw(wish.key, cell) / cell.weight, cell.id))
    total = sum(cell.weight for cell in fit)
    lost = [
        (cell.id, f"could have taken it (weight {cell.weight} of {total})")
        for cell in fit
        if cell is not winner
    ]
    return Chosen(winner, _why(winner, len(fit), total, placed.get(winner.id, 0)), (*lost, *unfit))


def _unfit(cell: Cell, placed: int, wish: PlacementWish) -> str:
    if not lifecycle.accepts_newcomers(cell.state):
        return f"is {cell.state}, which takes no newcomers"
    if wish.region and cell.region != wish.region:
        return f"is in region {cell.region or 'none'}, not {wish.region}"
    if wish.ring is not None and cell.ring != wish.ring:
        return f"is in ring {cell.ring}, not {wish.ring}"
    if cell.capacity and placed >= cell.capacity:
        return f"is full ({placed} of {cell.capacity})"
    return "" if cell.weight else "has weight 0"


def _draw(key: str, cell: Cell) -> float:
    digest = hashlib.blake2b(f"{cell.id}/{key}".encode(), digest_size=8).digest()
    fraction = ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 1) / 2**_BITS  # above 0, up to 1
    return -math.log(fraction)


def _why(cell: Cell, fit: int, total: int, placed: int) -> str:
    room = f"{placed + 1} of {cell.capacity} places are taken then" if cell.capacity else "it has no limit"
    among = (
        "the only one that can take it"
        if fit == 1
        else f"drawn from {fit} by weight ({cell.weight} of {total})"
    )
    return f"cell {cell.id} is {cell.state}, {among}; {room}"
