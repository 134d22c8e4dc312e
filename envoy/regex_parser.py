"""The text of a regular expression, read: a tree, or why it is none and how to write it.

What RE2 refuses (looking around, going back) is refused, and so is what engines take differently. Parsing a
ruleset asks for it. `Request -> ClassificationKey -> Decision`: what a condition asks.
"""

from __future__ import annotations

from typing import Final

from envoy.regex import (
    ASCII,
    BadRegex,
    Chars,
    Choice,
    Group,
    Node,
    One,
    Regex,
    Repeat,
    Sequence,
    can_be_empty,
)

MAX_LENGTH: Final = 1000
MAX_COUNT: Final = 1000

_DIGITS: Final[Chars] = frozenset("0123456789")
_WORD: Final[Chars] = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") | _DIGITS
_SPACE: Final[Chars] = frozenset("\t\n\f\r ")
_CLASSES: Final[dict[str, Chars]] = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": ASCII - _DIGITS,
    "W": ASCII - _WORD,
    "S": ASCII - _SPACE,
}
_CONTROLS: Final[dict[str, str]] = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_NAME_START: Final[Chars] = _WORD - _DIGITS
_REFUSED_GROUPS: Final[dict[str, str]] = {
    "=": "looking ahead",
    "!": "looking ahead",
    "<=": "looking behind",
    "<!": "looking behind",
    ">": "an atomic group",
    "#": "a comment",
    "P=": "going back to a group",
    "P>": "recursion",
    "(": "a conditional group",
}


class _RefusedError(Exception):
    pass


def parse_regex(text: str) -> Regex | BadRegex:
    """Read a regular expression."""
    if not text.isascii() or not text.isprintable():
        return BadRegex("holds what is not printable ASCII: requests are matched byte by byte")
    if not text or len(text) > MAX_LENGTH:
        return BadRegex(f"must have 1 to {MAX_LENGTH} characters")
    try:
        return _Parser(text).whole()
    except _RefusedError as error:
        return BadRegex(str(error))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._names: list[str] = []
        self._depth = 0

    def whole(self) -> Regex:
        from_start = self._skip("^")
        node = self._choice()
        to_end = self._skip("$")
        if self._at < len(self._text):
            raise _RefusedError(f"has {self._peek()!r} too much at character {self._at + 1}")
        if (from_start or to_end) and isinstance(node, Choice):
            raise _RefusedError("binds only one branch with ^ or $: put the branches in a group, ^(?:a|b)$")
        return Regex(from_start, to_end, node, tuple(self._names))

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._skip("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while (char := self._peek()) and char not in "|)":
            if char == "$" and self._depth == 0 and self._at == len(self._text) - 1:
                break
            parts.append(self._repeat(self._atom()))
        return Sequence(tuple(parts))

    def _repeat(self, node: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return node
        if can_be_empty(node):
            raise _RefusedError("repeats what can be empty: engines differ there, so repeat something")
        greedy = not self._skip("?")
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise _RefusedError("repeats a repetition: put the inner one in a group")
        return Repeat(node, *counts, greedy)

    def _counts(self) -> tuple[int, int | None] | None:
        for mark, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(mark):
                return counts
        if not self._skip("{"):
            return None
        inside, closed, _ = self._text[self._at :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not least.isdigit() or not (most.isdigit() or not most):
            raise _RefusedError(r"has a { that begins no count: write {2}, {2,} or {2,5}, or \{ for itself")
        self._at += len(inside) + 1
        low, high = int(least), (int(most) if most else None) if comma else int(least)
        if low > MAX_COUNT or (high is not None and not max(low, 1) <= high <= MAX_COUNT):
            raise _RefusedError(f"has a count {{{inside}}} that RE2 does not take: use 1 to {MAX_COUNT}")
        return low, high

    def _atom(self) -> Node:
        char = self._peek()
        self._at += 1
        match char:
            case "(":
                return self._group()
            case "[":
                return One(self._class())
            case ".":
                return One(ASCII - {"\n"})
            case "\\":
                return One(self._escape())
            case "^" | "$":
                raise _RefusedError(
                    rf"has {char} inside: write it at the ends only, or \{char}; for (?:/|$) write (?:/.*)?$"
                )
            case "*" | "+" | "?" | "{":
                raise _RefusedError(f"repeats nothing with the {char} at character {self._at}")
            case _:
                return One(frozenset(char))

    def _group(self) -> Node:
        name = ""
        if self._skip("?"):
            name = self._group_kind()
        self._depth += 1
        if self._depth > 20:
            raise _RefusedError("has groups in groups more than 20 deep")
        if name:
            if name in self._names:
                raise _RefusedError(f"has two groups called {name}")
            self._names.append(name)
        node = self._choice()
        self._depth -= 1
        if not self._skip(")"):
            raise _RefusedError("has a group that is not closed")
        return Group(name, node) if name else node

    def _group_kind(self) -> str:
        """Read what follows `(?`: nothing but `:` and names is taken."""
        if self._skip(":"):
            return ""
        rest = self._text[self._at :]
        for mark, words in sorted(_REFUSED_GROUPS.items(), key=lambda item: -len(item[0])):
            if rest.startswith(mark):
                raise _RefusedError(f"uses {words}, (?{mark}, which RE2 refuses: match the text itself")
        if not (self._skip("P<") or self._skip("<")):
            raise _RefusedError("uses a group with flags: write groups as (…), (?:…) or (?P<name>…)")
        name, closed, _ = self._text[self._at :].partition(">")
        if not closed or not name or not set(name) <= _WORD or name[0] not in _NAME_START:
            raise _RefusedError("has a group whose name is none: use letters, digits and _, as (?P<cell>…)")
        self._at += len(name) + 1
        return name

    def _escape(self) -> Chars:
        char = self._peek()
        self._at += 1
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROLS:
            return frozenset(_CONTROLS[char])
        if char and not char.isalnum() and char not in "_ ":
            return frozenset(char)
        raise _RefusedError(
            f"has \\{char}: of escapes there are \\d \\w \\s \\D \\W \\S \\t \\n and punctuation"
        )

    def _class(self) -> Chars:
        negated = self._skip("^")
        found: set[str] = set()
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                raise _RefusedError("has a [ that is not closed")
            found |= self._class_item(first=first)
            first = False
        self._at += 1
        chars = ASCII - found if negated else frozenset(found)
        if not chars:
            raise _RefusedError("has a class that no character is in")
        return chars

    def _class_item(self, *, first: bool) -> Chars:
        if self._peek() == "]" and first:
            raise _RefusedError(r"has a class that begins with ]: write \]")
        if self._text.startswith("[:", self._at):
            raise _RefusedError(r"has a class of its name, [:…:]: write \d, \w or the characters")
        low = self._class_char()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return low
        self._at += 1
        high = self._class_char()
        if len(low) != 1 or len(high) != 1 or min(low) > min(high):
            raise _RefusedError("has a range from higher to lower, or of classes")
        return frozenset(map(chr, range(ord(min(low)), ord(min(high)) + 1)))

    def _class_char(self) -> Chars:
        if self._skip("\\"):
            return self._escape()
        char = self._peek()
        self._at += 1
        return frozenset(char)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, mark: str) -> bool:
        found = self._text.startswith(mark, self._at)
        self._at += len(mark) if found else 0
        return found
