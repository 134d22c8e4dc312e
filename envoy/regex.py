"""Regular expressions of rules, as trees: the part of RE2's language that means the same in every engine.

`regex_parser` makes them of text, `regex_program` runs them, `re2_text` hands them to Envoy. They speak of
ASCII: a dot or a negated class takes no other byte. `Request -> ClassificationKey -> Decision`: what a
condition asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Chars = frozenset[str]
ASCII: Final[Chars] = frozenset(map(chr, range(128)))


@dataclass(frozen=True, slots=True)
class One:
    """One character of a set."""

    chars: Chars


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first of them that leads to a match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """So many times; `most` None: any number. Greedy takes as many as it can, else as few."""

    part: Node
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A group with a name, which becomes a variable."""

    name: str
    part: Node


Node = One | Sequence | Choice | Repeat | Group


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression. It matches anywhere in a text, unless `^` and `$` bind it to the ends."""

    from_start: bool
    to_end: bool
    node: Node
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRegex:
    """Why a text is no regular expression of ours, and how to write it."""

    reason: str


def literal(text: str) -> Node:
    """Match this ASCII text."""
    return Sequence(tuple(One(frozenset(char)) for char in text))


def can_be_empty(node: Node) -> bool:
    """Tell whether a node matches the empty text."""
    match node:
        case One():
            return False
        case Sequence(parts):
            return all(can_be_empty(part) for part in parts)
        case Choice(parts):
            return any(can_be_empty(part) for part in parts)
        case Repeat(part, least):
            return least == 0 or can_be_empty(part)
        case Group(_, part):
            return can_be_empty(part)


def sure_names(node: Node) -> tuple[str, ...]:
    """Name the groups that take part in every match."""
    match node:
        case One() | Choice():
            return ()
        case Sequence(parts):
            return tuple(name for part in parts for name in sure_names(part))
        case Repeat(part, least):
            return sure_names(part) if least else ()
        case Group(name, part):
            return (name, *sure_names(part))
