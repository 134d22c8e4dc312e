"""GitLab's router rules, as our ruleset's document: both spellings of their JSON.

`cellplane rules import` hands in what it read and prints what comes out, to be looked at before it is
applied. What has no counterpart here is a problem, never left out unsaid. `Request -> ClassificationKey ->
Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from envoy.problem_list import ProblemList
from topology.model import Problem

_PARTS: Final = {"header": "header", "cookie": "cookie", "path": "path", "query_string": "query"}
_LONGEST: Final = 32  # of a rule's name
_NEW: Final = ("type", "name", "regexValue", "regexName")
_OLD: Final = ("type", "name", "regex_value", "regex_name")
_TRANSFORMS: Final = {
    "routable-token-payload": "routable-token-payload",
    "routable-json": "jwt-claims",
    "base64-json": "base64-json",
    "decode-base64-match": "decode-base64-match",
}
_KEYS: Final = {
    "FIRST_CELL": "first_cell",
    "SESSION_PREFIX": "session_prefix",
    "CELL_ID": "cell_id",
    "ORG_ID": "organization_id",
}
_UNPLAIN: Final = re.compile(r"[^a-z0-9_-]+")
_LITERAL: Final = re.compile(r"\^?([A-Za-z0-9_-]+)\$?\Z")


def import_rules(body: Any) -> Mapping[str, Any] | tuple[Problem, ...]:
    """Make a document of schema 2; a default is put behind the rules."""
    problems = ProblemList()
    entries = body.get("rules") if isinstance(body, Mapping) else body
    rules = [_rule(path, entry, problems) for path, entry in problems.objects("rules", entries, 31, "rules")]
    _part(rules)
    if problems.found:
        return tuple(problems.found)
    return {"schema": 2, "rules": [*rules, {"name": "default", "type": "default"}]}


def _part(rules: Iterable[dict[str, Any]]) -> None:
    """Have each rule a name of its own: theirs are longer, and begin alike."""
    taken: set[str] = set()
    for rule in rules:
        name, number = rule["name"], 1
        while rule["name"] in taken:
            number += 1
            rule["name"] = f"{name[: _LONGEST - len(str(number)) - 1]}-{number}"
        taken.add(rule["name"])


def _rule(path: str, entry: Mapping[str, Any], problems: ProblemList) -> dict[str, Any]:
    known = (
        "id",
        "match",
        "transform",
        "validate",
        "action",
        "classify",
        "proxy",
        "cookies",
        "headers",
        "method",
    )
    problems.unknown_keys(path, entry, known, "a rule of GitLab's router")
    name = _UNPLAIN.sub("-", str(entry.get("id", "")).lower()).strip("-_")[:_LONGEST].strip("-_")
    rule: dict[str, Any] = {"name": name or path.replace("[", "-").rstrip("]"), "type": "match"}
    rule["match"] = _matches(path, entry, problems) or [{"type": "path", "regex": "^/"}]
    if "transform" in entry:
        rule["transform"] = _transforms(f"{path}.transform", entry["transform"], problems)
    if "validate" in entry:
        rule["validate"] = entry["validate"]
    if entry.get("action") != "classify":
        message = (
            f"{entry.get('action')!r} has no counterpart: write a cluster, and the action {{cluster: name}}"
        )
        problems.add(f"{path}.action", message)
        return rule
    listed = entry.get("classify")
    chain = listed if isinstance(listed, list) else [listed]
    rule["action"] = {
        "classify": [
            _key(at, each, problems) for at, each in problems.objects(f"{path}.classify", chain, 8, "keys")
        ]
    }
    return rule


def _matches(path: str, entry: Mapping[str, Any], problems: ProblemList) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    given = entry.get("match")
    if given is not None:
        listed = given if isinstance(given, list) else [given]
        for at, each in problems.objects(f"{path}.match", listed, 8, "matches"):
            found.append(_match(at, each, problems))
    for field, part in (("cookies", "cookie"), ("headers", "header")):
        older = entry.get(field, {})
        if not isinstance(older, Mapping):
            problems.add(f"{path}.{field}", "must be an object: a name, and match_regex")
            continue
        for name, asked in older.items():
            condition = {"type": part, "name": name}
            if isinstance(asked, Mapping) and "match_regex" in asked:
                condition["regex"] = asked["match_regex"]
            found.append(condition)
    if "method" in entry:
        found.append({"type": "method", "values": entry["method"]})
    return found


def _match(path: str, entry: Mapping[str, Any], problems: ProblemList) -> dict[str, Any]:
    problems.unknown_keys(path, entry, tuple(dict.fromkeys((*_NEW, *_OLD))), "a match")
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        problems.add(f"{path}.type", f"{kind!r} is no type: there are {', '.join(_PARTS)}")
        return {}
    condition: dict[str, Any] = {"type": _PARTS[kind]}
    if kind != "path":
        condition["name"] = _name(path, entry, problems)
    regex = entry.get("regexValue", entry.get("regex_value"))
    if regex is not None:
        condition["regex"] = regex
    return condition


def _name(path: str, entry: Mapping[str, Any], problems: ProblemList) -> str:
    """Take the name; one given as a regular expression must be a plain name."""
    regex = entry.get("regexName", entry.get("regex_name"))
    name = entry.get("name")
    if isinstance(name, str):
        return name
    found = _LITERAL.match(regex) if isinstance(regex, str) else None
    if found:
        return found[1]
    problems.add(f"{path}.name", "is no plain name: a condition looks at one header, cookie or parameter")
    return ""


def _transforms(path: str, value: Any, problems: ProblemList) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    listed = value if isinstance(value, list) else [value]
    for at, each in problems.objects(path, listed, 8, "transforms"):
        kind = each.get("type")
        if not isinstance(kind, str) or kind not in _TRANSFORMS:
            problems.add(
                f"{at}.type", f"{kind!r} is no transform known here: there are {', '.join(_TRANSFORMS)}"
            )
            continue
        given = each.get("input")
        inputs = list(given) if isinstance(given, list) else [given]
        output = each.get("output")
        regex = each.get("regexValue", each.get("regex_value"))
        if kind in ("base64-json", "decode-base64-match"):
            url = kind == "base64-json"
            text = f"{output}_text"
            made.append({"type": "base64url" if url else "base64", "input": inputs, "output": text})
            last: dict[str, Any] = {
                "type": "json" if url else "match",
                "input": [f"${{{text}}}"],
                "output": output,
            }
            made.append(last if url else {**last, "regex": regex})
        else:
            made.append({"type": _TRANSFORMS[kind], "input": inputs, "output": output})
    return made


def _key(path: str, entry: Mapping[str, Any], problems: ProblemList) -> dict[str, Any]:
    problems.unknown_keys(path, entry, ("type", "value"), "a key")
    kind = str(entry.get("type", ""))
    key: dict[str, Any] = {"type": _KEYS.get(kind.upper(), kind.lower())}
    if key["type"] != "first_cell":
        key["value"] = entry.get("value")
    return key
