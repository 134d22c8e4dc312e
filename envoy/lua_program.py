"""The ruleset as Lua: the data of those rules that Envoy's matchers can't decide, before `decide.lua`.

`pending` puts it into the route table, so that rules and routes change together and no rule changes a
listener. Only data is generated; the code is the same for every ruleset. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from envoy.classification import BUCKETS, KeyType
from envoy.decision import BLOCKED
from envoy.edge import CELL_HEADER, RULE_HEADER, Lookups
from envoy.lua_patterns import char_class, lua_patterns, ranges
from envoy.match_rules import Classify, Condition, KeyTemplate, MatchRule, Template, Transform, Variable
from envoy.regex import Chars, Regex
from envoy.regex_compiler import compile_regex, literal_start
from envoy.regex_program import Char, End, Jump, Program, Run, Save, Split, Step

FIRST: Final = "first"
"""What stands in the filter state for a key that has no value."""
ASKING: Final = "asking"
"""What stands there for a rule whose owners are to be asked for."""
Data = str | int | bool | None | Sequence["Data"] | Mapping[str, "Data"]


class Raw(str):
    """Lua that is already written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ends:
    """The texts of keys at which the route table has an end: ids of cells, and prefixes of their sessions."""

    cells: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


def lua_program(
    rules: Sequence[MatchRule],
    reserved: frozenset[str],
    lookups: Lookups | None = None,
    order: Sequence[str] = (),
    fenced: str = "",
    ends: Ends = Ends(),
) -> str:
    """Write the program that reads requests for these rules, which are not native.

    `order` names all rules; with `lookups` owners are asked for. A request that has come to one of `ends` is
    read no further. With `fenced`, the name of a header, it
    refuses what has left the cell instead, and says there where it is.
    It gives two functions: one reads a request, the other decides again when owners have been asked for.
    """
    words: dict[str, Data] = dict.fromkeys(sorted(reserved), True)
    needs_words = any(condition.unreserved for rule in rules for condition in rule.conditions)
    lines = (
        f"local reserved = {lua_data(words if needs_words else {})}",
        f"local rules = {lua_data([_rule(rule) for rule in rules])}",
        f"local ends = {lua_data(_ends(ends, lookups))}",
        f"local order = {lua_data(list(order) if lookups else ())}",
        f"local lookups = {lua_data(_lookups(lookups))}",
        f"local fenced = {lua_data(fenced or None)}",
        f"local end_header, passed_header = {lua_data(END_HEADER)}, {lua_data(PASSED_HEADER)}",
    )
    return "\n".join((_SETS, *lines, _code("memory.lua"), _code("decide.lua")))


END_HEADER: Final = CELL_HEADER
"""The header in which Lua says where a request ends: an `end_of_key`, or "/" for nowhere. What a client says
in it is gone by then, and the cell is told its own name in its place.
"""
PASSED_HEADER: Final = RULE_HEADER
"""The header in which Lua says that rules were passed over. Of it the same is true."""
PASSED_TEXT: Final = "passed"


def key_state(rule: str) -> str:
    """Name the filter state that holds why a rule was passed over, or that it matched."""
    return f"cellplane.key.{rule}"


def end_of_key(rule: str, key: int, text: str) -> str:
    """Spell that a rule's key of this number, from 1, leads to a cell by its text."""
    return f"{rule}/{key}:{text}"


def passed_state(rule: str) -> str:
    """Name the filter state that says that a rule was passed over, and counted, before owners were asked."""
    return f"cellplane.passed.{rule}"


def regex_data(regex: Regex) -> Data:
    """Write a regular expression as data: patterns of Lua's own, or our machine's program."""
    if (own := lua_patterns(regex)) is not None:
        return {"patterns": list(own.texts), "names": list(own.names)}
    program = compile_regex(regex)
    if not isinstance(program, Program):
        raise AssertionError(f"a ruleset holds no regex that can't be run: {program}")  # noqa: TRY004
    return {
        "from_start": program.from_start,
        "to_end": program.to_end,
        "names": list(program.names),
        "steps": [_step(step) for step in program.steps],
    }


def lua_data(value: Data) -> str:
    """Write data as Lua spells it."""
    if isinstance(value, Mapping):
        pairs = (f"[{_text(key)}]={lua_data(each)}" for key, each in value.items() if each is not None)
        return f"{{{','.join(pairs)}}}"
    if value is None or isinstance(value, bool):
        return "nil" if value is None else str(value).lower()
    if isinstance(value, Raw | int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    return f"{{{','.join(lua_data(each) for each in value)}}}"


@lru_cache(maxsize=2)
def _code(name: str) -> str:
    return files("envoy").joinpath(name).read_text(encoding="utf-8")


_SETS: Final = """\
local function set(...)
  local found = {}
  for at = 1, select("#", ...), 2 do
    for code = select(at, ...), (select(at + 1, ...)) do found[code] = true end
  end
  return found
end"""


def _rule(rule: MatchRule) -> Data:
    action = rule.action
    return {
        "name": rule.name,
        "state": key_state(rule.name),
        "conditions": [_condition(each) for each in rule.conditions],
        "transforms": [_transform(each) for each in rule.transforms],
        "exist": list(rule.exist),
        "keys": [_key(each) for each in action.keys] if isinstance(action, Classify) else None,
    }


def _lookups(lookups: Lookups | None) -> Data:
    if lookups is None:
        return None
    return {
        "capacity": lookups.remembered,
        "stale": int(lookups.stale_seconds * 1000),
        "timeout": int(lookups.timeout_seconds * 1000),
        "kinds": {str(int(bucket)): f"{bucket.name}/" for bucket in BUCKETS.values()},
    }


def _ends(ends: Ends, lookups: Lookups | None) -> Data:
    cells = dict.fromkeys(ends.cells, True)
    return {
        "cells": cells,
        "owners": {**cells, str(BLOCKED): True} if lookups else cells,
        "prefixes": dict.fromkeys(ends.prefixes, True),
        "first": {FIRST: True} if ends.cells else {},
    }


def _condition(condition: Condition) -> Data:
    return {
        "part": condition.part.value,
        "name": condition.name,
        "regex": regex_data(condition.regex) if condition.regex else None,
        "by_name": condition.is_by_name or None,
        "unreserved": condition.unreserved or None,
        "starts": _start(condition),
        "inverse": condition.inverse or None,
        "every": condition.every or None,
        "kept_as": condition.kept_as or None,
    }


def _start(condition: Condition) -> str | None:
    """Give what the value has to begin with: where it does not, no regular expression is run."""
    if condition.regex is None or condition.inverse:
        return None
    return literal_start(condition.regex) or None


def _transform(transform: Transform) -> Data:
    return {
        "type": transform.type.value,
        "inputs": [_template(each) for each in transform.inputs],
        "output": transform.output,
        "regex": regex_data(transform.regex) if transform.regex else None,
    }


def _key(key: KeyTemplate) -> Data:
    bucket = BUCKETS.get(key.type)
    return {
        "text": _template(key.value) if key.value.parts else [FIRST],
        "bucket": None if bucket is None else int(bucket),
        "kind": None if bucket is None else f"{bucket.name}/",
        "many": key.many or None,
        "ends": _ENDS.get(key.type, "cells" if bucket is None else "owners"),
    }


_ENDS: Final = {KeyType.FIRST_CELL: "first", KeyType.SESSION_PREFIX: "prefixes"}


def _template(template: Template) -> Data:
    return [[part.name] if isinstance(part, Variable) else part for part in template.parts]


def _step(step: Step) -> Data:
    """Write a step; Lua counts steps from 1."""
    match step:
        case Char(chars):
            return [1, Raw(_set(chars))]
        case Run(chars, least, most):
            pattern = f"^{char_class(chars)}*"
            return [2, pattern, least] if most is None else [2, pattern, least, most]
        case Split(first, second):
            return [3, first + 1, second + 1]
        case Jump(to):
            return [4, to + 1]
        case Save(slot):
            return [5, slot]
        case End():
            return [6]


def _set(chars: Chars) -> str:
    return f"set({','.join(f'{low},{high}' for low, high in ranges(chars))})"


def _text(text: str) -> str:
    plain = (char if char.isalnum() or char in " _-./:^[]*" else f"\\{ord(char):03d}" for char in text)
    return f'"{"".join(plain)}"'
