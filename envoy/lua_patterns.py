"""Regular expressions as patterns of Lua's own, where these say the same: they run in C, for a fraction.

That is so for one character after the other, or runs of them, from the start of a text; at the end there may
be something more. `lua_program` writes the machine's program for all others. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from envoy.regex import Chars, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_program import Char, Program, Run, Save, Split, Step

MAX_NAMES: Final = 3
_SPECIAL: Final = "^$()%.[]*+-?"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Tried one after the other; each has a capture for each name, in this order."""

    texts: tuple[str, ...]
    names: tuple[str, ...]


def lua_patterns(regex: Regex) -> Patterns | None:
    """Give the patterns that match what the expression matches; None where Lua can't say it."""
    program = compile_regex(regex)
    if not isinstance(program, Program) or not program.from_start:
        return None
    steps = program.steps[:-1]
    more: tuple[Step, ...] | None = None
    for at, step in enumerate(steps):
        if isinstance(step, Split):
            # Something more, or nothing; the machine too tries the longer way first.
            if (step.first, step.second) != (at + 1, len(steps)):
                return None
            steps, more = steps[:at], steps[at + 1 :]
            break
    names = tuple(
        program.names[each.slot // 2] for each in steps if isinstance(each, Save) and not each.slot % 2
    )
    start, end = _pattern(steps), "$" if program.to_end else ""
    rest = None if more is None else _pattern(more)
    if start is None or (more is not None and (rest is None or "(" in rest.replace("%(", ""))):
        return None
    if len(names) > MAX_NAMES or len(names) != len(program.names) or "()" in start:
        return None
    whole = (f"^{start}{end}",)
    return Patterns(whole if rest is None else (f"^{start}{rest}{end}", *whole), names)


def char_class(chars: Chars) -> str:
    """Write a set as a class of Lua's patterns, in as few ranges as can be: Lua tries one after the other."""
    out = "%z" if "\0" in chars else ""  # a zero byte has a letter of its own there
    for low, high in ranges(chars - {"\0"}):
        # A range must neither begin nor end with what a class reads as its own: those stand alone, escaped.
        codes = range(low, high + 1)
        plain = [code for code in codes if chr(code) not in "%]^-["]
        first, last = (plain[0], plain[-1]) if plain else (high + 1, low)
        out += "".join(f"%{chr(code)}" for code in codes if not first <= code <= last)
        if plain:
            out += chr(first) if first == last else f"{chr(first)}-{chr(last)}"
    return f"[{out}]"


def ranges(chars: Chars) -> list[tuple[int, int]]:
    """Give a set as ranges of codes."""
    codes = sorted(map(ord, chars))
    runs = ([code for _, code in run] for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]))
    return [(run[0], run[-1]) for run in runs]


def _pattern(steps: Iterable[Step]) -> str | None:
    out = ""
    for step in steps:
        match step:
            case Char(chars) | Run(chars) if not chars:
                return None
            case Char(chars) if len(chars) == 1 and "\0" not in chars:
                (char,) = chars
                out += f"%{char}" if char in _SPECIAL else char
            case Char(chars):
                out += char_class(chars)
            case Run(chars, least, None) if least <= 1:
                out += char_class(chars) + ("+" if least else "*")
            case Save(slot):
                out += ")" if slot % 2 else "("
            case _:
                return None
    return out
