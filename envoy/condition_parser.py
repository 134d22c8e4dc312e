"""The conditions of a rule, read from a document: each part of a request and what is asked of it.

`match_parser` asks for them. Whatever is asked (a template, a prefix, one of several values) becomes a
regular expression, so that all engines need to know one thing only. `Request -> ClassificationKey ->
Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from envoy.edge import INTERNAL_HEADERS
from envoy.match_rules import NAMED, Condition, Part
from envoy.paths import prefix_problem
from envoy.problem_list import ProblemList
from envoy.regex import ASCII, BadRegex, Choice, Group, Node, One, Regex, Repeat, Sequence, literal
from envoy.regex_compiler import compile_regex
from envoy.regex_parser import parse_regex

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}\Z")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^`|~-]{1,64}\Z")
_EDGES_OWN: Final = frozenset((*INTERNAL_HEADERS, "x-forwarded-for", "x-forwarded-proto", "x-request-id"))
_COOKIE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~\[\]%-]{1,64}\Z")
_METHOD: Final = re.compile(r"[A-Z]{1,20}\Z")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*\Z")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@%-]+\Z")
_MAX_VALUES: Final = 100
_MAX_TEXT: Final = 300
_WAYS: Final[Mapping[Part, tuple[str, ...]]] = {
    Part.METHOD: ("values",),
    Part.HOST: ("values", "except"),
    Part.PATH: ("template", "prefix", "regex"),
    Part.HEADER: ("value", "prefix", "regex"),
    Part.COOKIE: ("value", "prefix", "regex"),
    Part.QUERY: ("value", "prefix", "regex"),
}
_EXTRA: Final[Mapping[Part, tuple[str, ...]]] = {
    Part.HOST: ("as",),
    Part.PATH: ("unreserved",),
    Part.QUERY: ("name", "as", "every"),
}
_BELOW: Final[Node] = Repeat(Sequence((literal("/"), Repeat(One(ASCII), 0, None, True))), 0, 1, True)
_PORT: Final[Node] = Repeat(
    Sequence((literal(":"), Repeat(One(frozenset("0123456789")), 0, None, True))), 0, 1, True
)


def parse_condition(path: str, entry: Mapping[str, Any], problems: ProblemList) -> Condition | None:
    """Read one condition; None where it does not hold, and the problems say why."""
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in set(Part):
        problems.add(f"{path}.type", f"{kind!r} is no part of a request: use one of {', '.join(Part)}")
        return None
    part = Part(kind)
    named, ways = part in NAMED, _WAYS[part]
    extra = _EXTRA.get(part, ("name", "as") if named else ())
    problems.unknown_keys(path, entry, ("type", *extra, *ways), f"a {part} condition")
    before = len(problems.found)
    name = _name(path, part, entry.get("name"), problems) if named else ""
    kept_as = _kept_as(path, entry.get("as", ""), problems)
    asked = [way for way in ways if way in entry]
    every = entry.get("every", False) if part is Part.QUERY else False
    if not isinstance(every, bool) or (every and (asked or not kept_as)):
        problems.add(
            f"{path}.every", "must be true or false; true takes all values, into a variable (as), unasked"
        )
    unreserved = entry.get("unreserved", False)
    if not isinstance(unreserved, bool):
        problems.add(f"{path}.unreserved", "must be true or false")
    if len(asked) > 1 or (not asked and not named):
        problems.add(path, f"must ask one thing of the {part}: one of {', '.join(ways)}")
    way = asked[0] if asked else ""
    regex = _asked(f"{path}.{way}", part, way, entry[way], problems) if way else None
    if len(problems.found) > before:
        return None
    words = (part, name, way, str(entry[way]) if way else "")
    return Condition(
        part=part,
        name=name,
        label=" ".join(word for word in words if word),
        regex=regex,
        unreserved=bool(unreserved) or (way == "template" and str(entry[way]).startswith("/:")),
        inverse=way == "except",
        every=bool(every),
        kept_as=kept_as,
    )


def checked_regex(path: str, text: Any, problems: ProblemList) -> Regex | None:
    """Read a regular expression that every engine can run."""
    if not isinstance(text, str):
        problems.add(path, f"{text!r} is no regular expression: write a text")
        return None
    regex = parse_regex(text)
    outcome = compile_regex(regex) if isinstance(regex, Regex) else regex
    if isinstance(outcome, BadRegex):
        problems.add(path, outcome.reason)
        return None
    return regex if isinstance(regex, Regex) else None


def _kept_as(path: str, value: Any, problems: ProblemList) -> str:
    if isinstance(value, str) and (not value or NAME.match(value)):
        return value
    problems.add(f"{path}.as", f"{value!r} is no name of a variable: use letters, digits and _, as token")
    return ""


def _name(path: str, part: Part, name: Any, problems: ProblemList) -> str:
    if isinstance(name, str):
        spelled = name.lower() if part is Part.HEADER else name
        wanted = {Part.HEADER: _HEADER, Part.COOKIE: _COOKIE, Part.QUERY: _QUERY}[part]
        if wanted.match(spelled):
            if part is Part.HEADER and spelled in ("cookie", "host"):
                problems.add(f"{path}.name", f"{spelled!r} has a type of its own: use type {spelled}")
            elif part is Part.HEADER and (spelled in _EDGES_OWN or spelled.startswith("x-envoy-")):
                message = f"{spelled!r} is the edge's own: what a client writes there no rule ever sees"
                problems.add(f"{path}.name", message)
            return spelled
    hint = "without underscores, which the edge drops" if part is Part.HEADER else "as requests spell it"
    problems.add(f"{path}.name", f"{name!r} is no name of a {part}: write one, {hint}")
    return ""


def _asked(path: str, part: Part, way: str, value: Any, problems: ProblemList) -> Regex | None:
    if way == "regex":
        return checked_regex(path, value, problems)
    if part in (Part.METHOD, Part.HOST):
        return _values(path, part, value, problems)
    if not isinstance(value, str) or not value or len(value) > _MAX_TEXT:
        problems.add(path, f"{value!r} must be a text of 1 to {_MAX_TEXT} characters")
        return None
    if way == "template":
        return _template(path, value, problems)
    return _literal(path, part, way, value, problems)


def _literal(path: str, part: Part, way: str, value: str, problems: ProblemList) -> Regex | None:
    if part is Part.PATH:
        if message := prefix_problem(value) or "":
            problems.add(path, message)
            return None
        return Regex(True, True, Sequence((literal(value), _BELOW)))
    if value.isascii() and value.isprintable():
        return Regex(True, way == "value", literal(value))
    problems.add(path, f"{value!r} holds what is not printable ASCII")
    return None


def _values(path: str, part: Part, value: Any, problems: ProblemList) -> Regex | None:
    wanted, example = (
        (_METHOD, "GET") if part is Part.METHOD else (_HOST, "gitlab.example or *.pages.example")
    )
    found: list[Node] = []
    for at, text in enumerate(problems.items(path, value, _MAX_VALUES, f"{part}s")):
        if isinstance(text, str) and wanted.match(text):
            found.append(literal(text) if part is Part.METHOD else _host(text))
        else:
            problems.add(f"{path}[{at}]", f"{text!r} is no {part}: write it like {example}")
    if not found:
        return None
    node: Node = Choice(tuple(found))
    regex = Regex(True, True, node if part is Part.METHOD else Sequence((node, _PORT)))
    if isinstance(outcome := compile_regex(regex), BadRegex):
        problems.add(path, f"{outcome.reason}: divide the rule")
        return None
    return regex


def _host(text: str) -> Node:
    """Match a name in any case; `*.` is one label or several."""
    bare = text.removeprefix("*.")
    name = tuple(One(frozenset((char, char.upper()))) for char in bare)
    if bare == text:
        return Sequence(name)
    return Sequence((Repeat(One(ASCII - {":"}), 1, None, True), One(frozenset(".")), *name))


def _template(path: str, text: str, problems: ProblemList) -> Regex | None:
    """Read `/groups/:group/*`: `:group` is one segment, `*` at the end whatever follows, or nothing."""
    segments = text.split("/")
    parts: list[Node] = []
    names: list[str] = []
    for at, segment in enumerate(segments[1:], 1):
        if segment == "*" and at == len(segments) - 1 and at > 1:
            parts.append(_BELOW)
        elif segment.startswith(":") and NAME.match(segment[1:]) and segment[1:] not in names:
            names.append(segment[1:])
            inside = Repeat(One(ASCII - {"/"}), 1, None, True)
            parts += (literal("/"), Group(segment[1:], inside))
        elif segment and not segment.startswith(":") and _SEGMENT.match(segment):
            parts.append(literal(f"/{segment}"))
        else:
            message = (
                f"has no segment {segment!r}: write names, :variables (each once), and /* at the end only"
            )
            problems.add(path, message)
            return None
    if segments[0] or not parts:
        problems.add(path, f"{text!r} is no template: begin with /, such as /groups/:group/*")
        return None
    plain = "/".join("x" if segment.startswith(":") else segment for segment in segments)
    if message := prefix_problem(plain.removesuffix("/*")) or "":
        problems.add(path, message)
        return None
    regex = Regex(True, True, Sequence(tuple(parts)), tuple(names))
    if isinstance(outcome := compile_regex(regex), BadRegex):
        problems.add(path, outcome.reason)
        return None
    return regex
