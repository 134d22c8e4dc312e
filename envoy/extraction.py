"""What a rule takes out of a request: its keys, or why there are none.

The evaluator asks it for each rule of type match; `decide.lua` does the same inside Envoy for those rules
that matchers can't decide. It knows no cell. `Request -> ClassificationKey -> Decision`, its first arrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.classification import ClassificationKey
from envoy.match_rules import Classify, Condition, MatchRule, Part, Skip, Template
from envoy.request import Request, host_name, query_values, without_dot
from envoy.transforms import apply_transform, match_text

MAX_TEXT: Final = 4096
"""What is longer is not read by rules that are run by Lua: no client may keep Envoy busy."""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The rule has nothing to say, and why: a condition that does not hold, a variable that is not there."""

    why: str


@dataclass(frozen=True, slots=True)
class Passed:
    """The rule has something to say, and can't: ambiguous or malformed."""

    skip: Skip
    why: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """The rule's action is to be taken. `keys` are those of a classify that the request has, in order."""

    keys: tuple[ClassificationKey, ...] = ()


Extraction = NoMatch | Passed | Extracted


def extract(rule: MatchRule, request: Request, path: str, reserved: frozenset[str]) -> Extraction:
    """Run a rule on a request. `path` is its path as Envoy normalises it."""
    known: dict[str, str] = {}
    most = None if rule.is_native else MAX_TEXT
    passed: Passed | None = None  # only if all other conditions hold: a rule has nothing to say of the rest
    for condition in rule.conditions:
        values = _values(condition, request, path)
        if len(values) > 1:
            passed = passed or Passed(
                Skip.AMBIGUOUS, f"{condition.part} {condition.name} came {len(values)} times"
            )
            continue
        if not values:
            return NoMatch(f"no {condition.label}")
        if condition.unreserved and is_reserved(values[0], reserved):
            return NoMatch("the path's first segment is reserved")
        if most is not None and len(values[0]) > most:
            why = f"{condition.label} is longer than {most} bytes"
            if not condition.is_by_name:
                return NoMatch(why)  # Lua can't tell what the pattern says, and may not even be asked
            passed = passed or Passed(Skip.MALFORMED, why)
            continue
        found = match_text(condition.regex, values[0])
        if condition.inverse:
            found = {} if found is None else None
        if found is None:
            return NoMatch(f"no {condition.label}")
        known.update(found)
        if condition.kept_as:
            is_host = condition.part is Part.HOST
            known[condition.kept_as] = host_name(values[0]) if is_host else values[0]
    return passed or _read(rule, known)


def is_reserved(path: str, reserved: frozenset[str]) -> bool:
    """Tell whether a path begins with a page of the application's own; `/users.json` is `/users` too."""
    first, _, rest = path[1:].partition("/")
    return first in reserved or (not rest and first.rpartition(".")[0] in reserved)


def _values(condition: Condition, request: Request, path: str) -> tuple[str, ...]:
    match condition.part:
        case Part.METHOD:
            return (request.method,)
        case Part.HOST:
            return (without_dot(request.authority),)
        case Part.PATH:
            return (path.partition("?")[0],)
        case Part.HEADER:
            value = request.header(condition.name)
            return (value,) if value else ()
        case Part.COOKIE:
            return request.cookies(condition.name)
        case Part.QUERY:
            values = query_values(path, condition.name)
            return ("&".join(values),) if condition.every and values else values


def _read(rule: MatchRule, known: dict[str, str]) -> Extraction:
    for transform in rule.transforms:
        inputs = tuple(_fill(template, known) for template in transform.inputs)
        if any(text is None for text in inputs):
            return NoMatch(f"there is nothing to read by {transform.type}")
        found = apply_transform(transform, tuple(text for text in inputs if text is not None))
        if found is None:
            return Passed(Skip.MALFORMED, f"it can't be read by {transform.type}")
        if isinstance(found, str):
            known[transform.output] = found
        else:
            known.update({f"{transform.output}.{name}": value for name, value in found.items()})
    for name in rule.exist:
        if not known.get(name):
            return NoMatch(f"{name} is not there")
    if not isinstance(rule.action, Classify):
        return Extracted()
    filled = ((key, _fill(key.value, known)) for key in rule.action.keys)
    keys = tuple(ClassificationKey(key.type, value, key.many) for key, value in filled if value is not None)
    return Extracted(keys) if keys else NoMatch("none of its keys is there")


def _fill(template: Template, known: dict[str, str]) -> str | None:
    texts = [part if isinstance(part, str) else known.get(part.name) for part in template.parts]
    return (
        None if any(text is None for text in texts) else "".join(text for text in texts if text is not None)
    )
