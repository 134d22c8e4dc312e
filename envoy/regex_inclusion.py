"""Whether all that one regular expression matches another one matches too.

`reachability` asks it of conditions. Both programs are followed side by side through all texts, by sets of
places; where that would be too many nothing is said. `Request -> ClassificationKey -> Decision`: before the
first request.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from envoy.regex import ASCII, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_program import Char, End, Jump, Program, Run, Save, Split

MAX_PAIRS: Final = 2_000
Place: TypeAlias = tuple[int, int]
"""A step, and how often it was taken where it is a run."""
Places: TypeAlias = frozenset[Place]
_OTHER: Final = "\x80"
"""Stands for all bytes that no set holds."""


@lru_cache(maxsize=4096)
def includes(wide: Regex, narrow: Regex) -> bool:
    """Tell whether every text that `narrow` matches `wide` matches. False also where it is not known."""
    programs = compile_regex(wide), compile_regex(narrow)
    if not (isinstance(programs[0], Program) and isinstance(programs[1], Program)):
        return False
    one, other = _Machine(programs[0]), _Machine(programs[1])
    letters = _letters((*one.sets, *other.sets))
    todo = [(one.start, other.start)]
    seen = set(todo)
    while todo:
        here, there = todo.pop()
        if here is None or there == frozenset():
            continue  # `wide` has matched, whatever comes; or `narrow` never will
        if other.matched(there) and not one.matched(here):
            return False
        for letter in letters:
            pair = one.after(here, letter), other.after(there, letter)
            if pair not in seen:
                if len(seen) == MAX_PAIRS:
                    return False
                seen.add(pair)
                todo.append(pair)
    return True


def _letters(sets: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """Give one letter of each kind that the sets tell apart."""
    kinds: dict[tuple[bool, ...], str] = {}
    told = tuple(dict.fromkeys(sets))
    for letter in (*sorted(ASCII), _OTHER):
        kinds.setdefault(tuple(letter in each for each in told), letter)
    return tuple(kinds.values())


class _Machine:
    """A program as sets of places. None: it has matched, and what comes does not matter."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.sets = [step.chars for step in program.steps if isinstance(step, Char | Run)]
        self.start = self._closed([(0, 0)])

    def matched(self, places: Places | None) -> bool:
        """Tell whether it matches a text that ends here."""
        return places is None or any(isinstance(self._program.steps[at], End) for at, _ in places)

    def after(self, places: Places | None, letter: str) -> Places | None:
        """Take a letter."""
        if places is None:
            return None
        found: list[Place] = [] if self._program.from_start else [(0, 0)]
        for at, count in places:
            match self._program.steps[at]:
                case Char(chars) if letter in chars:
                    found.append((at + 1, 0))
                case Run(chars, least, most) if letter in chars and (most is None or count < most):
                    found.append((at, min(count + 1, least) if most is None else count + 1))
        return self._closed(found)

    def _closed(self, places: Iterable[Place]) -> Places | None:
        todo, found = list(places), set[Place]()
        while todo:
            place = todo.pop()
            if place in found:
                continue
            found.add(place)
            at, count = place
            match self._program.steps[at]:
                case Split(first, second):
                    todo += [(first, 0), (second, 0)]
                case Jump(to):
                    todo.append((to, 0))
                case Save():
                    todo.append((at + 1, 0))
                case Run(_, least, _) if count >= least:
                    todo.append((at + 1, 0))
                case End() if not self._program.to_end:
                    return None
        return frozenset(found)
