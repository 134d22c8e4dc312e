"""Regular expressions of rules as the text that Envoy's RE2 takes, for a header or for a path.

Envoy matches a whole value, and may meet bytes that are no UTF-8; see `matchers.ANY_BYTES`.
`View -> Snapshot`.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from envoy.regex import ASCII, Chars, Choice, Group, Node, One, Regex, Repeat, Sequence

_ANY: Final = r"\C*"
_QUERY: Final = r"(?:\?\C*)?"
_NOTHING: Final = r"[^\x00-\x{10FFFF}]"


def header_text(regex: Regex) -> str:
    """Match a header's value."""
    before, after = "" if regex.from_start else _ANY, "" if regex.to_end else _ANY
    return f"{before}{_text(regex.node, ASCII)}{after}"


def path_text(regex: Regex) -> str:
    """Match what is before the query in `:path`, which is ASCII once Envoy has normalised it."""
    chars = ASCII - {"?"}
    rest = f"{_set(chars)}*"
    before, after = "" if regex.from_start else rest, "" if regex.to_end else rest
    return f"{before}{_text(regex.node, chars)}{after}{_QUERY}"


def _text(node: Node, allowed: Chars) -> str:
    match node:
        case One(chars):
            return _set(chars & allowed)
        case Sequence(parts):
            return "".join(_text(part, allowed) for part in parts)
        case Choice(parts):
            return f"(?:{'|'.join(_text(part, allowed) for part in parts)})"
        case Repeat(part, least, most, greedy):
            inner = _text(part, allowed)
            return f"(?:{inner}){_counts(least, most)}{'' if greedy else '?'}"
        case Group(_, part):
            return f"(?:{_text(part, allowed)})"


def _counts(least: int, most: int | None) -> str:
    if (least, most) in ((0, None), (1, None), (0, 1)):
        return {(0, None): "*", (1, None): "+", (0, 1): "?"}[least, most]
    return f"{{{least},{'' if most is None else most}}}"


def _set(chars: Chars) -> str:
    if not chars:
        return _NOTHING
    codes = sorted(map(ord, chars))
    runs = [[code for _, code in run] for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0])]
    if len(codes) == 1:
        return _char(codes[0])
    return f"[{''.join(_char(run[0]) + (f'-{_char(run[-1])}' if len(run) > 1 else '') for run in runs)}]"


def _char(code: int) -> str:
    char = chr(code)
    return char if char.isalnum() or char in "_/" else rf"\x{code:02x}"
