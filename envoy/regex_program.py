"""Regular expressions as small programs, and the machine that runs them in time proportional to the text.

`regex_compiler` makes them. The machine visits no place of the program twice at one place of the text, so
that no request makes it slow; `decide.lua` has the same machine, step by step, and runs the same programs
inside Envoy. `Request -> ClassificationKey -> Decision`: what a condition asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envoy.regex import Chars


@dataclass(frozen=True, slots=True)
class Char:
    """Take one character of a set."""

    chars: Chars


@dataclass(frozen=True, slots=True)
class Run:
    """Take as many as there are, from `least` to `most`, and never give one back."""

    chars: Chars
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Split:
    """Go on at `first`; where that fails, at `second`."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on elsewhere."""

    to: int


@dataclass(frozen=True, slots=True)
class Save:
    """Note the place in the text: where a group begins (even) or ends (odd)."""

    slot: int


@dataclass(frozen=True, slots=True)
class End:
    """It matched."""


Step = Char | Run | Split | Jump | Save | End


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, and the names of its groups: group n is saved in 2n and 2n+1."""

    steps: tuple[Step, ...]
    from_start: bool
    to_end: bool
    names: tuple[str, ...]


def run(program: Program, text: str) -> Mapping[str, str] | None:
    """Match a text; give the groups that took part, or None. The leftmost match wins, as in Perl and RE2."""
    visited: set[tuple[int, int]] = set()
    for start in range(1 if program.from_start else len(text) + 1):
        slots = _run_at(program, text, start, visited)
        if slots is not None:
            found = {}
            for at, name in enumerate(program.names):
                begin, end = slots.get(2 * at, -1), slots.get(2 * at + 1, -1)
                if 0 <= begin <= end:
                    found[name] = text[begin:end]
            return found
    return None


def _run_at(program: Program, text: str, start: int, visited: set[tuple[int, int]]) -> dict[int, int] | None:
    slots: dict[int, int] = {}
    # A place to go on at, or (negative) a slot to put back as it was before.
    stack: list[tuple[int, int]] = [(0, start)]
    while stack:
        at, place = stack.pop()
        if at < 0:
            slots[-at - 1] = place
            continue
        while (at, place) not in visited:
            visited.add((at, place))
            match program.steps[at]:
                case Split(first, second):
                    stack.append((second, place))
                    at = first
                case Jump(to):
                    at = to
                case Save(slot):
                    stack.append((-slot - 1, slots.get(slot, -1)))
                    slots[slot] = place
                    at += 1
                case End():
                    if not program.to_end or place == len(text):
                        return slots
                    break
                case Char() | Run() as step:
                    end = _taken(step, text, place)
                    if end < 0:
                        break
                    at, place = at + 1, end
    return None


def _taken(step: Char | Run, text: str, place: int) -> int:
    """Say where a step that takes characters ends; negative where it fails."""
    if isinstance(step, Char):
        return place + 1 if text[place : place + 1] in step.chars else -1
    most = len(text) if step.most is None else min(len(text), place + step.most)
    end = place
    while end < most and text[end] in step.chars:
        end += 1
    return end if end - place >= step.least else -1
