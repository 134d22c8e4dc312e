"""Trees of regular expressions into programs; what would be too large for Envoy or for us is refused.

Rulesets are compiled when they are parsed. Where taking fewer characters could never help, a repetition
becomes one step, which takes no time. `Request -> ClassificationKey -> Decision`: what a condition asks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from envoy.regex import BadRegex, Chars, Choice, Group, Node, One, Regex, Repeat, Sequence, can_be_empty
from envoy.regex_program import Char, End, Jump, Program, Run, Save, Split, Step

MAX_PROGRAM: Final = 400
_MAX_NESTED_COUNT: Final = 1000
"""RE2 refuses counts whose product is larger."""


@lru_cache(maxsize=1024)
def compile_regex(regex: Regex) -> Program | BadRegex:
    """Make the program of a tree."""
    if _nested_count(regex.node) > _MAX_NESTED_COUNT:
        return BadRegex(f"repeats a repetition more than {_MAX_NESTED_COUNT} times in all, which RE2 refuses")
    compiler = _Compiler(regex)
    compiler.add(regex.node, frozenset(), ends=True)
    if len(compiler.steps) >= MAX_PROGRAM:
        return BadRegex(f"is too large: it has more than {MAX_PROGRAM} steps when its counts are written out")
    return Program((*compiler.steps, End()), regex.from_start, regex.to_end, regex.names)


@lru_cache(maxsize=1024)
def literal_start(regex: Regex) -> str:
    """Give what every match begins with, as far as it is plain text."""
    program = compile_regex(regex)
    if isinstance(program, BadRegex) or not program.from_start:
        return ""
    found = ""
    for step in program.steps:
        match step:
            case Char(chars) if len(chars) == 1:
                found += next(iter(chars))
            case Save():
                pass
            case _:
                break
    return found


def whole_text(regex: Regex) -> str | None:
    """Give the one text that matches; None where there are more."""
    program = compile_regex(regex)
    if isinstance(program, BadRegex) or not (program.from_start and program.to_end):
        return None
    if any(not isinstance(step, Char) or len(step.chars) != 1 for step in program.steps[:-1]):
        return None
    return literal_start(regex) or None


def first_chars(node: Node) -> Chars:
    """List what a node's text may begin with."""
    match node:
        case One(chars):
            return chars
        case Sequence(parts):
            found: Chars = frozenset()
            for part in parts:
                found |= first_chars(part)
                if not can_be_empty(part):
                    break
            return found
        case Choice(parts):
            return frozenset().union(*(first_chars(part) for part in parts))
        case Repeat(part) | Group(_, part):
            return first_chars(part)


def _nested_count(node: Node) -> int:
    match node:
        case One():
            return 1
        case Sequence(parts) | Choice(parts):
            return max((_nested_count(part) for part in parts), default=1)
        case Repeat(part, least, most):
            return max(least, most or 1, 1) * _nested_count(part)
        case Group(_, part):
            return _nested_count(part)


class _Compiler:
    def __init__(self, regex: Regex) -> None:
        self.steps: list[Step] = []
        self._regex = regex

    def add(self, node: Node, follow: Chars, *, ends: bool) -> None:
        """Add a node's steps. `follow` is what may come after it, `ends` whether that may be nothing."""
        if len(self.steps) >= MAX_PROGRAM:
            return
        match node:
            case One(chars):
                self.steps.append(Char(chars))
            case Sequence(parts):
                self._sequence(parts, follow, ends=ends)
            case Choice(parts):
                self._choice(parts, follow, ends=ends)
            case Repeat():
                self._repeat(node, follow, ends=ends)
            case Group(name, part):
                slot = 2 * self._regex.names.index(name)
                self.steps.append(Save(slot))
                self.add(part, follow, ends=ends)
                self.steps.append(Save(slot + 1))

    def _sequence(self, parts: tuple[Node, ...], follow: Chars, *, ends: bool) -> None:
        for at, part in enumerate(parts):
            rest = Sequence(parts[at + 1 :])
            empty = can_be_empty(rest)
            after = first_chars(rest) | follow if empty else first_chars(rest)
            self.add(part, after, ends=ends and empty)

    def _choice(self, parts: tuple[Node, ...], follow: Chars, *, ends: bool) -> None:
        jumps = []
        for part in parts[:-1]:
            split = self._hole()
            self.add(part, follow, ends=ends)
            jumps.append(self._hole())
            self.steps[split] = Split(split + 1, len(self.steps))
        self.add(parts[-1], follow, ends=ends)
        for jump in jumps:
            self.steps[jump] = Jump(len(self.steps))

    def _repeat(self, node: Repeat, follow: Chars, *, ends: bool) -> None:
        if isinstance(node.part, One) and self._never_gives_back(node, node.part, follow, ends=ends):
            self.steps.append(Run(node.part.chars, node.least, node.most))
            return
        again = first_chars(node.part) | follow
        for count in range(1, node.least + 1):
            self.add(node.part, follow if count == node.most else again, ends=ends)
        if node.most is None:
            split = self._hole()
            self.add(node.part, again, ends=ends)
            self.steps.append(Jump(split))
            self._close(split, node)
            return
        splits = []
        for count in range(node.least + 1, node.most + 1):
            splits.append(self._hole())
            self.add(node.part, follow if count == node.most else again, ends=ends)
        for split in splits:
            self._close(split, node)

    def _close(self, split: int, node: Repeat) -> None:
        ways = (split + 1, len(self.steps))
        self.steps[split] = Split(*(ways if node.greedy else ways[::-1]))

    def _never_gives_back(self, node: Repeat, one: One, follow: Chars, *, ends: bool) -> bool:
        """Tell whether taking fewer could never help: what comes after begins otherwise, or need not come.

        Never where a match is looked for at every place: a run would be taken again and again.
        """
        if not self._regex.from_start or not node.greedy:
            return False
        fixed = node.least == node.most
        return fixed or not one.chars & follow or (ends and not self._regex.to_end)

    def _hole(self) -> int:
        self.steps.append(End())
        return len(self.steps) - 1
