"""Rules of type match, read from a document: conditions, transforms, what must exist, and the action.

`ruleset` asks for them and gets the rule, or all that is wrong with it. `Request -> ClassificationKey ->
Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from envoy.classification import BUCKETS, KeyType
from envoy.condition_parser import NAME, checked_regex, parse_condition
from envoy.match_rules import (
    TEXTS,
    Action,
    Classify,
    Condition,
    KeyTemplate,
    MatchRule,
    Template,
    ToCell,
    ToCluster,
    Transform,
    TransformType,
    Variable,
)
from envoy.policy_parser import parse_answer, parse_otherwise
from envoy.problem_list import ProblemList
from topology.model import MAX_ID

FIELDS: Final = ("name", "type", "match", "transform", "validate", "action", "otherwise")
MAX_CONDITIONS: Final = 8
MAX_TRANSFORMS: Final = 8
MAX_KEYS: Final = 8
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,31}(?:\.[A-Za-z0-9_-]{1,64})?)\}")
_ACTIONS: Final = ("classify", "cell", "cluster", "reject")
_INPUTS: Final = {TransformType.ROUTABLE_TOKEN_PAYLOAD: 2}


def parse_match(
    path: str, entry: Mapping[str, Any], clusters: frozenset[str], problems: ProblemList
) -> MatchRule | None:
    """Read a rule; None where it does not hold. Its name is judged by who calls."""
    problems.unknown_keys(path, entry, FIELDS, "a rule of type match")
    found = len(problems.found)
    conditions = _conditions(f"{path}.match", entry.get("match"), problems)
    known = _Known(problems)
    for at, condition in enumerate(conditions):
        known.add(f"{path}.match[{at}]", condition.variables)
    transforms = _transforms(f"{path}.transform", entry.get("transform"), known, problems)
    exist = _exist(f"{path}.validate", entry.get("validate"), known, problems)
    action = _action(f"{path}.action", entry.get("action"), clusters, known, problems)
    otherwise = parse_otherwise(f"{path}.otherwise", entry.get("otherwise"), problems)
    if len(problems.found) > found or action is None:
        return None
    return MatchRule(
        name=str(entry.get("name")),
        conditions=conditions,
        transforms=transforms,
        exist=exist,
        action=action,
        otherwise=otherwise,
    )


class _Known:
    """The variables that a rule has so far, and whether each has fields."""

    def __init__(self, problems: ProblemList) -> None:
        self._plain: set[str] = set()
        self._fields: set[str] = set()
        self._problems = problems

    def add(self, path: str, names: tuple[str, ...], *, fields: bool = False) -> None:
        for name in names:
            if name in self._plain or name in self._fields:
                self._problems.add(path, f"makes a second variable {name}: give each its own name")
            (self._fields if fields else self._plain).add(name)

    def check(self, path: str, variable: str) -> None:
        name, dot, _ = variable.partition(".")
        if name not in self._plain and name not in self._fields:
            known = ", ".join(sorted(self._plain | self._fields)) or "none"
            self._problems.add(path, f"there is no variable {name} here: there are {known}")
        elif bool(dot) != (name in self._fields):
            hint = f"name a field of it, as ${{{name}.c}}" if not dot else f"write ${{{name}}}"
            self._problems.add(path, f"{variable} is not how {name} is used: {hint}")


def _conditions(path: str, value: Any, problems: ProblemList) -> tuple[Condition, ...]:
    found = (
        parse_condition(at, entry, problems)
        for at, entry in problems.objects(path, value, MAX_CONDITIONS, "conditions")
    )
    return tuple(each for each in found if each is not None)


def _transforms(path: str, value: Any, known: _Known, problems: ProblemList) -> tuple[Transform, ...]:
    if value is None:
        return ()
    found: list[Transform] = []
    for at, entry in problems.objects(path, value, MAX_TRANSFORMS, "transforms"):
        kind = entry.get("type")
        if not isinstance(kind, str) or kind not in set(TransformType):
            message = f"{kind!r} is no transform: use one of {', '.join(TransformType)}"
            problems.add(f"{at}.type", message)
            continue
        wanted = TransformType(kind)
        is_match = wanted is TransformType.MATCH
        fields = ("type", "input", "output", *(("regex",) if is_match else ()))
        problems.unknown_keys(at, entry, fields, f"a {kind} transform")
        count = _INPUTS.get(wanted, 1)
        given = entry.get("input")
        texts = problems.items(
            f"{at}.input", [given] if isinstance(given, str) else given, count, "texts", least=count
        )
        inputs = tuple(parse_template(f"{at}.input", text, known.check, problems) for text in texts)
        regex = checked_regex(f"{at}.regex", entry.get("regex"), problems) if is_match else None
        output = entry.get("output")
        if not isinstance(output, str) or not NAME.match(output):
            problems.add(f"{at}.output", f"{output!r} is no name of a variable: use letters, digits and _")
            continue
        known.add(f"{at}.output", (output,), fields=wanted not in TEXTS)
        label = str(entry.get("regex", ""))
        found.append(Transform(type=wanted, inputs=inputs, output=output, label=label, regex=regex))
    return tuple(found)


def _exist(path: str, value: Any, known: _Known, problems: ProblemList) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping) or set(value) != {"exist"}:
        problems.add(path, "must be an object with exist: a list of variables, such as ${token.c}")
        return ()
    found: list[str] = []
    for text in problems.items(f"{path}.exist", value["exist"], 20, "variables"):
        variable = _VARIABLE.fullmatch(text) if isinstance(text, str) else None
        if variable is None:
            problems.add(f"{path}.exist", f"{text!r} is no variable: write one, such as ${{token.c}}")
            continue
        known.check(f"{path}.exist", variable[1])
        found.append(variable[1])
    return tuple(found)


def parse_template(path: str, text: Any, check: Any, problems: ProblemList) -> Template:
    """Read a text with variables."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or len(text) > 200:
        problems.add(path, f"{text!r} must be a text of at most 200 printable ASCII characters")
        return Template(())
    pieces = _VARIABLE.split(text)
    parts: list[str | Variable] = []
    for at, piece in enumerate(pieces):
        if at % 2:
            check(path, piece)
            parts.append(Variable(piece))
        elif "$" in piece:
            problems.add(
                path, f"{text!r} has a $ that begins no variable: write ${{name}} or ${{name.field}}"
            )
        elif piece:
            parts.append(piece)
    return Template(tuple(parts))


def _action(
    path: str, value: Any, clusters: frozenset[str], known: _Known, problems: ProblemList
) -> Action | None:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _ACTIONS:
        problems.add(path, f"must be an object with one of {', '.join(_ACTIONS)}, such as {{cell: 3}}")
        return None
    ((kind, what),) = value.items()
    path = f"{path}.{kind}"
    if kind == "classify":
        return _classify(path, what, known, problems)
    if kind == "cell":
        if isinstance(what, int) and not isinstance(what, bool) and 1 <= what <= MAX_ID:
            return ToCell(what)
        problems.add(path, f"{what!r} is no cell: write its id")
    elif kind == "cluster":
        if isinstance(what, str) and what in clusters:
            return ToCluster(what)
        names = ", ".join(sorted(clusters)) or "none"
        problems.add(path, f"{what!r} is no cluster of this ruleset: there are {names}")
    else:
        return parse_answer(path, what, problems)
    return None


def _classify(path: str, value: Any, known: _Known, problems: ProblemList) -> Classify | None:
    keys: list[KeyTemplate] = []
    for at, entry in problems.objects(path, value, MAX_KEYS, "keys"):
        problems.unknown_keys(at, entry, ("type", "value", "many"), "a key")
        kind = entry.get("type")
        if not isinstance(kind, str) or kind not in set(KeyType):
            problems.add(f"{at}.type", f"{kind!r} is no type of key: use one of {', '.join(KeyType)}")
            continue
        if kind == KeyType.FIRST_CELL:
            if "value" in entry:
                problems.add(f"{at}.value", "has no meaning for first_cell: leave it out")
            keys.append(KeyTemplate(KeyType.FIRST_CELL, Template(())))
            continue
        template = parse_template(f"{at}.value", entry.get("value"), known.check, problems)
        if not template.variables:
            problems.add(
                f"{at}.value", "names no variable: write one, such as ${token.c}, or use action cell"
            )
        many = entry.get("many", False)
        if not isinstance(many, bool) or (many and KeyType(kind) not in BUCKETS):
            problems.add(f"{at}.many", "must be true or false, and is for claims only")
        keys.append(KeyTemplate(KeyType(kind), template, bool(many)))
    return Classify(tuple(keys)) if keys else None
